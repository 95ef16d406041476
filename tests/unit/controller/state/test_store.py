"""The store knows what it was told, says which Services a change concerns, and forgets what is gone.

Real: the store and the core. Substituted: reflectors and workers, by direct calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import pytest
from attrs import define, evolve, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from svclink_controller.state.changes import (
    LinkChanged,
    LinkStatusChanged,
    ServicesToPlan,
    StateChange,
)
from svclink_controller.state.cluster_objects import ObjectType
from svclink_controller.state.link_states import Observation
from svclink_controller.state.mirror_counts import MirrorCounts
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core import (
    PENDING,
    SYNCED,
    UNGUARDED,
    Change,
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Endpoint,
    EndpointSlice,
    Finding,
    Guard,
    Namespace,
    NamespacedName,
    ObjectMeta,
    Options,
    Service,
    ServicePort,
    ServiceSpec,
    Unreachable,
    plan_service,
)
from svclink_core.discovery_v1 import CONDITIONS
from svclink_core.snapshot import Connection, all_keys, group_by_service
from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MAIN,
    MANAGED_BY,
)
from tests.unit.controller.state.fingerprints import fingerprint
from tests.unit.core.strategies.endpoint_slices import any_main_slices, remote_endpoint_slices
from tests.unit.core.strategies.links import connections, link_specs
from tests.unit.core.strategies.names import AMBIGUOUS
from tests.unit.core.strategies.services import services
from tests.unit.core.world import NOW

WEB = NamespacedName("default", "web")
API = NamespacedName("default", "api")
LOST = Unreachable("2026-01-01T00:00:00Z", 1_767_225_600.0)


@define
class World:
    """A store, and the changes it reported."""

    store: Store
    changes: list[StateChange]

    @property
    def enqueued(self) -> list[NamespacedName]:
        """Services to plan again, in the order in which the store reported them."""
        reported = [change for change in self.changes if isinstance(change, ServicesToPlan)]
        return [key for change in reported for key in change.keys]

    @property
    def outdated_statuses(self) -> list[str]:
        """Links with a status that is out of date."""
        return [change.name for change in self.changes if isinstance(change, LinkStatusChanged)]

    @property
    def changed_links(self) -> list[str]:
        """Links that were added, edited or removed, or whose connection changed."""
        return [change.name for change in self.changes if isinstance(change, LinkChanged)]


def world(*, complete: bool = True) -> World:
    changes: list[StateChange] = []
    store = Store(Options(), changes.append)
    for kind in (ClusterLink, Service, EndpointSlice) if complete else ():
        store.mark_listed(kind)
    return World(store, changes)


def linked(*names: str) -> World:
    """A complete store with links, and nothing told yet."""
    made = world()
    for name in names:
        made.store.put_link(link(name))
        made.store.set_connection(name, SYNCED)
    made.changes.clear()
    return made


def link(
    name: str = "c1", version: str = "1", *, uid: str = "uid", spec: ClusterLinkSpec | None = None
) -> ClusterLink:
    return ClusterLink(
        ObjectMeta(name, uid=uid, resource_version=version), spec or ClusterLinkSpec()
    )


def service(key: NamespacedName = WEB, version: str = "1") -> Service:
    metadata = ObjectMeta(key.name, key.namespace, f"uid-of-{key.name}", version)
    return Service(
        metadata,
        ServiceSpec(cluster_ip="10.96.0.1", ip_families=("IPv4",), ports=(ServicePort(80),)),
    )


def remote_slice(
    name: str = "web-1", key: NamespacedName = WEB, version: str = "1"
) -> EndpointSlice:
    labels = ((LABEL_SERVICE_NAME, key.name),)
    metadata = ObjectMeta(name, key.namespace, f"uid-of-{name}", version, labels=labels)
    return EndpointSlice(metadata, "IPv4", (Endpoint(("10.0.0.1",)),))


def mirrored_slice(
    name: str = "web-c1",
    key: NamespacedName = WEB,
    version: str = "1",
    cluster: str = "c1",
    endpoints: int = 1,
) -> EndpointSlice:
    labels = (
        (LABEL_CLUSTER, cluster),
        (LABEL_MANAGED_BY, MANAGED_BY),
        (LABEL_SERVICE_NAME, key.name),
    )
    metadata = ObjectMeta(
        name, key.namespace, f"uid-of-{name}", version, labels=tuple(sorted(labels))
    )
    return EndpointSlice(
        metadata, "IPv4", tuple(Endpoint((f"10.0.0.{number + 1}",)) for number in range(endpoints))
    )


def listing(
    *items: Service | EndpointSlice, undecodable: Iterable[Undecodable] = ()
) -> Listing[Service]:
    return Listing(list(items), list(undecodable), "1")  # type: ignore[arg-type]  # the store asks for one kind only


def undecodable(name: str = "web-1", key: NamespacedName = WEB) -> Undecodable:
    return Undecodable(NamespacedName(key.namespace, name), key, "who knows")


# When it speaks


def test_nothing_is_enqueued_before_everything_of_main_was_listed() -> None:
    """Whatever is told before, no Service is planned until links, Services and slices of main are known."""
    made = world(complete=False)
    made.store.put_link(link())
    made.store.set_connection("c1", SYNCED)
    made.store.replace(MAIN, Service, listing(service()))
    made.store.replace(
        "c1", EndpointSlice, listing(remote_slice(), undecodable=[undecodable("other")])
    )
    made.store.put("c1", remote_slice("other"))
    made.store.remove("c1", EndpointSlice, NamespacedName("default", "web-1"))
    made.store.mark_listed(Service)
    made.store.mark_listed(ClusterLink)
    made.store.put(MAIN, mirrored_slice())
    assert not made.store.is_complete
    assert made.enqueued == []


def test_everything_is_enqueued_with_the_last_list_of_main() -> None:
    """When the last of the three lists is there, every Service anybody has is planned, once."""
    made = world(complete=False)
    made.store.put_link(link())
    made.store.replace(MAIN, Service, listing(service()))
    made.store.replace("c1", Service, listing(service(API)))
    for kind in (ClusterLink, Service, EndpointSlice, EndpointSlice):
        made.store.mark_listed(kind)
    assert sorted(made.enqueued) == [API, WEB]


# Dirty keys


@pytest.mark.parametrize("cluster", [MAIN, "c1"])
def test_service_is_dirty_when_it_comes_changes_or_goes(cluster: str) -> None:
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
def test_service_of_a_slice_is_dirty_when_it_comes_changes_or_goes(cluster: str) -> None:
    """The Service of a slice that is added, changed or removed is planned again."""
    made = linked("c1")
    acts: list[Callable[[], None]] = [
        lambda: made.store.put(cluster, remote_slice()),
        lambda: made.store.put(cluster, remote_slice(version="2")),
        lambda: made.store.remove(cluster, EndpointSlice, NamespacedName("default", "web-1")),
    ]
    for act in acts:
        made.changes.clear()
        act()
        assert made.enqueued == [WEB]


def test_slice_that_moves_dirties_both_services() -> None:
    """Where the Service label of a slice changes, the Service it left is planned as well."""
    made = linked("c1")
    made.store.put("c1", remote_slice())
    made.changes.clear()
    made.store.put("c1", remote_slice(key=API, version="2"))
    assert sorted(made.enqueued) == [API, WEB]


def test_same_version_again_is_no_change() -> None:
    """A relist that finds what is known dirties nothing and changes no status."""
    made = linked("c1")
    for cluster, item in (
        (MAIN, service()),
        (MAIN, mirrored_slice()),
        ("c1", service()),
        ("c1", remote_slice()),
    ):
        made.store.put(cluster, item)
        made.changes.clear()
        made.store.replace(cluster, type(item), listing(item))
        assert (made.enqueued, made.outdated_statuses) == ([], [])


def test_object_without_version_always_counts_as_changed() -> None:
    """Where no resourceVersion tells, nothing is taken for known."""
    made = linked("c1")
    made.store.put("c1", service(version=""))
    made.changes.clear()
    made.store.put("c1", service(version=""))
    assert made.enqueued == [WEB]


def test_removing_what_is_not_there_is_no_change() -> None:
    """A DELETED event for something unknown dirties nothing."""
    made = linked("c1")
    made.store.remove("c1", Service, WEB)
    made.store.remove("c1", EndpointSlice, WEB)
    made.store.remove(MAIN, EndpointSlice, WEB)
    assert made.enqueued == []


@pytest.mark.parametrize("change", ["spec", "uid", "connection", "gone"])
def test_change_of_a_link_dirties_every_service(change: str) -> None:
    """An edited, re-created, removed, synced or lost link concerns every Service of main and of remotes."""
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


def test_status_of_a_link_concerns_no_service() -> None:
    """The status is svclink's own: writing it plans nothing."""
    made = linked("c1")
    made.store.put(MAIN, service())
    made.changes.clear()
    made.store.put_link(evolve(link(version="2"), status=ClusterLinkStatus(services=5)))
    assert (made.enqueued, made.store.links["c1"].status.services) == ([], 5)


