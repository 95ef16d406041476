"""What replaces all objects of a cluster after it was listed."""

from __future__ import annotations

from collections.abc import Iterable

from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import LONG_AGO, PENDING, SYNCED
from tests.builders.keys import WEB
from tests.builders.values import link, remote_slice, service

from .stores import API, SOURCE, linked, undecodable


def take_over(
    store: Store,
    services: Iterable[Service] = (),
    slices: Iterable[EndpointSlice] = (),
    broken: Iterable[Undecodable] = (),
) -> None:
    """Replace everything of c1."""
    successor = store.successor("c1")
    for _ in successor.taking(Service, Listing(list(services), [], "1")):
        pass
    for _ in successor.taking(EndpointSlice, Listing(list(slices), list(broken), "1")):
        pass
    for _ in successor.noting_removals():
        pass
    store.take_over("c1", successor)


def changed_at(store: Store, key: NamespacedName) -> float:
    return store.snapshot().remotes["c1"].changed_at.get(key, LONG_AGO)


def test_everything_is_replaced() -> None:
    """Only what was listed is held, and all Services of the cluster are planned."""
    made = linked("c1")
    made.store.put("c1", service(API))
    take_over(made.store, [service()], [remote_slice()])
    remote = made.store.snapshot().remotes["c1"]
    assert set(remote.services) == {WEB}
    assert set(remote.endpoint_slices) == {WEB}
    assert {WEB, API} <= set(made.enqueued)


def test_memory_is_that_of_the_new_objects() -> None:
    """What was held before does not count against the budget."""
    made = linked("c1")
    made.store.put("c1", service())
    memory = made.store.memory("c1")
    assert memory > 0
    take_over(made.store, [service()])
    assert made.store.memory("c1") == memory
    take_over(made.store)
    assert made.store.memory("c1") == 0


def test_undecodable_object_keeps_its_previous_state() -> None:
    """An object that exists is not taken for a deleted one because it could not be decoded."""
    made = linked("c1")
    made.store.put("c1", remote_slice())
    take_over(made.store, broken=[undecodable(), undecodable("never-decoded")])
    remote = made.store.snapshot().remotes["c1"]
    assert [each.metadata.name for each in remote.endpoint_slices[WEB]] == [SOURCE.name]
    assert WEB in remote.undecodable


def test_changes_of_a_synced_cluster_are_noted() -> None:
    """Service and slices were listed at different moments: they wait for each other."""
    made = linked("c1")
    made.store.put("c1", service(version="1"))
    made.store.put("c1", service(API))
    before = changed_at(made.store, WEB)
    take_over(made.store, [service(version="2", uid="another")])
    assert changed_at(made.store, WEB) > before
    assert changed_at(made.store, API) > LONG_AGO


def test_objects_of_a_cluster_that_is_not_synced_are_not_noted_one_by_one() -> None:
    """They all wait from the moment at which the cluster is synced."""
    made = linked("c1")
    made.store.set_connection("c1", PENDING)
    made.store.put("c1", service(API))
    take_over(made.store, [service()])
    assert changed_at(made.store, WEB) == changed_at(made.store, API) == LONG_AGO


def test_first_objects_of_a_cluster_are_planned_once_it_is_connected() -> None:
    """Setting the connection plans every Service; taking the objects over does not do it before."""
    made = linked("c1")
    made.store.set_connection("c1", PENDING)
    made.changes.clear()
    take_over(made.store, [service()])
    assert made.enqueued == []
    made.store.set_connection("c1", SYNCED)
    assert WEB in made.enqueued


def test_link_that_was_deleted_meanwhile_gets_no_objects() -> None:
    """A link of the same name that is created later begins with nothing."""
    made = linked("c1")
    successor = made.store.successor("c1")
    for _ in successor.taking(Service, Listing([service()], [], "1")):
        pass
    made.store.remove_link("c1")
    made.store.take_over("c1", successor)
    made.store.put_link(link("c1"))
    assert not made.store.snapshot().remotes["c1"].services
