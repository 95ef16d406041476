"""The store holds the objects of every cluster, and reports which Services a change concerns.

Real: the store and the core. Substituted: reflectors and workers, by direct calls.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from svclink_controller.state.changes import LinkChanged, LinkStatusChanged, ServicesToPlan
from svclink_controller.state.cluster_objects import ObjectType
from svclink_controller.state.store import PLANNED_KINDS
from svclink_core import (
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    EndpointSlice,
    NamespacedName,
    Service,
    TrafficPolicy,
)
from svclink_core.well_known import MAIN
from tests.builders.keys import WEB
from tests.builders.stores import replace_objects
from tests.builders.values import link, mirrored_slice, remote_slice, service
from tests.unit.controller.state.stores import (
    API,
    LOST,
    SOURCE,
    linked,
    listing,
    undecodable,
    world,
)

# Completeness


@pytest.mark.parametrize("kind_listed_last", [ClusterLink, EndpointSlice, TrafficPolicy])
def test_no_service_is_planned_before_main_is_listed(kind_listed_last: type) -> None:
    """No Service is planned before every kind of main is listed, policies included."""
    made = world(is_complete=False)
    made.store.put_link(link(version="1"))
    made.store.set_connection("c1", SYNCED)
    replace_objects(made.store, MAIN, Service, listing(service()))
    broken = listing(remote_slice(), undecodable=[undecodable("other")])
    replace_objects(made.store, "c1", EndpointSlice, broken)
    made.store.put("c1", remote_slice("other"))
    made.store.remove("c1", EndpointSlice, SOURCE)
    for kind in PLANNED_KINDS - {kind_listed_last}:
        made.store.mark_listed(kind)
    made.store.put(MAIN, mirrored_slice())
    assert not made.store.is_complete
    assert made.enqueued == []


def test_last_list_of_main_plans_every_service() -> None:
    """After the last of the lists every Service of any cluster is planned once."""
    made = world(is_complete=False)
    made.store.put_link(link(version="1"))
    replace_objects(made.store, MAIN, Service, listing(service()))
    replace_objects(made.store, "c1", Service, listing(service(API)))
    for kind in (*PLANNED_KINDS, EndpointSlice):
        made.store.mark_listed(kind)
    assert sorted(made.enqueued) == [API, WEB]


# Services to plan


@pytest.mark.parametrize("cluster", [MAIN, "c1"])
def test_changed_service_is_planned(cluster: str) -> None:
    """A Service that is added, changed or removed is planned again."""
    made = linked("c1")
    acts: list[Callable[[], None]] = [
        lambda: made.store.put(cluster, service()),
        lambda: made.store.put(cluster, service(version="2")),
        lambda: made.store.remove(cluster, Service, WEB),
    ]
    for act in acts:
        made.changes.clear()
        act()
        assert made.enqueued == [WEB]


@pytest.mark.parametrize("cluster", [MAIN, "c1"])
def test_service_of_a_changed_slice_is_planned(cluster: str) -> None:
    """The Service of a slice that is added, changed or removed is planned again."""
    made = linked("c1")
    acts: list[Callable[[], None]] = [
        lambda: made.store.put(cluster, remote_slice()),
        lambda: made.store.put(cluster, remote_slice(version="2")),
        lambda: made.store.remove(cluster, EndpointSlice, SOURCE),
    ]
    for act in acts:
        made.changes.clear()
        act()
        assert made.enqueued == [WEB]


def test_slice_that_moves_plans_both_services() -> None:
    """A slice with another Service label plans the Service that it left, too."""
    made = linked("c1")
    made.store.put("c1", remote_slice())
    made.changes.clear()
    made.store.put("c1", remote_slice("web-abc", key=API, version="2"))
    assert sorted(made.enqueued) == [API, WEB]


def test_same_version_is_not_a_change() -> None:
    """A list of held versions plans nothing and changes no status."""
    made = linked("c1")
    for cluster, item in (
        (MAIN, service()),
        (MAIN, mirrored_slice()),
        ("c1", service()),
        ("c1", remote_slice()),
    ):
        made.store.put(cluster, item)
        made.changes.clear()
        replace_objects(made.store, cluster, type(item), listing(item))
        assert (made.enqueued, made.outdated_statuses) == ([], [])


def test_object_without_version_is_a_change() -> None:
    """Without a resourceVersion an object may have changed."""
    made = linked("c1")
    made.store.put("c1", service(version=""))
    made.changes.clear()
    made.store.put("c1", service(version=""))
    assert made.enqueued == [WEB]


def test_removing_an_absent_object_is_not_a_change() -> None:
    """A DELETED event of an absent object plans nothing."""
    made = linked("c1")
    made.store.remove("c1", Service, WEB)
    made.store.remove("c1", EndpointSlice, WEB)
    made.store.remove(MAIN, EndpointSlice, WEB)
    assert made.enqueued == []


@pytest.mark.parametrize("change", ["spec", "uid", "connection", "gone"])
def test_changed_link_plans_every_service(change: str) -> None:
    """A link that is edited, re-created, removed or lost plans every Service of any cluster."""
    made = linked("c1", "c2")
    made.store.put(MAIN, service())
    made.store.put("c2", service(API))
    made.store.put(MAIN, mirrored_slice(key=NamespacedName("default", "old")))
    made.changes.clear()
    match change:
        case "spec":
            made.store.put_link(link(version="2", spec=ClusterLinkSpec(enabled=False)))
        case "uid":
            made.store.put_link(link(uid="another", version="2"))
        case "connection":
            made.store.set_connection("c1", LOST)
        case _:
            made.store.remove_link("c1")
    assert sorted(made.enqueued) == [API, NamespacedName("default", "old"), WEB]
    assert made.outdated_statuses == ["c1"]


def test_status_of_a_link_plans_nothing() -> None:
    """Only svclink writes the status of a link, and plans do not depend on it."""
    made = linked("c1")
    made.store.put(MAIN, service())
    made.changes.clear()
    made.store.put_link(evolve(link(version="2"), status=ClusterLinkStatus(services=5)))
    assert (made.enqueued, made.store.links["c1"].status.services) == ([], 5)


def test_edited_link_is_reported_as_link_status_and_services() -> None:
    """An edit outdates the status, changes the link and plans its Services again, in order."""
    made = linked("c1")
    made.store.put("c1", service())
    made.changes.clear()
    made.store.put_link(link(version="2", spec=ClusterLinkSpec(enabled=False)))
    assert (made.outdated_statuses, made.changed_links, made.enqueued) == (["c1"], ["c1"], [WEB])
    assert list(map(type, made.changes)) == [LinkStatusChanged, LinkChanged, ServicesToPlan]


@pytest.mark.parametrize("cluster", [MAIN, "c1"])
def test_cluster_that_changed_is_reported(cluster: str) -> None:
    """What is planned again says which cluster is the cause."""
    made = linked("c1")
    made.store.put(cluster, service())
    made.store.put(cluster, remote_slice())
    made.store.remove(cluster, EndpointSlice, remote_slice().metadata.key)
    assert made.causes == [cluster] * 3


def test_change_of_a_whole_cluster_concerns_every_service() -> None:
    """What is planned again because of a link has no single cause."""
    made = linked("c1")
    made.store.put("c1", service())
    made.changes.clear()
    made.store.put_link(link(version="2", spec=ClusterLinkSpec(enabled=False)))
    made.store.wake("c1")
    assert made.causes == [None, None]


def test_numbers_of_a_link_leave_the_link_itself_unchanged() -> None:
    """A new mirror puts the status of its link out of date, and does not change the link."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice())
    assert (made.outdated_statuses, made.changed_links) == (["c1"], [])