def test_edited_link_is_reported_as_link_status_and_services() -> None:
    """An edit changes the link, puts its status out of date and plans its Services again, in this order."""
    made = linked("c1")
    made.store.put("c1", service())
    made.changes.clear()
    made.store.put_link(link(version="2", spec=ClusterLinkSpec(enabled=False)))
    assert (made.outdated_statuses, made.changed_links, made.enqueued) == (["c1"], ["c1"], [WEB])
    assert list(map(type, made.changes)) == [LinkStatusChanged, LinkChanged, ServicesToPlan]


def test_numbers_of_a_link_leave_the_link_itself_unchanged() -> None:
    """A mirror that comes or goes puts the status of its link out of date and changes nothing else of it."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice())
    assert (made.outdated_statuses, made.changed_links) == (["c1"], [])


def test_same_connection_again_is_no_change() -> None:
    """Nothing is planned for a cluster that is still synced."""
    made = linked("c1")
    made.store.set_connection("c1", SYNCED)
    assert (made.enqueued, made.outdated_statuses) == ([], [])


# Lists


def test_list_removes_what_is_not_in_it() -> None:
    """What a complete list does not have does not exist any more, and its Service is planned."""
    made = linked("c1")
    made.store.replace("c1", Service, listing(service(), service(API)))
    made.store.replace("c1", EndpointSlice, listing(remote_slice(), remote_slice("api-1", API)))
    made.changes.clear()
    made.store.replace("c1", Service, listing(service()))
    made.store.replace("c1", EndpointSlice, listing(remote_slice()))
    remote = made.store.snapshot().remotes["c1"]
    assert (set(remote.services), set(remote.endpoint_slices)) == ({WEB}, {WEB})
    assert made.enqueued == [API, API]


def test_list_of_a_namespace_leaves_the_others_alone() -> None:
    """The list of one namespace says nothing about another."""
    made = linked("c1")
    elsewhere = NamespacedName("elsewhere", "web")
    made.store.replace("c1", Service, listing(service(), service(elsewhere)))
    made.store.replace("c1", Service, listing(), "default")
    assert set(made.store.snapshot().remotes["c1"].services) == {elsewhere}


def test_list_keeps_what_cannot_be_understood() -> None:
    """An object of a list that is undecodable exists: what was known of it stays, and its Service is named."""
    made = linked("c1")
    made.store.replace("c1", EndpointSlice, listing(remote_slice()))
    made.changes.clear()
    made.store.replace("c1", EndpointSlice, listing(undecodable=[undecodable()]))
    remote = made.store.snapshot().remotes["c1"]
    assert (set(remote.endpoint_slices), list(remote.undecodable)) == ({WEB}, [WEB])
    assert made.enqueued == [WEB]


@pytest.mark.parametrize("kind", [Service, EndpointSlice])
@pytest.mark.parametrize("end", ["understood", "deleted", "not in the next list"])
def test_what_could_not_be_understood_is_forgotten_in_the_end(kind: ObjectType, end: str) -> None:
    """Once it can be understood, or is gone, its Service is planned again and no longer kept as it is."""
    made = linked("c1")
    made.store.mark_undecodable("c1", kind, undecodable("web"))
    made.changes.clear()
    match end:
        case "understood":
            made.store.put("c1", service() if kind is Service else remote_slice("web"))
        case "deleted":
            made.store.remove("c1", kind, WEB)
        case _:
            made.store.replace("c1", kind, listing())
    assert list(made.store.snapshot().remotes["c1"].undecodable) == []
    assert set(made.enqueued) == {WEB}


def test_undecodable_service_and_slice_of_one_name_are_two() -> None:
    """That a Service can be understood again says nothing about a slice of the same name."""
    made = linked("c1")
    made.store.mark_undecodable("c1", Service, undecodable("web"))
    made.store.mark_undecodable("c1", EndpointSlice, undecodable("web"))
    made.store.put("c1", service())
    assert list(made.store.snapshot().remotes["c1"].undecodable) == [WEB]


# What is equal is held once


def remote_and_mirror() -> tuple[EndpointSlice, EndpointSlice]:
    """A remote slice, and the one it is mirrored to as it is read from the main cluster: equal, but nothing shared."""
    addresses = ("10.0.0.2", "10.0.0.1")
    remote, mirror = (
        tuple(Endpoint((address,), CONDITIONS[True, True, False]) for address in each)
        for each in (addresses, sorted(addresses))
    )
    metadata = evolve(mirrored_slice().metadata, annotations=((ANNOTATION_SOURCE_SLICE, "web-1"),))
    return evolve(remote_slice(), endpoints=remote), EndpointSlice(metadata, "IPv4", mirror)


def test_mirror_has_the_endpoints_of_its_source() -> None:
    """A mirror that is read takes no memory for endpoints where they are those of the remote slice."""
    made = linked("c1")
    remote, mirror = remote_and_mirror()
    made.store.put("c1", remote)
    read = made.store.reuse_held(MAIN, mirror)
    assert read == mirror
    assert read.endpoints is remote.normal_endpoints


@pytest.mark.parametrize("cluster", [MAIN, "c1"])
def test_slice_that_is_listed_again_is_the_one_held(cluster: str) -> None:
    """A list of what is known takes no memory, and what was found out about a slice is not found out again."""
    made = linked("c1")
    made.store.put(cluster, held := remote_slice())
    assert made.store.reuse_held(cluster, remote_slice()) is held


@pytest.mark.parametrize(
    "why", ["other endpoints", "not a mirror", "source unknown", "cluster unknown"]
)
def test_slice_that_is_like_no_other_is_taken_as_it_was_read(why: str) -> None:
    """Where there is nothing equal, a slice of the main cluster stays what it is."""
    made = linked("c1")
    remote, mirror = remote_and_mirror()
    made.store.put("c1", remote)
    match why:
        case "other endpoints":
            mirror = evolve(mirror, endpoints=mirror.endpoints[:1])
        case "not a mirror":
            mirror = evolve(mirror, metadata=evolve(mirror.metadata, labels=remote.metadata.labels))
        case "source unknown":
            mirror = evolve(mirror, metadata=mirrored_slice().metadata)
        case _:
            mirror = evolve(mirror, metadata=mirrored_slice(cluster="c2").metadata)
    made.store.put(MAIN, evolve(mirror, endpoints=()))
    assert made.store.reuse_held(MAIN, mirror) is mirror


# The main cluster's watch lags behind svclink's own writes


def test_stale_event_does_not_overwrite_a_written_slice() -> None:
    """A watch event from before a write of svclink is old news."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(version="10", endpoints=2))
    made.changes.clear()
    made.store.put(MAIN, mirrored_slice(version="9", endpoints=1))
    assert (
        made.store.snapshot()
        .main.names[NamespacedName("default", "web-c1")]
        .metadata.resource_version
        == "10"
    )
    assert made.enqueued == []


