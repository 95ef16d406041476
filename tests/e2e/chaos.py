"""Random faults on the way to every API server, and random changes to everything svclink reads."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from .api_client import ApiError
from .chaos_changes import ObjectChanges
from .chaos_faults import FaultyNetwork
from .chaos_operations import Operations
from .chaos_plan import Move, plan_of_moves
from .chaos_traffic import TrafficChanges

# A random change may hit an object that does not exist, or already exists.
EXPECTED_STATUSES: Final = (404, 409, 422)

MakeMove = Callable[[random.Random], str]


@dataclass
class Chaos:
    """Injects random faults and makes random changes; the seed decides which.

    Args:
        seed: Seed of the plan of moves.
    """

    changes: ObjectChanges
    traffic: TrafficChanges
    operations: Operations
    network: FaultyNetwork
    seed: int

    def set_up(self) -> None:
        """Start the controllers, with every Service in every cluster and slices in the remotes."""
        self.changes.create_all(random.Random(self.seed))  # noqa: S311 - must be repeatable
        self.operations.set_up()

    def run(self, seconds: float) -> None:
        """Make the moves that are planned for this time; what is still in force stays."""
        started = time.monotonic()
        for move in plan_of_moves(self.seed, seconds):
            time.sleep(max(0.0, started + move.at - time.monotonic()))
            print(f"{time.monotonic() - started:7.2f} {self._make(move)}")  # noqa: T201

    def settle(self) -> None:
        """Undo all faults and whatever keeps svclink from mirroring both remotes."""
        self.network.heal()
        self.operations.restore()

    def _make(self, move: Move) -> str:
        """Make one move, and say what was done; the API server may reject it."""
        try:
            return self._moves[move.name](random.Random(move.seed))  # noqa: S311
        except ApiError as error:
            if error.status not in EXPECTED_STATUSES:
                raise
            return f"{move.name}: {error}"

    @property
    def _moves(self) -> Mapping[str, MakeMove]:
        changes, traffic, operations = self.changes, self.traffic, self.operations
        return {
            each.__name__: each
            for each in (
                changes.toggle_main_service,
                changes.recreate_main_service,
                changes.rename_ports,
                changes.toggle_remote_service,
                changes.toggle_remote_slice,
                changes.rewrite_remote_slice,
                changes.rewrite_remote_slice_often,
                changes.damage_mirror,
                traffic.edit_policy,
                traffic.toggle_rival_policy,
                traffic.scale_local,
                operations.edit_filter,
                operations.toggle_link,
                operations.toggle_drained,
                operations.relink,
                operations.replace_link_by_force,
                operations.rotate_secret,
                operations.deny_writes,
                operations.allow_writes,
                operations.kill_controller,
                operations.lag_links_of_standby,
                operations.end_leader,
                operations.end_lag,
                self.network.inject_fault,
            )
        }
