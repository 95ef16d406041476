"""Runs the deletion guards: counts what the plans of a cluster's Services condemn, and asks the core what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog
from attrs import define, field

from svclink_controller import clock
from svclink_controller.reconcile.deadlines import Deadlines
from svclink_controller.state.store import Store
from svclink_core.deletion_guard import (
    MIN_SLICES,
    UNGUARDED,
    Guard,
    Toll,
    advance,
    effect,
    guard_deadline,
)
from svclink_core.meta_v1 import NamespacedName
from svclink_core.planning import Decision
from svclink_core.svclink_v1alpha1 import ClusterLinkSpec

GUARD_GATHER_SECONDS: Final = 0.05
"""What is condemned together is looked at together."""

log = structlog.get_logger()


@define
class DeletionGuards:
    """Keeps the guards in the store up to what the plans say.

    Args:
        store: Has the guards, and what is mirrored.
    """

    store: Store
    _doomed: dict[str, dict[NamespacedName, int]] = field(factory=dict)
    _specs: dict[str, ClusterLinkSpec] = field(factory=dict)
    _edited_at: dict[str, float] = field(factory=dict)
    _gathering: set[str] = field(factory=set)
    _deadlines: Deadlines = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._deadlines = Deadlines(self._look)

    def record(self, key: NamespacedName, decisions: Iterable[Decision]) -> None:
        """What the present plan of a Service says."""
        for each in decisions:
            doomed = self._doomed.get(each.cluster, {})
            if each.doomed == doomed.get(key, 0):
                continue
            if each.doomed:
                self._doomed.setdefault(each.cluster, doomed)[key] = each.doomed
            else:
                del doomed[key]
            if each.cluster not in self._gathering:
                self._gathering.add(each.cluster)
                asyncio.get_running_loop().call_later(
                    GUARD_GATHER_SECONDS, self._gathered, each.cluster
                )

    def link_changed(self, name: str) -> None:
        """A link was added, edited or removed. What an edit does to its cluster's slices is meant."""
        link = self.store.links.get(name)
        if link is None:
            self._specs.pop(name, None)
            self._edited_at.pop(name, None)
            self._doomed.pop(name, None)
            self._deadlines.set(name, None)
            return
        before = self._specs.get(name, link.spec)
        self._specs[name] = link.spec
        if before != link.spec:
            self.link_edited(name)
        self.slices_changed(name)

    def link_edited(self, name: str) -> None:
        """The link, or the Secret with its kubeconfig, is another: for a while nothing waits."""
        self._edited_at[name] = clock.seconds()
        self._look(name)

    def slices_changed(self, cluster: str) -> None:
        """A cluster may have come to so many mirrored slices that it is guarded, or to fewer."""
        guard = self.store.guard(cluster)
        is_calm = guard.wave is None and not guard.released
        if is_calm and guard.is_armed is not (self.store.mirrored(cluster).slices >= MIN_SLICES):
            self._look(cluster)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._deadlines.close()

    def _gathered(self, cluster: str) -> None:
        self._gathering.discard(cluster)
        self._look(cluster)

    def _look(self, cluster: str) -> None:
        if cluster not in self.store.links:
            return
        before, now, hold = (
            self.store.guard(cluster),
            clock.seconds(),
            self.store.options.deletion_hold,
        )
        doomed = self._doomed.get(cluster, {})
        believed_until = self._edited_at.get(cluster, -hold) + hold
        toll = Toll(self.store.mirrored(cluster).slices, doomed)
        after = advance(before, toll, now, 0 if now < believed_until else hold)
        self._deadlines.set(
            cluster, believed_until if now < believed_until else guard_deadline(after)
        )
        if after != before:
            _log(cluster, before, after)
            self.store.set_guard(cluster, after, doomed if effect(after) != effect(before) else ())


def _log(cluster: str, before: Guard, after: Guard) -> None:
    wave = after.wave
    if (
        wave is not None
        and wave.held_until is not None
        and (before.wave is None or before.wave.held_until is None)
    ):
        log.warning("deletion held", cluster=cluster, doomed=wave.doomed, slices=wave.slices)
    elif before.wave is not None and before.wave.held_until is not None and wave is None:
        log.warning(
            "deletion no longer held",
            cluster=cluster,
            proceeds=after != UNGUARDED and bool(after.released),
        )