def test_slice_is_held_in_one_version() -> None:
    """Only the very version of the very object is known, and none where its last state could not be understood."""
    made, key = linked("c1"), NamespacedName("default", "web-c1")
    assert not made.store.has_slice(key, "uid-of-web-c1", "10")
    made.store.put(MAIN, mirrored_slice(version="10"))
    assert made.store.has_slice(key, "uid-of-web-c1", "10")
    assert not made.store.has_slice(key, "uid-of-web-c1", "11")
    assert not made.store.has_slice(key, "uid-of-another", "10")
    made.store.put(MAIN, mirrored_slice(version=""))
    assert not made.store.has_slice(key, "uid-of-web-c1", "")
    made.store.put(MAIN, mirrored_slice(version="12"))
    made.store.mark_undecodable(MAIN, EndpointSlice, Undecodable(key, WEB, "makes no sense"))
    assert not made.store.has_slice(key, "uid-of-web-c1", "12")


def test_slice_brought_back_by_a_late_answer_goes_when_a_write_finds_it_gone() -> None:
    """The answer to a write can come after the watch told of the deletion; the next write to the slice finds out."""
    made, key = linked("c1"), NamespacedName("default", "web-c1")
    made.store.put(MAIN, mirrored_slice(version="10"))
    made.store.remove(MAIN, EndpointSlice, key)
    made.store.put(MAIN, mirrored_slice(version="10"))

    made.store.mark_gone(key, "uid-of-another")
    assert key in made.store.snapshot().main.names
    made.changes.clear()
    made.store.mark_gone(key, "uid-of-web-c1")

    assert key not in made.store.snapshot().main.names
    assert WEB in made.enqueued


