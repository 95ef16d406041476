"""What the mass-deletion guards of a controller would hold, for a plan that is only shown.

The controller's guards live in its memory. A command that reads the clusters sees the same
deletions, and so which of them would be held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve

from svclink_core.deletion_guard import UNGUARDED, DeletionCount, Guard, guard_deadline, next_guard
from svclink_core.full_planning import plan
from svclink_core.ownership import cluster_of, is_ours
from svclink_core.plans import Decision
from svclink_core.snapshot import Snapshot


def with_guards(found: Snapshot, now: float) -> Snapshot:
    """The snapshot with the guards that a controller has once it has seen all deletions.

    Args:
        found: What is known. Its guards are ignored.
        now: Seconds on the clock of `Unreachable.at`.
    """
    bare = {name: evolve(remote, guard=UNGUARDED) for name, remote in found.remotes.items()}
    counts = deletion_counts(found, plan(evolve(found, remotes=bare), now).decisions)
    hold = found.options.deletion_hold
    guarded = {
        name: evolve(remote, guard=settled_guard(counts[name], now, hold))
        for name, remote in bare.items()
        if name in counts
    }
    return evolve(found, remotes={**bare, **guarded})


def deletion_counts(found: Snapshot, decisions: Iterable[Decision]) -> Mapping[str, DeletionCount]:
    """What each cluster would lose, for the clusters that would lose something."""
    clusters = [cluster_of(each) for each in found.main.names.values() if is_ours(each)]
    counts: dict[str, DeletionCount] = {}
    for each in decisions:
        if each.deletions:
            before = counts.get(each.cluster, DeletionCount(clusters.count(each.cluster), {}))
            deletions = {**before.deletions, each.service: each.deletions}
            counts[each.cluster] = evolve(before, deletions=deletions)
    return counts


def settled_guard(count: DeletionCount, now: float, hold: float) -> Guard:
    """The guard of a cluster at the end of a wave of deletions.

    Args:
        count: What the cluster would lose.
        now: When the wave began.
        hold: How long too many deletions are held, in seconds.
    """
    begun = next_guard(UNGUARDED, count, now, hold)
    deadline = guard_deadline(begun)
    return begun if deadline is None else next_guard(begun, count, deadline, hold)
