"""Shows clusters whose objects were read once, for example from files."""

from __future__ import annotations

from collections.abc import Mapping

from svclink_controller import clock
from svclink_controller.dashboard.board import Board, MainRead
from svclink_controller.dashboard.facts import EquivalentCommands, Facts, no_commands
from svclink_core.guard_preview import with_guards
from svclink_core.link_identity import Problem
from svclink_core.link_overview import LinkOverview, SeenCluster
from svclink_core.planning import plan_service
from svclink_core.service_overview import service_overview
from svclink_core.snapshot import RemoteCluster, Snapshot, all_keys


def recorded_fleet(
    found: Snapshot,
    problems: Mapping[str, Problem],
    warnings: tuple[str, ...] = (),
    commands: EquivalentCommands = no_commands,
) -> tuple[Board, Facts]:
    """What the page shows of clusters that do not change any more.

    Args:
        found: What was read.
        problems: Why clusters could not be read, by the names of their links.
        warnings: What is odd about what was read.
        commands: Returns the commands that tell the same about a Service.
    """
    now = clock.seconds()
    snapshot, board = with_guards(found, now), Board()
    for name, remote in snapshot.remotes.items():
        board.put_link(name, _link(remote, problems.get(name)))
    for key in all_keys(snapshot):
        plan = plan_service(snapshot, key, now)
        board.put_service(key, service_overview(snapshot, key, plan))
    board.put_main(MainRead(is_complete=True, problems=tuple(("files", each) for each in warnings)))
    policies = {each.metadata.key: each for each in snapshot.main.traffic_policies.values()}
    facts = Facts(
        snapshot=lambda: snapshot,
        problems=lambda: problems,
        policy=policies.get,
        now=lambda: now,
        commands=commands,
    )
    return board, facts


def _link(remote: RemoteCluster, problem: Problem | None) -> LinkOverview:
    seen = SeenCluster(remote.connection, problem, services=len(remote.services))
    return LinkOverview(remote.link, seen)