def test_versions_compare_as_numbers() -> None:
    """Version 10 is newer than version 9."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(version="9"))
    made.store.put(MAIN, mirrored_slice(version="10"))
    assert (
        made.store.snapshot()
        .main.names[NamespacedName("default", "web-c1")]
        .metadata.resource_version
        == "10"
    )


@pytest.mark.parametrize("version", ["", "abc", "-1", "\u0663", "1.5"])
def test_version_that_is_no_number_counts_as_news(version: str) -> None:
    """Of two versions that cannot be compared the later told one counts."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(version="10"))
    made.store.put(MAIN, mirrored_slice(version=version))
    assert (
        made.store.snapshot()
        .main.names[NamespacedName("default", "web-c1")]
        .metadata.resource_version
        == version
    )


def test_recreated_slice_is_news_whatever_its_version() -> None:
    """Another uid is another object: versions of two objects are not compared."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(version="10"))
    again = mirrored_slice(version="9")
    made.store.put(MAIN, evolve(again, metadata=evolve(again.metadata, uid="another")))
    assert (
        made.store.snapshot().main.names[NamespacedName("default", "web-c1")].metadata.uid
        == "another"
    )


def test_list_counts_even_where_it_goes_back() -> None:
    """After a restore from a backup the versions are lower, and the list is right."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(version="10"))
    made.store.put_link(link(version="10"))
    made.store.replace(MAIN, EndpointSlice, listing(mirrored_slice(version="9")))
    made.store.put_link(link(version="9"), listed=True)
    assert (
        made.store.snapshot()
        .main.names[NamespacedName("default", "web-c1")]
        .metadata.resource_version
        == "9"
    )
    assert made.store.links["c1"].metadata.resource_version == "9"