def test_same_connection_is_not_a_change() -> None:
    """A cluster that is still synced plans nothing."""
    made = linked("c1")
    made.store.set_connection("c1", SYNCED)
    assert (made.enqueued, made.outdated_statuses) == ([], [])


# Lists


def test_list_removes_missing_objects() -> None:
    """An object that a complete list lacks is removed, and its Service is planned."""
    made = linked("c1")
    replace_objects(made.store, "c1", Service, listing(service(), service(API)))
    replace_objects(
        made.store, "c1", EndpointSlice, listing(remote_slice(), remote_slice("api-1", key=API))
    )
    made.changes.clear()
    replace_objects(made.store, "c1", Service, listing(service()))
    replace_objects(made.store, "c1", EndpointSlice, listing(remote_slice()))
    remote = made.store.snapshot().remotes["c1"]
    assert (set(remote.services), set(remote.endpoint_slices)) == ({WEB}, {WEB})
    assert made.enqueued == [API, API]


def test_list_of_a_namespace_keeps_other_namespaces() -> None:
    """The list of one namespace removes nothing in another."""
    made = linked("c1")
    elsewhere = NamespacedName("elsewhere", "web")
    replace_objects(made.store, "c1", Service, listing(service(), service(elsewhere)))
    replace_objects(made.store, "c1", Service, listing(), "default")
    assert set(made.store.snapshot().remotes["c1"].services) == {elsewhere}


def test_list_keeps_the_last_state_of_an_undecodable_object() -> None:
    """An undecodable object of a list exists: its last state stays and its Service is marked."""
    made = linked("c1")
    replace_objects(made.store, "c1", EndpointSlice, listing(remote_slice()))
    made.changes.clear()
    replace_objects(made.store, "c1", EndpointSlice, listing(undecodable=[undecodable()]))
    remote = made.store.snapshot().remotes["c1"]
    assert (set(remote.endpoint_slices), list(remote.undecodable)) == ({WEB}, [WEB])
    assert made.enqueued == [WEB]


@pytest.mark.parametrize("kind", [Service, EndpointSlice])
@pytest.mark.parametrize("end", ["decoded", "deleted", "not in the next list"])
def test_undecodable_mark_ends_with_a_decodable_or_removed_object(
    kind: ObjectType, end: str
) -> None:
    """An object that is decoded or removed unmarks its Service, which is planned again."""
    made = linked("c1")
    made.store.mark_undecodable("c1", kind, undecodable("web"))
    made.changes.clear()
    match end:
        case "decoded":
            made.store.put("c1", service() if kind is Service else remote_slice("web"))
        case "deleted":
            made.store.remove("c1", kind, WEB)
        case _:
            replace_objects(made.store, "c1", kind, listing())
    assert list(made.store.snapshot().remotes["c1"].undecodable) == []
    assert set(made.enqueued) == {WEB}


def test_undecodable_service_and_slice_are_marked_separately() -> None:
    """A decodable Service does not unmark a slice of the same name."""
    made = linked("c1")
    made.store.mark_undecodable("c1", Service, undecodable("web"))
    made.store.mark_undecodable("c1", EndpointSlice, undecodable("web"))
    made.store.put("c1", service())
    assert list(made.store.snapshot().remotes["c1"].undecodable) == [WEB]
