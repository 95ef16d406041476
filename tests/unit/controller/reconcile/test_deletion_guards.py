"""Deletion guards at work: what plans condemn is counted, and what waits is planned again when it need wait no more.

Real: the store, the rules of the core, timers. Substituted: the waits, which are made short.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from attrs import evolve

from svclink_controller.reconcile.deletion_guards import DeletionGuards
from svclink_controller.state.changes import (
    LinkChanged,
    LinkStatusChanged,
    ServicesToPlan,
    StateChange,
)
from svclink_controller.state.store import Store
from svclink_core import (
    UNGUARDED,
    ClusterLink,
    ClusterLinkSpec,
    Decision,
    EndpointSlice,
    NamespacedName,
    ObjectMeta,
    Options,
    Outcome,
    Reason,
    Service,
    deletion_guard,
)
from svclink_core.well_known import MAIN
from tests.builders.values import mirrored_slice
from tests.unit.controller.servers import eventually

LINK = ClusterLink(ObjectMeta("c1", uid="uid-of-c1", generation=1))
KEYS = [NamespacedName("default", f"s{number}") for number in range(24)]


class World:
    """A link with mirrored slices, its guard, and which Services are to be planned again."""

    def __init__(self, hold: float) -> None:
        self.enqueued: list[NamespacedName] = []
        self.store = Store(Options(deletion_hold=hold), self.act_on)
        self.guards = DeletionGuards(self.store)
        for kind in (ClusterLink, Service, EndpointSlice):
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
            self.store.put(MAIN, mirrored_slice(f"{key.name}-c1", key=key))
        self.enqueued.clear()

    def condemn(self, count: int) -> None:
        """The first Services are doomed, the others are not."""
        for number, key in enumerate(KEYS):
            doomed = int(number < count)
            self.guards.record(
                key, [Decision(key, "c1", Outcome.KEPT, Reason.DELETION_SETTLING, doomed=doomed)]
            )

    @property
    def guard(self) -> deletion_guard.Guard:
        return self.store.guard("c1")

    @property
    def is_held(self) -> bool:
        return self.guard.wave is not None and self.guard.wave.held_until is not None


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A guard that settles fast, and holds for long."""
    monkeypatch.setattr(deletion_guard, "SETTLE_SECONDS", 0.1)
    made = World(hold=300)
    yield made
    made.guards.close()


async def test_a_cluster_of_some_size_is_guarded_before_anything_is_planned(world: World) -> None:
    """The guard is armed with the twentieth slice, and disarmed when there are fewer."""
    seen = []
    for count in (19, 20, 24):
        world.mirror(count)
        seen.append(world.guard.is_armed)
    for number in range(5):
        world.store.remove(MAIN, EndpointSlice, NamespacedName("default", f"s{number}-c1"))
        seen.append(world.guard.is_armed)
    assert seen == [False, True, True, True, True, True, True, False]


async def test_a_few_deletions_are_released_and_planned_again(world: World) -> None:
    """What waited is planned again once nothing more came; and the guard is calm when it is gone."""
    world.mirror(24)
    world.condemn(2)
    await eventually(lambda: world.guard.released == frozenset(KEYS[:2]))
    assert set(world.enqueued) == set(KEYS[:2])
    world.condemn(0)
    await eventually(lambda: not world.guard.released)


async def test_most_deletions_are_held(world: World) -> None:
    """A wave of more than half is held, and what comes back ends that."""
    world.mirror(24)
    world.condemn(13)
    await eventually(lambda: world.is_held)
    world.condemn(0)
    await eventually(lambda: world.guard.wave is None and world.guard.is_armed)


async def test_what_is_held_proceeds_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the hold everything that still waits is released, without anything else happening."""
    monkeypatch.setattr(deletion_guard, "SETTLE_SECONDS", 0.05)
    world = World(hold=0.3)
    world.mirror(24)
    world.condemn(24)
    await eventually(lambda: world.is_held)
    await eventually(lambda: world.guard.released == frozenset(KEYS))
    world.guards.close()


async def test_an_edited_link_is_believed(world: World) -> None:
    """Nothing waits after an edit of the link, nor what waited before; a new status is no edit."""
    world.mirror(24)
    world.condemn(24)
    await eventually(lambda: world.is_held)
    world.store.put_link(evolve(LINK, status=evolve(LINK.status, services=3)))
    assert world.is_held
    world.store.put_link(evolve(LINK, spec=ClusterLinkSpec(excluded_services=("a/b",))))
    assert world.guard == UNGUARDED


async def test_a_guard_that_is_off_holds_nothing() -> None:
    """With a hold of nothing no guard is ever armed."""
    world = World(hold=0)
    world.mirror(24)
    world.condemn(24)
    world.store.mark_status_changed("c1")
    assert world.guard == UNGUARDED
    world.guards.close()


async def test_a_link_that_is_gone_is_forgotten(world: World) -> None:
    """A link of the same name that is made later begins anew."""
    world.mirror(24)
    world.condemn(24)
    await eventually(lambda: world.is_held)
    world.store.remove_link("c1")
    world.guards.record(KEYS[0], [Decision(KEYS[0], "c1", Outcome.SKIPPED, Reason.LINK_GONE)])
    world.store.put_link(LINK)
    assert world.guard.wave is None