def test_stale_link_does_not_overwrite_a_newer_one() -> None:
    """The answer to a status write is old news where the link was edited meanwhile."""
    made = linked("c1")
    edited = link(version="11", spec=ClusterLinkSpec(enabled=False))
    made.store.put_link(edited)
    made.store.put_link(link(version="10"))
    assert made.store.links["c1"] == edited


def test_events_of_a_remote_cluster_are_always_news() -> None:
    """Nobody but the watch writes what is known of a remote cluster, so it is never behind."""
    made = linked("c1")
    made.store.put("c1", remote_slice(version="10"))
    made.store.put("c1", remote_slice(version="9"))
    (found,) = made.store.snapshot().remotes["c1"].endpoint_slices[WEB]
    assert found.metadata.resource_version == "9"


# Links and connections


def test_removed_link_frees_everything() -> None:
    """Of a cluster whose link is gone nothing is kept, and what comes too late is not taken."""
    made = linked("c1")
    made.store.put("c1", service())
    made.store.observe("c1", Observation(version="v1.36.0"))
    made.store.remove_link("c1")
    made.changes.clear()
    made.store.put("c1", service(API))
    made.store.remove("c1", Service, WEB)
    made.store.replace("c1", EndpointSlice, listing(remote_slice()))
    made.store.mark_undecodable("c1", EndpointSlice, undecodable())
    made.store.set_connection("c1", SYNCED)
    made.store.observe("c1", Observation(version="v1.36.0"))
    made.store.forget("c1")
    held = (
        made.store.links,
        made.store.connections,
        made.store.observations,
        made.store.snapshot().remotes,
    )
    assert [len(each) for each in held] == [0, 0, 0, 0]
    assert made.store._clusters.keys() == {MAIN}
    assert made.outdated_statuses == []


def test_link_that_comes_back_starts_with_nothing() -> None:
    """A link of the same name is another one: pending, with no objects."""
    made = linked("c1")
    made.store.put("c1", service())
    made.store.remove_link("c1")
    made.store.put_link(link())
    remote = made.store.snapshot().remotes["c1"]
    assert (remote.connection, dict(remote.services)) == (PENDING, {})


def test_forgotten_cluster_counts_as_never_listed() -> None:
    """A cluster that is no longer read is pending and holds nothing; its link stays."""
    made = linked("c1")
    made.store.put("c1", service())
    made.store.mark_undecodable("c1", EndpointSlice, undecodable())
    made.store.forget("c1")
    remote = made.store.snapshot().remotes["c1"]
    assert (remote.connection, dict(remote.services), list(remote.undecodable)) == (PENDING, {}, [])


def test_cluster_that_was_never_synced_can_be_forgotten() -> None:
    """What was listed of a cluster before it counted as synced is freed as well."""
    made = linked("c1")
    made.store.set_connection("c1", PENDING)
    made.store.put("c1", service())
    assert set(made.store.snapshot().remotes["c1"].services) == {WEB}
    made.store.forget("c1")
    assert dict(made.store.snapshot().remotes["c1"].services) == {}


def test_link_is_gone_only_once() -> None:
    """Removing a link that is not there changes nothing."""
    made = linked()
    made.store.remove_link("c1")
    assert made.outdated_statuses == []


