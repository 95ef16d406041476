"""A snapshot is a value: it never changes, and shares unchanged parts with the previous one.

Real: the store and the core's types. Substituted: reflectors and workers, by direct calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from attrs import evolve

from svclink_controller.state.store import PLANNED_KINDS, Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    ClusterLinkStatus,
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
from tests.builders.values import link, mirrored_slice, namespace, remote_slice, service
from tests.unit.controller.state.fingerprints import fingerprint

LOST: Final = Unreachable("2026-01-01T00:00:00Z", 1_767_225_600.0)
API: Final = NamespacedName("default", "api")
SOURCE: Final = remote_slice().metadata.key
MIRROR: Final = mirrored_slice().metadata.key
BROKEN: Final = Undecodable(SOURCE, WEB, "field missing")

CHANGES: Final[dict[str, Callable[[Store], None]]] = {
    "a Service is added in main": lambda store: store.put(MAIN, service(API)),
    "a Service changes in main": lambda store: store.put(MAIN, service(version="9")),
    "a Service is removed in main": lambda store: store.remove(MAIN, Service, WEB),
    "a slice is added in main": lambda store: store.put(MAIN, mirrored_slice(key=API)),
    "a slice changes in main": lambda store: store.put(MAIN, mirrored_slice(version="9")),
    "a slice is removed in main": lambda store: store.remove(MAIN, EndpointSlice, MIRROR),
    "a write finds a slice gone": lambda store: store.mark_gone(MIRROR, "uid-of-web-c1"),
    "a Service is undecodable in main": lambda store: store.mark_undecodable(MAIN, Service, BROKEN),
    "the slices of main are listed": lambda store: replace_objects(
        store, MAIN, EndpointSlice, Listing([mirrored_slice(key=API)], [], "1")
    ),
    "a Service is added in a remote": lambda store: store.put("c1", service(API)),
    "a Service is removed in a remote": lambda store: store.remove("c1", Service, WEB),
    "a slice is added in a remote": lambda store: store.put("c1", remote_slice("web-2")),
    "a slice changes in a remote": lambda store: store.put(
        "c1", remote_slice(None, "10.0.0.9", version="9")
    ),
    "a slice moves to another Service": lambda store: store.put(
        "c1", remote_slice("web-abc", key=API, version="9")
    ),
    "a slice is removed in a remote": lambda store: store.remove("c1", EndpointSlice, SOURCE),
    "a slice is undecodable in a remote": lambda store: store.mark_undecodable(
        "c1", EndpointSlice, BROKEN
    ),
    "an undecodable slice is decoded": lambda store: store.put("c2", remote_slice()),
    "the Services of a remote are listed": lambda store: replace_objects(
        store, "c1", Service, Listing([service(API)], [], "1")
    ),
    "a Namespace is added": lambda store: store.main.namespaces.put(namespace("shop")),
    "a Namespace is being deleted": lambda store: store.main.namespaces.put(
        namespace("default", deleted_at="2026-01-01T00:00:00Z")
    ),
    "a Namespace is removed": lambda store: store.main.namespaces.remove("default"),
    "the Namespaces are listed": lambda store: store.main.namespaces.replace(
        Listing([namespace("shop")], [], "1")
    ),
    "a link is added": lambda store: store.put_link(link("c3")),
    "a link is edited": lambda store: store.put_link(
        link("c1", ClusterLinkSpec(enabled=False), version="9")
    ),
    "a link is removed": lambda store: store.remove_link("c1"),
    "a cluster is lost": lambda store: store.set_connection("c1", LOST),
    "a cluster is no longer read": lambda store: store.forget("c1"),
    "deletions are held": lambda store: store.set_guard("c1", Guard(is_armed=True), [WEB]),
}


@pytest.fixture
def store() -> Store:
    """A store with a main cluster and two remotes; something in one of these is undecodable."""
    made = Store(Options(sync_services=True))
    for name in ("c1", "c2"):
        made.put_link(link(name, version="1"))
        made.put(name, service())
        made.put(name, remote_slice())
        made.set_connection(name, SYNCED)
    made.mark_undecodable("c2", EndpointSlice, BROKEN)
    made.main.namespaces.replace(Listing([namespace("default")], [], "1"))
    replace_objects(made, MAIN, Service, Listing([service()], [], "1"))
    replace_objects(made, MAIN, EndpointSlice, Listing([mirrored_slice()], [], "1"))
    for kind in PLANNED_KINDS:
        made.mark_listed(kind)
    return made


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_change_shows_in_the_next_snapshot_only(
    store: Store, change: Callable[[Store], None]
) -> None:
    """Each change gives another snapshot and leaves the previous one unchanged."""
    before = store.snapshot()
    content = fingerprint(before)
    change(store)
    assert fingerprint(store.snapshot()) != content
    assert fingerprint(before) == content


def test_snapshot_outlives_all_changes_together(store: Store) -> None:
    """A snapshot that is kept while everything changes is what it was."""
    before = store.snapshot()
    content = fingerprint(before)
    for change in CHANGES.values():
        change(store)
    for name in list(store.links):
        store.remove_link(name)
    assert fingerprint(before) == content
    assert fingerprint(store.snapshot()) != content


def test_unchanged_store_gives_the_same_snapshot(store: Store) -> None:
    """Without a change there is one snapshot."""
    assert store.snapshot() is store.snapshot()


def test_status_of_a_link_makes_no_other_snapshot(store: Store) -> None:
    """Plans do not depend on the status of a link, which svclink writes itself."""
    before = store.snapshot()
    written = evolve(store.links["c1"], status=ClusterLinkStatus(services=5))
    store.put_link(written)
    assert store.links["c1"] is written
    assert store.snapshot() is before
    store.put("c1", service(API))
    assert store.snapshot().remotes["c1"].link is before.remotes["c1"].link


def test_snapshot_after_one_change_shares_the_rest() -> None:
    """After one change of 10,000 objects, every other cluster and map is the same object."""
    store = Store(Options())
    for name in ("c1", "c2"):
        store.put_link(link(name))
        replace_objects(store, name, Service, Listing(some_services(2500), [], "1"))
        replace_objects(store, name, EndpointSlice, Listing(some_slices(2500), [], "1"))
        store.set_connection(name, SYNCED)
    before = store.snapshot()
    store.put("c1", remote_slice("s7-abc", key="s7", version="2"))
    after = store.snapshot()
    assert after.main is before.main
    assert after.remotes["c2"] is before.remotes["c2"]
    assert after.remotes["c1"].services is before.remotes["c1"].services
    assert after.remotes["c1"].undecodable is before.remotes["c1"].undecodable
    key = NamespacedName("default", "s7")
    old, new = before.remotes["c1"].endpoint_slices, after.remotes["c1"].endpoint_slices
    assert {each for each in new if new[each] is not old[each]} == {key}


def test_snapshot_shows_links_and_connections_as_they_are() -> None:
    """The next snapshot shows a link that was added, edited, lost or removed."""
    store = Store(Options())
    assert dict(store.snapshot().remotes) == {}
    store.put_link(link())
    assert store.snapshot().remotes["c1"].connection == PENDING
    store.set_connection("c1", SYNCED)
    assert store.snapshot().remotes["c1"].connection == SYNCED
    store.put_link(link(spec=ClusterLinkSpec(excluded_namespaces=("a",)), version="2"))
    assert store.snapshot().remotes["c1"].link.spec.excluded_namespaces == ("a",)
    store.set_connection("c1", LOST)
    assert store.snapshot().remotes["c1"].connection == LOST
    store.remove_link("c1")
    assert dict(store.snapshot().remotes) == {}


def test_snapshot_is_read_only(store: Store) -> None:
    """The maps of a snapshot cannot be changed."""
    with pytest.raises(TypeError):
        store.snapshot().main.services[WEB] = service()  # type: ignore[index]


def some_services(count: int) -> list[Service]:
    return [service(f"s{number}") for number in range(count)]


def some_slices(count: int) -> list[EndpointSlice]:
    return [remote_slice(key=f"s{number}") for number in range(count)]
