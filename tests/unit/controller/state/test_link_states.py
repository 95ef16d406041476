"""The state of a link follows its connection, its mirrors and its deletion.

Real: the store and the core. Substituted: reflectors and workers, by direct calls.
"""

from __future__ import annotations

from attrs import evolve

from svclink_controller.state.link_states import LinkStates, Observation
from svclink_controller.state.mirror_counts import MirrorCounts
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core import (
    PENDING,
    SYNCED,
    UNGUARDED,
    ClusterLinkSpec,
    EndpointSlice,
    Guard,
    NamespacedName,
    Options,
    Service,
    Unreachable,
)
from svclink_core.well_known import MAIN
from tests.builders.keys import WEB
from tests.builders.stores import replace_objects
from tests.builders.values import (
    NOT_READY,
    endpoint,
    link,
    mirrored_slice,
    namespace,
    remote_slice,
    service,
)
from tests.unit.controller.state.stores import (
    API,
    linked,
    listing,
    undecodable,
    world,
)
from tests.unit.controller.virtual_time import ManualClock

# Links and connections


def test_removed_link_frees_everything() -> None:
    """Nothing of a cluster without a link is kept, and its late events are ignored."""
    made = linked("c1")
    made.store.put("c1", service())
    made.store.observe("c1", Observation(version="v1.36.0"))
    made.store.remove_link("c1")
    made.changes.clear()
    made.store.put("c1", service(API))
    made.store.remove("c1", Service, WEB)
    replace_objects(made.store, "c1", EndpointSlice, listing(remote_slice()))
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


def test_recreated_link_starts_empty() -> None:
    """A new link of the same name is pending and has no objects."""
    made = linked("c1")
    made.store.put("c1", service())
    made.store.remove_link("c1")
    made.store.put_link(link(version="1"))
    remote = made.store.snapshot().remotes["c1"]
    assert (remote.connection, dict(remote.services)) == (PENDING, {})


def test_forgotten_cluster_is_pending() -> None:
    """A cluster that is no longer read is pending and has no objects; its link stays."""
    made = linked("c1")
    made.store.put("c1", service())
    made.store.mark_undecodable("c1", EndpointSlice, undecodable())
    made.store.forget("c1")
    remote = made.store.snapshot().remotes["c1"]
    assert (remote.connection, dict(remote.services), list(remote.undecodable)) == (PENDING, {}, [])


def test_pending_cluster_can_be_forgotten() -> None:
    """Objects that were listed before the cluster was synced are removed, too."""
    made = linked("c1")
    made.store.set_connection("c1", PENDING)
    made.store.put("c1", service())
    assert set(made.store.snapshot().remotes["c1"].services) == {WEB}
    made.store.forget("c1")
    assert dict(made.store.snapshot().remotes["c1"].services) == {}


def test_removing_an_absent_link_is_not_a_change() -> None:
    """Removing an absent link changes nothing."""
    made = linked()
    made.store.remove_link("c1")
    assert made.outdated_statuses == []


def test_new_observation_outdates_the_status() -> None:
    """Another observation puts the status of the link out of date; the same one does not."""
    made = linked("c1")
    made.store.observe("c1", Observation(version="v1.36.0"))
    made.store.observe("c1", Observation(version="v1.36.0"))
    assert made.outdated_statuses == ["c1"]


# Mirror counts


