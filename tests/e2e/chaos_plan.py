"""The plan of a chaos run: which moves come when. The seed decides all of it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

# Moves that take effect at once, with their weights.
CHANGES: Final[Mapping[str, int]] = {
    "toggle_main_service": 20,
    "recreate_main_service": 6,
    "rename_ports": 8,
    "toggle_remote_service": 20,
    "toggle_remote_slice": 40,
    "rewrite_remote_slice": 80,
    "rewrite_remote_slice_often": 2,
    "damage_mirror": 12,
    "edit_policy": 20,
    "toggle_rival_policy": 4,
    "scale_local": 20,
    "edit_filter": 8,
    "toggle_link": 6,
    "relink": 4,
    "toggle_drained": 6,
    "replace_link_by_force": 4,
    "rotate_secret": 6,
    "kill_controller": 1,
}
FAULTS: Final[Mapping[str, int]] = {"inject_fault": 1}
# Troubles take a while: their moves follow each other after pauses.
TROUBLES: Final = (
    ("deny_writes", "allow_writes"),
    ("lag_links_of_standby", "end_leader", "end_lag"),
)
SECONDS_BETWEEN_CHANGES: Final = (0, 0.25)
SECONDS_BETWEEN_FAULTS: Final = (0, 2)
SECONDS_BETWEEN_TROUBLES: Final = (1, 4)


@dataclass(frozen=True)
class Move:
    """One step of a chaos run.

    Args:
        at: When, in seconds from the start of the run.
        name: What to do.
        seed: Seed of the random choices within the move.
    """

    at: float
    name: str
    seed: int


def plan_of_moves(seed: int, seconds: float) -> list[Move]:
    """The moves of a run, in order; what a trouble started is not ended if the time is over."""
    pick = random.Random(seed)  # noqa: S311 - must be repeatable
    moves = [
        *_moves(pick, seconds, SECONDS_BETWEEN_CHANGES, _any_of(pick, CHANGES)),
        *_moves(pick, seconds, SECONDS_BETWEEN_FAULTS, _any_of(pick, FAULTS)),
        *_moves(pick, seconds, SECONDS_BETWEEN_TROUBLES, _troubles(pick)),
    ]
    return sorted(moves, key=lambda move: move.at)


def _moves(
    pick: random.Random, seconds: float, pause: tuple[float, float], names: Iterator[str]
) -> Iterator[Move]:
    at = pick.uniform(*pause)
    while at < seconds:
        yield Move(at, next(names), pick.getrandbits(32))
        at += pick.uniform(*pause)


def _any_of(pick: random.Random, weights: Mapping[str, int]) -> Iterator[str]:
    while True:
        yield from pick.choices(list(weights), list(weights.values()))


def _troubles(pick: random.Random) -> Iterator[str]:
    """The moves of one trouble after the other, and each trouble as often as the others."""
    while True:
        yield from itertools.chain(*pick.sample(TROUBLES, len(TROUBLES)))
