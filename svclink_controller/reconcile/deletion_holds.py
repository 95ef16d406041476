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
from svclink_controller.state.store import Store
from svclink_core.deletion_guard import (
    MIN_SLICES,
    UNGUARDED,
    DeletionCount,
    Guard,
    guard_deadline,
    guard_effect,
    next_guard,
)
from svclink_core.meta_v1 import NamespacedName
from svclink_core.plans import Decision

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
    """

    store: Store
    now: Callable[[], float] = clock.elapsed
    _deletions: dict[str, dict[NamespacedName, int]] = field(factory=dict)
    _editions: dict[str, Edition] = field(factory=dict)
    _edited_at: dict[str, float] = field(factory=dict)
    _scheduled: set[str] = field(factory=set)
    _deadlines: Deadlines = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._deadlines = Deadlines(self._advance, self.now)

    def record(self, key: NamespacedName, decisions: Iterable[Decision]) -> None:
        """Replace the deletions that the plan of a Service asks for."""
        for each in decisions:
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

    def link_changed(self, name: str) -> None:
        """A link was added, edited or removed; deletions that follow an edit are intended.

        Only a new generation is an edit: new credentials in a Secret are not.
        """
        link = self.store.links.get(name)
        if link is None:
            self._editions.pop(name, None)
            self._edited_at.pop(name, None)
            self._deletions.pop(name, None)
            self._deadlines.set(name, None)
            return
        edition = link.metadata.uid, link.metadata.generation
        if self._editions.setdefault(name, edition) != edition:
            self._editions[name] = edition
            self._edited_at[name] = self.now()
            self._advance(name)
        self.slices_changed(name)

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
        before, now, hold = self.store.guard(cluster), self.now(), self.store.options.deletion_hold
        deletions = self._deletions.get(cluster, {})
        trusted_until = self._edited_at.get(cluster, -hold) + hold
        is_trusted = now < trusted_until
        count = DeletionCount(self.store.mirrored(cluster).slices, deletions)
        after = next_guard(before, count, now, 0 if is_trusted else hold)
        self._deadlines.set(cluster, trusted_until if is_trusted else guard_deadline(after))
        if after != before:
            _log(cluster, before, after)
            affected = deletions if guard_effect(after) != guard_effect(before) else ()
            self.store.set_guard(cluster, after, affected)


def _log(cluster: str, before: Guard, after: Guard) -> None:
    if after.wave is not None and _is_held(after) and not _is_held(before):
        wave = after.wave
        log.warning("deletion held", cluster=cluster, doomed=wave.deletions, slices=wave.slices)
    elif _is_held(before) and after.wave is None:
        proceeds = after != UNGUARDED and bool(after.released)
        log.warning("deletion no longer held", cluster=cluster, proceeds=proceeds)


def _is_held(guard: Guard) -> bool:
    return guard.wave is not None and guard.wave.held_until is not None
