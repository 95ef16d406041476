"""What the mass-deletion guards of a controller would hold, for a plan that is only shown.

The controller's guards live in its memory. A command that reads the clusters sees the same
deletions, and so which of them would be held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve

from svclink_core.deletion_guard import UNGUARDED, Guard, Toll, guard_deadline, next_guard
from svclink_core.full_planning import plan
from svclink_core.ownership import cluster_of, is_ours
from svclink_core.planning import Decision
from svclink_core.snapshot import Snapshot


def with_guards(found: Snapshot, now: float) -> Snapshot:
    """The snapshot with the guards that a controller has once it has seen all deletions.

    Args:
        found: What is known. Its guards are ignored.
        now: Seconds on the clock of `Unreachable.at`.
    """
    bare = {name: evolve(remote, guard=UNGUARDED) for name, remote in found.remotes.items()}
    tolls = tolls_of(found, plan(evolve(found, remotes=bare), now).decisions)
    hold = found.options.deletion_hold
    guarded = {
        name: evolve(remote, guard=settled_guard(tolls[name], now, hold))
        for name, remote in bare.items()
        if name in tolls
    }
    return evolve(found, remotes={**bare, **guarded})


def tolls_of(found: Snapshot, decisions: Iterable[Decision]) -> Mapping[str, Toll]:
    """What each cluster would lose, for the clusters that would lose something."""
    clusters = [cluster_of(each) for each in found.main.names.values() if is_ours(each)]
    tolls: dict[str, Toll] = {}
    for each in decisions:
        if each.doomed:
            before = tolls.get(each.cluster, Toll(clusters.count(each.cluster), {}))
            doomed = {**before.doomed, each.service: each.doomed}
            tolls[each.cluster] = evolve(before, doomed=doomed)
    return tolls


def settled_guard(toll: Toll, now: float, hold: float) -> Guard:
    """The guard of a cluster at the end of a wave of deletions.

    Args:
        toll: What the cluster would lose.
        now: When the wave began.
        hold: How long too many deletions are held, in seconds.
    """
    begun = next_guard(UNGUARDED, toll, now, hold)
    deadline = guard_deadline(begun)
    return begun if deadline is None else next_guard(begun, toll, deadline, hold)
