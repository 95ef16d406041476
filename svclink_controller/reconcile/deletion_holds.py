"""Runs the mass-deletion guards: counts the deletions that plans ask for, by cluster.

The rules are the core's, in `deletion_guard`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import structlog
from attrs import define, field

from svclink_controller import clock
from svclink_controller.reconcile.deadlines import Deadlines
from svclink_controller.state.changes import ClusterRead
from svclink_controller.state.store import Store
from svclink_core.deletion_guard import (
    MIN_SLICES,
    UNGUARDED,
    DeletionCount,
    Guard,
    guard_deadline,
    guard_effect,
    is_held,
    lifted_by_edit,
    next_guard,
)
from svclink_core.link_target import reading_part
from svclink_core.meta_v1 import NamespacedName
from svclink_core.plans import Decision
from svclink_core.snapshot import all_keys
from svclink_core.svclink_v1alpha1 import ClusterLinkSpec
from svclink_core.well_known import Reason

GUARD_GATHER_SECONDS: Final = 0.05
"""Deletions that are planned within this time are counted together."""

Edition: TypeAlias = tuple[str, int]
"""The uid and the generation of a link."""

log = structlog.get_logger()


@define
class DeletionHolds:
    """Keeps the guards in the store up to date with the plans.

    Args:
        store: Holds the guards, the links and the mirrored slices.
        now: Returns the seconds on the monotonic clock, which never jumps.
        queued: Returns the Services that have to be planned because of a cluster.

    Attributes:
        _deletions: What the last plans of Services would delete, by cluster.
        _uncounted: Services that were queued when a wave of deletions began and have not been
            planned since, by cluster.
        _listed_for: What the link asked to be read when its cluster was last listed for it.
        _unplanned: Services without a plan since the first list after an edit, by cluster. What
            their next plan loses, the edit has caused.
        _intended: Services whose deletions follow from an edit, until the guard knows them.
    """

    store: Store
    now: Callable[[], float] = clock.elapsed
    queued: Callable[[str], frozenset[NamespacedName]] = lambda _: frozenset()
    _deletions: dict[str, dict[NamespacedName, int]] = field(factory=dict)
    _uncounted: dict[str, set[NamespacedName]] = field(factory=dict)
    _editions: dict[str, Edition] = field(factory=dict)
    _listed_for: dict[str, ClusterLinkSpec] = field(factory=dict)
    _unplanned: dict[str, set[NamespacedName]] = field(factory=dict)
    _intended: dict[str, frozenset[NamespacedName]] = field(factory=dict)
    _scheduled: set[str] = field(factory=set)
    _deadlines: Deadlines = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._deadlines = Deadlines(self._advance, self.now)

    def record(self, key: NamespacedName, decisions: Iterable[Decision]) -> None:
        """Replace the deletions that the plan of a Service asks for."""
        decided = {each.cluster: each for each in decisions}
        for cluster in [name for name, keys in self._unplanned.items() if key in keys]:
            self._record_first(key, cluster, decided.get(cluster))
        for cluster in [name for name, keys in self._uncounted.items() if key in keys]:
            self._record_counted(key, cluster)
        for each in decided.values():
            deletions = self._deletions.get(each.cluster, {})
            if each.deletions == deletions.get(key, 0):
                continue
            if each.deletions:
                self._deletions.setdefault(each.cluster, deletions)[key] = each.deletions
            else:
                del deletions[key]
            self._schedule(each.cluster)

    def forget_plans(self) -> None:
        """Drop the deletions that plans asked for: every Service will be planned again."""
        self._deletions.clear()
        self._uncounted.clear()
        self._unplanned.clear()
        self._intended.clear()

    def link_changed(self, name: str) -> None:
        """A link was added, edited or removed. An edit lifts what is held, whatever it changes.

        Only a new generation is an edit: new credentials in a Secret are not.
        """
        link = self.store.links.get(name)
        if link is None:
            self._forget(name)
            return
        edition = link.metadata.uid, link.metadata.generation
        if (before := self._editions.setdefault(name, edition)) != edition:
            self._editions[name] = edition
            if before[0] != edition[0]:
                self._listed_for.pop(name, None)
            self._intend(name, lifted_by_edit(self.store.guard(name), self._count(name)))
            self._advance(name)
        self.slices_changed(name)

    def cluster_read(self, read: ClusterRead) -> None:
        """What a link asks for is read. What the first list after an edit lacks, is intended.

        The first list after a start is no such list: what the link asked for before is not known.
        """
        name, link = read.name, self.store.links.get(read.name)
        if link is None or link.metadata.generation != read.generation:
            return
        before, asked = self._listed_for.get(name), reading_part(link.spec)
        self._listed_for[name] = asked
        if read.is_new and before not in (None, asked):
            self._unplanned[name] = set(all_keys(self.store.snapshot()))

    def slices_changed(self, cluster: str) -> None:
        """The number of mirrored slices changed: arm or disarm the guard of the cluster."""
        guard = self.store.guard(cluster)
        is_idle = guard.wave is None and not guard.released
        has_enough = self.store.mirrored(cluster).slices >= MIN_SLICES
        if is_idle and guard.is_armed is not has_enough:
            self._advance(cluster)

    def close(self) -> None:
        """Remove every deadline."""
        self._deadlines.close()

    def _forget(self, cluster: str) -> None:
        self._editions.pop(cluster, None)
        self._deletions.pop(cluster, None)
        self._uncounted.pop(cluster, None)
        self._listed_for.pop(cluster, None)
        self._unplanned.pop(cluster, None)
        self._intended.pop(cluster, None)
        self._deadlines.set(cluster, None)

    def _record_first(self, key: NamespacedName, cluster: str, decided: Decision | None) -> None:
        """Take the first plan of a Service since the first list after an edit."""
        if decided is not None and decided.reason is Reason.REMOTE_CHANGING:
            return  # What is lost is not decided yet.
        self._unplanned[cluster].discard(key)
        if decided is not None and decided.deletions:
            self._intend(cluster, frozenset({key}))
            self._schedule(cluster)

    def _record_counted(self, key: NamespacedName, cluster: str) -> None:
        """Take the first plan of a Service since a wave began."""
        self._uncounted[cluster].discard(key)
        if not self._uncounted[cluster]:
            del self._uncounted[cluster]
            self._schedule(cluster)

    def _intend(self, cluster: str, services: frozenset[NamespacedName]) -> None:
        self._intended[cluster] = self._intended.get(cluster, frozenset()) | services

    def _count(self, cluster: str) -> DeletionCount:
        slices = self.store.mirrored(cluster).slices
        return DeletionCount(slices, self._deletions.get(cluster, {}))

    def _schedule(self, cluster: str) -> None:
        if cluster not in self._scheduled:
            self._scheduled.add(cluster)
            loop = asyncio.get_running_loop()
            loop.call_later(GUARD_GATHER_SECONDS, self._advance_scheduled, cluster)

    def _advance_scheduled(self, cluster: str) -> None:
        self._scheduled.discard(cluster)
        self._advance(cluster)

    def _advance(self, cluster: str) -> None:
        """Recompute the guard of a cluster, and set the deadline for the next time."""
        if cluster not in self.store.links:
            return
        before, count = self.store.guard(cluster), self._count(cluster)
        intended = self._intended.pop(cluster, frozenset())
        hold = self.store.options.deletion_hold
        is_counted = cluster not in self._uncounted
        after = next_guard(before, count, self.now(), hold, intended, is_counted=is_counted)
        if before.wave is None and after.wave is not None and (queued := self.queued(cluster)):
            self._uncounted[cluster] = set(queued)
            is_counted = False
        self._deadlines.set(cluster, guard_deadline(after, is_counted=is_counted))
        if after != before:
            _log(cluster, before, after)
            affected = count.deletions if guard_effect(after) != guard_effect(before) else ()
            self.store.set_guard(cluster, after, affected)


def _log(cluster: str, before: Guard, after: Guard) -> None:
    if after.wave is not None and is_held(after) and not is_held(before):
        wave = after.wave
        log.warning("deletion held", cluster=cluster, doomed=wave.deletions, slices=wave.slices)
    elif is_held(before) and after.wave is None:
        proceeds = after != UNGUARDED and bool(after.released)
        log.warning("deletion no longer held", cluster=cluster, proceeds=proceeds)
