"""Planned deletions are counted by cluster, and their Services planned again when a hold ends.

Real: the store, the rules of the core, timers. Substituted: the clock.
"""

from __future__ import annotations

import asyncio

from attrs import evolve

from svclink_controller.reconcile.deletion_holds import DeletionHolds
from svclink_controller.state.changes import (
    LinkChanged,
    LinkStatusChanged,
    ServicesToPlan,
    StateChange,
)
from svclink_controller.state.store import PLANNED_KINDS, Store
from svclink_core import (
    PENDING,
    SYNCED,
    UNGUARDED,
    ClusterLinkSpec,
    Decision,
    EndpointSlice,
    NamespacedName,
    Options,
    Outcome,
    Reason,
    deletion_guard,
)
from svclink_core.deletion_guard import SETTLE_SECONDS
from svclink_core.well_known import MAIN
from tests.builders.values import link, mirrored_slice
from tests.unit.controller.virtual_time import loop_time, virtual_time

LINK = link()
KEYS = [NamespacedName("default", f"s{number}") for number in range(24)]


class World:
    """A link with mirrored slices, its guard, and the Services that are to be planned again."""

    def __init__(self, hold: float = 300) -> None:
        self.enqueued: list[NamespacedName] = []
        self.store = Store(Options(deletion_hold=hold), self.act_on)
        self.guards = DeletionHolds(self.store, loop_time)
        for kind in PLANNED_KINDS:
            self.store.mark_listed(kind)

    def act_on(self, change: StateChange) -> None:
        match change:
            case ServicesToPlan(keys):
                self.enqueued.extend(keys)
            case LinkChanged(name):
                self.guards.link_changed(name)
            case LinkStatusChanged(name):
                self.guards.slices_changed(name)

    def mirror(self, count: int) -> None:
        self.store.put_link(LINK)
        for key in KEYS[:count]:
            self.store.put(MAIN, mirrored_slice(key=key))
        self.enqueued.clear()

    async def plan_deletions(self, count: int) -> None:
        """The first Services lose a slice, the others do not; waits until this has settled."""
        for number, key in enumerate(KEYS):
            deletions = int(number < count)
            self.guards.record(
                key,
                [Decision(key, "c1", Outcome.KEPT, Reason.DELETION_SETTLING, deletions=deletions)],
            )
        await asyncio.sleep(SETTLE_SECONDS + 1)

    @property
    def guard(self) -> deletion_guard.Guard:
        return self.store.guard("c1")

    @property
    def is_held(self) -> bool:
        return self.guard.wave is not None and self.guard.wave.held_until is not None


@virtual_time
async def test_cluster_with_enough_slices_is_guarded_before_any_plan() -> None:
    """The guard is armed with the twentieth slice, and disarmed when there are fewer."""
    world, armed = World(), []
    for count in (19, 20, 24):
        world.mirror(count)
        armed.append(world.guard.is_armed)
    for number in range(5):
        world.store.remove(MAIN, EndpointSlice, NamespacedName("default", f"s{number}-c1"))
        armed.append(world.guard.is_armed)
    assert armed == [False, True, True, True, True, True, True, False]


@virtual_time
async def test_few_deletions_are_released_and_planned_again() -> None:
    """A few deletions are released once no more follow, and the guard forgets them later."""
    world = World()
    world.mirror(24)
    await world.plan_deletions(2)
    assert world.guard.released == frozenset(KEYS[:2])
    assert set(world.enqueued) == set(KEYS[:2])
    await world.plan_deletions(0)
    assert not world.guard.released


@virtual_time
async def test_deletions_of_most_slices_are_held() -> None:
    """Deletions of more than half of the slices are held until they are no longer planned."""
    world = World()
    world.mirror(24)
    await world.plan_deletions(13)
    assert world.is_held
    await world.plan_deletions(0)
    assert world.guard.wave is None
    assert world.guard.is_armed


@virtual_time
async def test_held_deletions_proceed_after_the_hold() -> None:
    """After the hold, deletions that are still planned are released without any other event."""
    world = World(hold=300)
    world.mirror(24)
    await world.plan_deletions(24)
    await asyncio.sleep(290)
    assert world.is_held
    await asyncio.sleep(20)
    assert world.guard.released == frozenset(KEYS)


@virtual_time
async def test_edit_of_the_link_lifts_the_hold() -> None:
    """Deletions after a new generation of the link are not held; a new status is not an edit."""
    world = World()
    world.mirror(24)
    await world.plan_deletions(24)
    world.store.put_link(evolve(LINK, status=evolve(LINK.status, services=3)))
    assert world.is_held
    world.store.put_link(link(generation=2))
    assert world.guard == UNGUARDED


@virtual_time
async def test_without_a_new_generation_nothing_is_lifted() -> None:
    """Whatever else is new about a link, such as what its Secret holds, is not an edit."""
    world = World()
    world.mirror(24)
    await world.plan_deletions(24)
    world.store.set_connection("c1", PENDING)
    world.store.put_link(evolve(LINK, spec=ClusterLinkSpec(kubeconfig="rotated")))
    world.store.set_connection("c1", SYNCED)
    assert world.is_held


@virtual_time
async def test_hold_of_zero_disables_the_guard() -> None:
    """With a hold of 0 seconds no guard is ever armed."""
    world = World(hold=0)
    world.mirror(24)
    await world.plan_deletions(24)
    world.store.mark_status_changed("c1")
    assert world.guard == UNGUARDED


@virtual_time
async def test_removed_link_is_forgotten() -> None:
    """A link that is created again under the same name starts without held deletions."""
    world = World()
    world.mirror(24)
    await world.plan_deletions(24)
    assert world.is_held
    world.store.remove_link("c1")
    world.guards.record(KEYS[0], [Decision(KEYS[0], "c1", Outcome.SKIPPED, Reason.LINK_GONE)])
    world.store.put_link(LINK)
    assert world.guard.wave is None