def test_mirrored_counts_services_endpoints_and_slices() -> None:
    """Two slices of one Service and one of another are three slices of two Services."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice("web-c1", "10.0.0.1", "10.0.0.2"))
    made.store.put(MAIN, mirrored_slice("web-c1-2", "10.0.0.1", "10.0.0.2", "10.0.0.3"))
    made.store.put(MAIN, mirrored_slice("api-c1", key=API))
    made.store.put(MAIN, mirrored_slice("web-c2", cluster="c2"))
    assert made.store.mirrored("c1") == MirrorCounts(services=2, endpoints=6, slices=3, in_use=2)
    assert made.store.mirrored("unknown") == MirrorCounts()


def test_changed_mirror_outdates_the_status_of_its_link() -> None:
    """A mirror that changes its cluster puts the status of both links out of date."""
    made = linked("c1", "c2")
    made.store.put(MAIN, mirrored_slice(version="1"))
    made.store.put(MAIN, mirrored_slice("web-c1", version="2", cluster="c2"))
    assert made.outdated_statuses[0] == "c1"
    assert sorted(made.outdated_statuses[1:]) == ["c1", "c2"]


def test_status_is_out_of_date_only_where_its_numbers_change() -> None:
    """A mirror with as many endpoints as before leaves the status; one with more does not."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(None, "10.2.0.1", "10.2.0.2", version="1"))
    made.changes.clear()
    made.store.put(MAIN, mirrored_slice(None, "10.2.0.1", "10.2.0.3", version="2"))
    assert made.outdated_statuses == []
    made.store.put(MAIN, mirrored_slice(None, "10.2.0.1", version="3"))
    assert made.outdated_statuses == ["c1"]
    assert made.store.mirrored("c1") == MirrorCounts(services=1, endpoints=1, slices=1, in_use=1)


def test_service_without_a_ready_mirrored_endpoint_is_not_in_use() -> None:
    """A cluster is drained once no Service has a ready endpoint of it."""
    made = linked("c1")
    standby = (endpoint("10.2.0.9", conditions=NOT_READY),)
    made.store.put(MAIN, mirrored_slice(None, "10.2.0.1", version="1"))
    made.store.put(MAIN, mirrored_slice("web-c1-2", endpoints=standby, version="2"))
    assert made.store.mirrored("c1").in_use == 1
    made.changes.clear()
    made.store.put(MAIN, mirrored_slice(None, endpoints=standby, version="3"))
    assert made.store.mirrored("c1").in_use == 0
    assert made.outdated_statuses == ["c1"]
    made.store.remove(MAIN, EndpointSlice, mirrored_slice("web-c1-2").metadata.key)
    assert made.store.mirrored("c1") == MirrorCounts(services=1, endpoints=1, slices=1)
    made.store.put(MAIN, mirrored_slice(None, "10.2.0.1", version="4"))
    assert made.store.mirrored("c1").in_use == 1


# Namespaces, guards and deadlines


def test_namespaces_are_unknown_before_they_are_listed() -> None:
    """Before the list the Namespaces are unknown, not absent. After it they are followed."""
    made = world()
    assert made.store.snapshot().main.namespaces is None
    made.store.main.namespaces.put(namespace("early"))
    made.store.main.namespaces.remove("early")
    assert made.store.snapshot().main.namespaces is None
    unclear = Undecodable(NamespacedName("", "unclear"), NamespacedName("", "unclear"), "?")
    made.store.main.namespaces.replace(Listing([namespace("a"), namespace("b")], [unclear], "1"))
    assert set(made.store.snapshot().main.namespaces or ()) == {"a", "b", "unclear"}
    made.store.main.namespaces.put(namespace("a", deleted_at="2026-01-01T00:00:00Z"))
    made.store.main.namespaces.remove("b")
    main = made.store.snapshot().main
    assert (set(main.namespaces or ()), set(main.terminating)) == ({"a", "unclear"}, {"a"})


def test_namespace_plans_services_that_wait_for_it() -> None:
    """If Services are created, a new Namespace plans the Services that it lacks."""
    made = linked("c1", options=Options(sync_services=True))
    made.store.main.namespaces.replace(Listing([], [], "1"))
    made.store.put("c1", service(WEB))
    made.changes.clear()
    made.store.main.namespaces.put(namespace(WEB.namespace))
    assert made.enqueued == [WEB]


