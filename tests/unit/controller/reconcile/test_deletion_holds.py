"""Planned deletions are counted by cluster, and their Services planned again when a hold ends.

Real: the store, the rules of the core, timers. Substituted: the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import pytest
from attrs import evolve

from svclink_controller.reconcile.deletion_holds import DeletionHolds
from svclink_controller.state.changes import (
    ClusterRead,
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
    Guard,
    NamespacedName,
    Options,
    Outcome,
    Reason,
    deletion_guard,
)
from svclink_core.deletion_guard import SETTLE_SECONDS
from svclink_core.meta_v1 import LabelSelector
from svclink_core.svclink_v1alpha1 import SecretKeyReference, UnreachablePolicy
from svclink_core.well_known import MAIN
from tests.builders.values import link, mirrored_slice
from tests.unit.controller.virtual_time import loop_time, virtual_time

LINK = link()
KEYS = [NamespacedName("default", f"s{number}") for number in range(24)]


class World:
    """A link with mirrored slices, its guard, and the Services that are to be planned again."""

    def __init__(self, hold: float = 300) -> None:
        self.enqueued: list[NamespacedName] = []
        self.due: frozenset[NamespacedName] = frozenset()
        self.store = Store(Options(deletion_hold=hold), self.act_on)
        self.guards = DeletionHolds(self.store, loop_time, lambda _: self.due)
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
            case ClusterRead():
                self.guards.cluster_read(change)

    def edit(self, generation: int, uid: str | None = None, **fields: Any) -> None:
        """A new generation of the link, which differs from the first in these fields."""
        spec = evolve(LINK.spec, **fields)
        self.store.put_link(link(spec=spec, generation=generation, uid=uid))

    def read(self, generation: int, *, is_new: bool = True) -> None:
        """A session reads what this generation of the link asks for."""
        self.store.listener(ClusterRead("c1", generation, is_new))

    def mirror(self, count: int) -> None:
        self.store.put_link(LINK)
        for key in KEYS[:count]:
            self.store.put(MAIN, mirrored_slice(key=key))
        self.enqueued.clear()

    async def plan_deletions(self, count: int) -> None:
        """The first Services lose a slice, the others do not; waits until this has settled."""
        for number, key in enumerate(KEYS):
            self.plan(key, Reason.DELETION_SETTLING, int(number < count))
        await asyncio.sleep(SETTLE_SECONDS + 1)

    def plan(self, key: NamespacedName, reason: Reason, deletions: int = 0) -> None:
        """A Service of the cluster is planned."""
        self.due -= {key}
        decision = Decision(key, "c1", Outcome.KEPT, reason, deletions=deletions)
        self.guards.record(key, [decision])

    @property
    def guard(self) -> deletion_guard.Guard:
        return self.store.guard("c1")

    @property
    def is_held(self) -> bool:
        return self.guard.wave is not None and self.guard.wave.held_until is not None


@virtual_time
async def test_deletions_are_counted_however_slowly_they_are_planned() -> None:
    """Nothing is released before all Services were planned that were due when the wave began."""
    world = World()
    world.mirror(24)
    world.due = frozenset(KEYS)
    for key in KEYS:
        world.plan(key, Reason.DELETION_SETTLING, 1)
        await asyncio.sleep(SETTLE_SECONDS)
        assert world.guard.released == frozenset()
    assert world.is_held


@virtual_time
async def test_few_deletions_proceed_once_all_services_were_planned() -> None:
    """A wave ends with the last plan that it has waited for."""
    world = World()
    world.mirror(24)
    world.due = frozenset(KEYS)
    for number, key in enumerate(KEYS):
        world.plan(key, Reason.DELETION_SETTLING, int(number < 2))
        await asyncio.sleep(SETTLE_SECONDS)
    assert world.guard.released == frozenset(KEYS[:2])


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
    """A new generation of the link lifts what is held; a new status is not an edit."""
    world = World()
    world.mirror(24)
    await world.plan_deletions(24)
    world.store.put_link(evolve(LINK, status=evolve(LINK.status, services=3)))
    assert world.is_held
    world.edit(2, drained=True)
    assert world.guard == Guard(is_armed=True, released=frozenset(KEYS))
    await world.plan_deletions(0)
    await world.plan_deletions(24)
    assert world.is_held, "lost after the edit, and not because of it"


SELECTING: Final[Mapping[str, Any]] = {"service_selector": LabelSelector((("mirror", "yes"),))}


@virtual_time
@pytest.mark.parametrize(
    "fields", [{"drained": True}, {"excluded_service_names": ("a",)}, SELECTING]
)
async def test_edit_does_not_disarm_the_guard(fields: Mapping[str, Any]) -> None:
    """What the cluster loses after an edit, before anything is listed for it, is held."""
    world = World()
    world.mirror(24)
    world.read(1)
    world.edit(2, **fields)
    await world.plan_deletions(24)
    assert world.is_held


@virtual_time
@pytest.mark.parametrize(
    ("fields", "is_held"),
    [
        ({"kubeconfig": "other"}, False),
        ({"kubeconfig_secret_ref": SecretKeyReference("other")}, False),
        (SELECTING, False),
        ({"namespace_selector": LabelSelector((("mirror", "yes"),))}, False),
        ({"cluster_id": "other"}, False),
        ({"drained": True}, True),
        ({"unreachable": UnreachablePolicy("Remove")}, True),
        ({"included_namespaces": ("default",)}, True),
    ],
)
async def test_first_list_after_an_edit(fields: Mapping[str, Any], is_held: bool) -> None:
    """Of an edit of what is read, the first list shows the effect, however late it comes."""
    world = World(hold=300)
    world.mirror(24)
    world.read(1)
    world.edit(2, **fields)
    await asyncio.sleep(1000)
    world.read(2)
    await world.plan_deletions(22)
    assert world.is_held is is_held
    assert is_held or world.guard.released == frozenset(KEYS[:22])


@virtual_time
async def test_later_losses_are_guarded_again() -> None:
    """After the first list of an edit the guard is armed: for later losses, and later lists."""
    for again in (False, True):
        world = World()
        world.mirror(24)
        world.read(1)
        world.edit(2, **SELECTING)
        world.read(2)
        await world.plan_deletions(0)
        if again:
            world.read(2)
        await world.plan_deletions(24)
        assert world.is_held


@virtual_time
async def test_losses_that_are_not_decided_yet_are_intended_too() -> None:
    """A Service that waits for its slices is taken as the first list has it, not as later ones."""
    world = World()
    world.mirror(24)
    world.read(1)
    world.edit(2, **SELECTING)
    world.read(2)
    for key in KEYS:
        world.plan(key, Reason.REMOTE_CHANGING)
    await world.plan_deletions(24)
    assert world.guard.released == frozenset(KEYS)


@virtual_time
@pytest.mark.parametrize("is_undone", [True, False])
async def test_edit_that_leads_to_no_list_is_not_remembered(is_undone: bool) -> None:
    """An edit that is undone, or that needs no other session, concerns no later list."""
    world = World()
    world.mirror(24)
    world.read(1)
    world.edit(2, **SELECTING)
    if is_undone:
        world.edit(3)
    world.read(3 if is_undone else 2, is_new=False)
    await asyncio.sleep(1000)
    world.read(3 if is_undone else 2)
    await world.plan_deletions(24)
    assert world.is_held


@virtual_time
async def test_first_list_after_a_start_is_guarded() -> None:
    """What was read before is not known: what the first list lacks may be lost."""
    world = World()
    world.mirror(24)
    world.read(1)
    await world.plan_deletions(24)
    assert world.is_held


@virtual_time
async def test_list_for_an_earlier_generation_does_not_count() -> None:
    """A list shows the effect of an edit only if it was made for that generation."""
    world = World()
    world.mirror(24)
    world.read(1)
    world.edit(2, **SELECTING)
    world.read(1)
    await world.plan_deletions(24)
    assert world.is_held


@virtual_time
async def test_link_that_was_created_again_was_not_edited() -> None:
    """A watch may report a deletion and a creation as one change; it is another link."""
    world = World()
    world.mirror(24)
    world.read(1)
    world.edit(1, uid="other", kubeconfig="other")
    world.read(1)
    await world.plan_deletions(24)
    assert world.is_held


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