def test_observation_is_told_when_it_differs() -> None:
    """The status of a link is looked at again when something new is known of its connection."""
    made = linked("c1")
    made.store.observe("c1", Observation(version="v1.36.0"))
    made.store.observe("c1", Observation(version="v1.36.0"))
    assert made.outdated_statuses == ["c1"]


# Numbers


def test_mirrored_counts_services_endpoints_and_slices() -> None:
    """Two slices of one Service and one of another are three slices of two Services."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice("web-c1", endpoints=2))
    made.store.put(MAIN, mirrored_slice("web-c1-2", endpoints=3))
    made.store.put(MAIN, mirrored_slice("api-c1", API))
    made.store.put(MAIN, mirrored_slice("web-c2", cluster="c2"))
    assert made.store.mirrored("c1") == MirrorCounts(services=2, endpoints=6, slices=3)
    assert made.store.mirrored("unknown") == MirrorCounts()


def test_link_is_told_when_its_numbers_change() -> None:
    """The status of the link a mirrored slice comes from is looked at again."""
    made = linked("c1", "c2")
    made.store.put(MAIN, mirrored_slice(version="1"))
    made.store.put(MAIN, mirrored_slice(version="2", cluster="c2"))
    assert made.outdated_statuses[0] == "c1"
    assert sorted(made.outdated_statuses[1:]) == ["c1", "c2"]


# Anything, in any order


NAMES: Final = AMBIGUOUS
main_slices = any_main_slices(NAMES)


@define
class Known:
    """What a store should know, kept the simplest way."""

    main_services: dict[NamespacedName, Service] = field(factory=dict)
    main_slices: dict[NamespacedName, EndpointSlice] = field(factory=dict)
    links: dict[str, ClusterLink] = field(factory=dict)
    remote_services: dict[tuple[str, NamespacedName], Service] = field(factory=dict)
    remote_slices: dict[tuple[str, NamespacedName], EndpointSlice] = field(factory=dict)


class StoreMachine(RuleBasedStateMachine):
    """Anything that reflectors and remotes can tell a store, in any order, beside a naive memory of it."""

    @initialize()
    def begin(self) -> None:
        self.world = world()
        self.store = self.world.store
        self.known = Known()
        self.version = 100
        self.before: dict[NamespacedName, list[Change | Finding]] = {}
        self.taken = self.store.snapshot()
        self.content = fingerprint(self.taken)

    def numbered(self, item: EndpointSlice, uid: str) -> EndpointSlice:
        self.version += 1
        return evolve(
            item, metadata=evolve(item.metadata, uid=uid, resource_version=str(self.version))
        )

    def about_to_change(self) -> None:
        """Remembers what would be done now, to see whose plan changes."""
        self.world.changes.clear()
        self.before = self.plans()
        self.taken = self.store.snapshot()
        self.content = fingerprint(self.taken)

    def plans(self) -> dict[NamespacedName, list[Change | Finding]]:
        view = self.store.snapshot()
        plans = {key: plan_service(view, key, NOW) for key in {*NAMES.keys, *all_keys(view)}}
        return {key: [*plan.changes, *plan.findings] for key, plan in plans.items()}

    @rule(piece=main_slices)
    def main_slice_comes_or_changes(self, piece: EndpointSlice) -> None:
        self.about_to_change()
        held = self.known.main_slices.get(piece.metadata.key)
        new = self.numbered(piece, held.metadata.uid if held is not None else f"uid-{self.version}")
        self.store.put(MAIN, new)
        self.known.main_slices[new.metadata.key] = new

    @rule(piece=main_slices, data=st.data())
    def main_watch_lags(self, piece: EndpointSlice, data: st.DataObject) -> None:
        if self.known.main_slices:
            self.about_to_change()
            held = self.known.main_slices[
                data.draw(st.sampled_from(sorted(self.known.main_slices)))
            ].metadata
            old = evolve(
                piece.metadata,
                name=held.name,
                namespace=held.namespace,
                uid=held.uid,
                resource_version="1",
            )
            self.store.put(MAIN, evolve(piece, metadata=old))

    @rule(piece=main_slices)
    def main_slice_goes(self, piece: EndpointSlice) -> None:
        self.about_to_change()
        self.store.remove(MAIN, EndpointSlice, piece.metadata.key)
        self.known.main_slices.pop(piece.metadata.key, None)

    @rule(pieces=st.lists(main_slices, max_size=3, unique_by=lambda piece: piece.metadata.key))
    def main_slices_are_listed(self, pieces: list[EndpointSlice]) -> None:
        self.about_to_change()
        new = [self.numbered(piece, f"uid-{self.version}") for piece in pieces]
        self.store.replace(MAIN, EndpointSlice, Listing(new, [], "1"))
        self.known.main_slices = {piece.metadata.key: piece for piece in new}

    @rule(new=st.sampled_from(NAMES.keys).flatmap(services), gone=st.booleans())
    def main_service_comes_or_goes(self, new: Service, gone: bool) -> None:
        self.about_to_change()
        key = new.metadata.key
        if gone:
            self.store.remove(MAIN, Service, key)
            self.known.main_services.pop(key, None)
        else:
            self.version += 1
            new = evolve(new, metadata=evolve(new.metadata, resource_version=str(self.version)))
            self.store.put(MAIN, new)
            self.known.main_services[key] = new

    @rule(name=st.sampled_from(NAMES.clusters), spec=link_specs(NAMES))
    def link_comes_or_is_edited(self, name: str, spec: ClusterLinkSpec) -> None:
        self.about_to_change()
        self.version += 1
        self.known.links[name] = link(name, str(self.version), spec=spec)
        self.store.put_link(self.known.links[name])

    @rule(name=st.sampled_from(NAMES.clusters))
    def link_goes(self, name: str) -> None:
        self.about_to_change()
        self.store.remove_link(name)
        self.known.links.pop(name, None)
        self.forget(name)

    @rule(name=st.sampled_from(NAMES.clusters), connection=connections)
    def cluster_is_synced_or_lost(self, name: str, connection: Connection) -> None:
        self.about_to_change()
        self.store.set_connection(name, connection)

    @rule(name=st.sampled_from(NAMES.clusters))
    def cluster_is_forgotten(self, name: str) -> None:
        self.about_to_change()
        self.store.forget(name)
        self.forget(name)

    @rule(
        name=st.sampled_from(NAMES.clusters),
        new=st.sampled_from(NAMES.keys).flatmap(services),
        gone=st.booleans(),
    )
    def remote_service_comes_or_goes(self, name: str, new: Service, gone: bool) -> None:
        self.about_to_change()
        key = new.metadata.key
        if gone:
            self.store.remove(name, Service, key)
            self.known.remote_services.pop((name, key), None)
        else:
            self.version += 1
            new = evolve(new, metadata=evolve(new.metadata, resource_version=str(self.version)))
            self.store.put(name, new)
            if name in self.known.links:
                self.known.remote_services[name, key] = new

    @rule(
        name=st.sampled_from(NAMES.clusters),
        piece=remote_endpoint_slices(NAMES),
        gone=st.booleans(),
    )
    def remote_slice_comes_or_goes(self, name: str, piece: EndpointSlice, gone: bool) -> None:
        self.about_to_change()
        new = self.numbered(piece, "remote")
        key = new.metadata.key
        if gone:
            self.store.remove(name, EndpointSlice, key)
            self.known.remote_slices.pop((name, key), None)
        else:
            self.store.put(name, new)
            if name in self.known.links:
                self.known.remote_slices[name, key] = new

    @rule(
        name=st.sampled_from(NAMES.clusters),
        piece=remote_endpoint_slices(NAMES),
        gone=st.booleans(),
    )
    def remote_slice_cannot_be_understood(
        self, name: str, piece: EndpointSlice, gone: bool
    ) -> None:
        """It can never again, or is gone in the next list of its namespace."""
        self.about_to_change()
        key, owner = piece.metadata.key, piece.service or piece.metadata.key
        each = Undecodable(key, owner, "who knows")
        if gone:
            self.store.replace(name, EndpointSlice, Listing([], [], "1"), key.namespace)
            for cluster, other in list(self.known.remote_slices):
                if (cluster, other.namespace) == (name, key.namespace):
                    del self.known.remote_slices[cluster, other]
        else:
            self.store.mark_undecodable(name, EndpointSlice, each)

    def forget(self, name: str) -> None:
        known = self.known
        known.remote_services = {
            key: each for key, each in known.remote_services.items() if key[0] != name
        }
        known.remote_slices = {
            key: each for key, each in known.remote_slices.items() if key[0] != name
        }

    @invariant()
    def knows_what_it_was_told(self) -> None:
        view = self.store.snapshot()
        assert dict(view.main.services) == self.known.main_services
        assert dict(view.main.names) == self.known.main_slices
        assert self.store.links == self.known.links
        assert {name: remote.link.spec for name, remote in view.remotes.items()} == {
            name: each.spec for name, each in self.known.links.items()
        }
        for name, remote in view.remotes.items():
            assert dict(remote.services) == {
                key: each
                for (cluster, key), each in self.known.remote_services.items()
                if cluster == name
            }

    @invariant()
    def snapshot_before_the_change_is_what_it_was(self) -> None:
        assert fingerprint(self.taken) == self.content

    @invariant()
    def index_by_service_is_what_grouping_gives(self) -> None:
        view = self.store.snapshot()
        assert _sets(view.main.endpoint_slices) == _sets(
            group_by_service(self.known.main_slices.values())
        )
        for name, remote in view.remotes.items():
            held = [
                each for (cluster, _), each in self.known.remote_slices.items() if cluster == name
            ]
            assert _sets(remote.endpoint_slices) == _sets(group_by_service(held))

    @invariant()
    def numbers_are_what_counting_gives(self) -> None:
        for cluster in {*NAMES.clusters, *NAMES.gone}:
            ours = [
                each
                for each in self.known.main_slices.values()
                if each.is_ours and each.cluster == cluster
            ]
            ours = [each for each in ours if each.service is not None]
            counted = MirrorCounts(
                len({each.service for each in ours}),
                sum(len(each.endpoints) for each in ours),
                len(ours),
            )
            assert self.store.mirrored(cluster) == counted

    @invariant()
    def whoever_has_another_plan_was_enqueued(self) -> None:
        """Law L7, end to end: where a change of the store changes what is to be done, the Service was enqueued."""
        after = self.plans()
        changed = {
            key
            for key in self.before.keys() | after.keys()
            if self.before.get(key, []) != after.get(key, [])
        }
        assert changed <= set(self.world.enqueued)


def _sets(
    groups: Mapping[NamespacedName, Iterable[EndpointSlice]],
) -> dict[NamespacedName, set[EndpointSlice]]:
    return {key: set(pieces) for key, pieces in groups.items()}


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(stateful_step_count=20)


# Namespaces, guards and deadlines


def test_namespaces_are_not_known_before_they_are_listed() -> None:
    """Before the list they are unknown, which is not none; after it they are followed."""
    made = world()
    assert made.store.snapshot().main.namespaces is None
    made.store.put_namespace(Namespace(ObjectMeta("early")))
    made.store.remove_namespace("early")
    assert made.store.snapshot().main.namespaces is None
    unclear = Undecodable(NamespacedName("", "unclear"), NamespacedName("", "unclear"), "?")
    made.store.replace_namespaces(
        Listing([Namespace(ObjectMeta("a")), Namespace(ObjectMeta("b"))], [unclear], "1")
    )
    assert set(made.store.snapshot().main.namespaces or ()) == {"a", "b", "unclear"}
    made.store.put_namespace(Namespace(ObjectMeta("a", deletion_timestamp="2026-01-01T00:00:00Z")))
    made.store.remove_namespace("b")
    main = made.store.snapshot().main
    assert (set(main.namespaces or ()), set(main.terminating)) == ({"a", "unclear"}, {"a"})


def test_a_namespace_wakes_services_that_wait_for_it() -> None:
    """Where Services are made, those of a namespace that came are planned again."""
    made = linked("c1")
    made.store.options = Options(sync_services=True)
    made.store.replace_namespaces(Listing([], [], "1"))
    made.store.put("c1", service(WEB))
    made.changes.clear()
    made.store.put_namespace(Namespace(ObjectMeta(WEB.namespace)))
    assert made.enqueued == [WEB]


def test_a_guard_is_part_of_the_snapshot() -> None:
    """A guard is told to the core, wakes what it is about, and goes with its link."""
    made = linked("c1")
    guard = Guard(is_armed=True)
    made.store.set_guard("c1", guard, [WEB])
    made.store.set_guard("gone", guard, [WEB])
    assert made.store.snapshot().remotes["c1"].guard == guard
    assert made.enqueued == [WEB]
    made.store.remove_link("c1")
    made.store.put_link(link("c1"))
    assert made.store.guard("c1") == UNGUARDED


def test_a_moment_that_has_come_wakes_everything_of_a_cluster() -> None:
    """At a deadline everything is planned again, although nothing is news."""
    made = linked("c1")
    made.store.put("c1", service(WEB))
    made.changes.clear()
    made.store.wake("c1")
    assert made.enqueued == [WEB]


def test_what_makes_no_sense_in_the_main_cluster_is_told() -> None:
    """A Service of the main cluster that cannot be understood is not taken for a missing one."""
    made = world()
    made.store.mark_undecodable(MAIN, Service, Undecodable(WEB, WEB, "?"))
    assert set(made.store.snapshot().main.undecodable) == {WEB}