def test_guard_is_part_of_the_snapshot() -> None:
    """A guard plans its Services again, shows in the snapshot and is removed with its link."""
    made = linked("c1")
    guard = Guard(is_armed=True)
    made.store.set_guard("c1", guard, [WEB])
    made.store.set_guard("gone", guard, [WEB])
    assert made.store.snapshot().remotes["c1"].guard == guard
    assert made.enqueued == [WEB]
    made.store.remove_link("c1")
    made.store.put_link(link(version="1"))
    assert made.store.guard("c1") == UNGUARDED


def test_deadline_plans_every_service() -> None:
    """At a deadline every Service is planned again, although no object changed."""
    made = linked("c1")
    made.store.put("c1", service(WEB))
    made.changes.clear()
    made.store.wake("c1")
    assert made.enqueued == [WEB]


def test_undecodable_service_of_main_is_in_the_snapshot() -> None:
    """An undecodable Service of the main cluster does not count as missing."""
    made = world()
    made.store.mark_undecodable(MAIN, Service, Undecodable(WEB, WEB, "?"))
    assert set(made.store.snapshot().main.undecodable) == {WEB}


# Times that plans depend on


def test_time_of_a_connection() -> None:
    """A connection has the time at which it became this one; setting it again changes nothing."""
    time = ManualClock()
    states = LinkStates(now=time)
    states.put(link(), listed=True)
    assert states.since("c1") == 1_000
    time.now = 1_010
    assert states.set_connection("c1", SYNCED)
    time.now = 1_020
    assert not states.set_connection("c1", SYNCED)
    assert states.since("c1") == 1_010


def test_edited_link_is_listed_from_now_on() -> None:
    """A link that was disabled for long is waited for once it is enabled and being listed."""
    time = ManualClock()
    states = LinkStates(now=time)
    states.put(link(spec=ClusterLinkSpec(enabled=False), version="1"), listed=True)
    time.now = 2_000
    states.put(link(version="2", generation=2), listed=False)
    assert states.since("c1") == 2_000
    states.set_connection("c1", SYNCED)
    time.now = 3_000
    states.put(link(spec=ClusterLinkSpec(enabled=False), version="3", generation=3), listed=False)
    assert states.since("c1") == 2_000


def test_inconsistent_change_is_timestamped() -> None:
    """The last time that ports or identities changed is in the snapshot, for a synced cluster."""
    time = ManualClock()
    store = Store(Options(), link_states=LinkStates(now=time))
    store.put_link(link())
    store.put("c1", service())
    store.set_connection("c1", Unreachable("2026-01-01T00:00:00Z", 0))
    store.put("c1", service(ports=(), version="2"))
    assert dict(store.snapshot().remotes["c1"].changed_at) == {}
    store.set_connection("c1", SYNCED)
    time.now = 1_001
    store.put("c1", service(version="3"))
    assert dict(store.snapshot().remotes["c1"].changed_at) == {WEB: 1_001}
    time.now = 1_002
    store.put("c1", remote_slice(version="1"))
    store.put(MAIN, remote_slice(key=API))
    assert dict(store.snapshot().remotes["c1"].changed_at) == {WEB: 1_002}
    time.now = 1_003
    store.put("c1", remote_slice(None, "10.0.0.2", version="2"))
    assert dict(store.snapshot().remotes["c1"].changed_at) == {WEB: 1_002}
    store.remove("c1", Service, WEB)
    assert dict(store.snapshot().remotes["c1"].changed_at) == {WEB: 1_003}


def test_status_of_a_link_of_another_controller_plans_again() -> None:
    """Whether its cluster is connected decides whether its mirrors count as ready."""
    made = linked("c1")
    other = link("c1", version="2", is_selected=False)
    made.store.put_link(other)
    made.store.put("c1", service(WEB))
    made.changes.clear()
    connected = evolve(other.status, connected=True)
    made.store.put_link(link("c1", version="3", is_selected=False, status=connected))
    assert made.enqueued == [WEB]
    assert made.store.snapshot().remotes["c1"].link.status.connected
    made.changes.clear()
    counted = evolve(connected, services=3)
    made.store.put_link(link("c1", version="4", is_selected=False, status=counted))
    assert made.enqueued == []
