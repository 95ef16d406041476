"""Objects that reflectors read reach the store: the right cluster, kind and namespace.

Real: sinks and store. Substituted: reflectors, by direct calls.
"""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from attrs import define, evolve, field

from svclink_controller.api.errors import BudgetExceededError
from svclink_controller.api.spending import Account
from svclink_controller.reflect.sinks import LinkSink, ObjectSink
from svclink_controller.state.store import PLANNED_KINDS, Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core import (
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    Endpoint,
    EndpointSlice,
    NamespacedName,
    ObjectMeta,
    Options,
    Service,
)
from svclink_core.budget import Budget, footprint
from svclink_core.well_known import MAIN

WEB = NamespacedName("default", "web")
ELSEWHERE = NamespacedName("elsewhere", "web")


def new_store() -> Store:
    store = Store(Options())
    store.put_link(link("c1"))
    return store


def link(name: str, version: str = "1", spec: ClusterLinkSpec | None = None) -> ClusterLink:
    return ClusterLink(
        ObjectMeta(name, uid="uid", resource_version=version), spec or ClusterLinkSpec()
    )


def service(key: NamespacedName = WEB) -> Service:
    return Service(ObjectMeta(key.name, key.namespace, "uid", "1"))


def unknown(name: str) -> Undecodable:
    return Undecodable(NamespacedName("", name), NamespacedName("", name), "field missing")


# Services and EndpointSlices


def test_object_is_put_in_its_own_cluster() -> None:
    """An object of a remote cluster is not an object of the main cluster."""
    store = new_store()
    ObjectSink(store, "c1", Service).apply(service())
    assert dict(store.snapshot().main.services) == {}
    assert set(store.snapshot().remotes["c1"].services) == {WEB}


@pytest.mark.parametrize("is_decodable", [True, False])
def test_watch_that_adds_objects_without_end_fails(*, is_decodable: bool) -> None:
    """A watch that adds more objects than fit into the budget fails before they fill the memory."""
    store = new_store()
    account = Account(Budget(memory=100_000), partial(store.memory, "c1"))
    sink = ObjectSink(store, "c1", Service, account=account)

    def add(count: int) -> None:
        for number in range(count):
            key = NamespacedName("default", f"s{number}")
            if is_decodable:
                sink.apply(service(key))
            else:
                sink.mark_undecodable(Undecodable(key, key, "field missing"))

    add(50)
    add(50)
    with pytest.raises(BudgetExceededError, match="raise --max-memory-per-remote"):
        add(500)
    assert 90_000 < store.memory("c1") < 110_000


async def test_memory_of_a_cluster_is_that_of_its_objects() -> None:
    """What is changed, removed, listed again or forgotten gives its memory back."""
    store = new_store()
    sink = ObjectSink(store, "c1", EndpointSlice)
    small, large = (
        EndpointSlice(ObjectMeta("a", "default"), "IPv4", (Endpoint(("10.0.0.1",)),) * count)
        for count in (1, 100)
    )
    sink.apply(large)
    assert store.memory("c1") == footprint(large)
    sink.apply(small)
    assert store.memory("c1") == footprint(small)
    sink.mark_undecodable(unknown("b"))
    await sink.replace(Listing([large], [], "1"))
    assert store.memory("c1") == footprint(large)
    assert (store.holds("c1", large), store.holds("c1", evolve(large))) == (True, False)
    sink.remove(large.metadata.key)
    assert store.memory("c1") == 0
    sink.apply(large)
    store.forget("c1")
    assert store.memory("c1") == 0


def test_removed_service_keeps_the_slice_of_the_same_name() -> None:
    """Removing a Service does not remove a slice with the same key."""
    store = new_store()
    ObjectSink(store, MAIN, Service).apply(service())
    ObjectSink(store, MAIN, EndpointSlice).apply(
        EndpointSlice(ObjectMeta("web", "default"), "IPv4")
    )
    ObjectSink(store, MAIN, Service).remove(WEB)
    assert (set(store.snapshot().main.services), set(store.snapshot().main.names)) == (set(), {WEB})


async def test_list_of_one_namespace_replaces_that_namespace() -> None:
    """The list of one namespace removes nothing in another."""
    store = new_store()
    await ObjectSink(store, "c1", Service).replace(
        Listing([service(), service(ELSEWHERE)], [], "1")
    )
    await ObjectSink(store, "c1", Service, "default").replace(Listing([], [], "2"))
    assert set(store.snapshot().remotes["c1"].services) == {ELSEWHERE}


async def test_other_tasks_run_while_a_list_is_taken() -> None:
    """A long list does not hold the event loop, and counts as listed after its last object."""
    store, seen = new_store(), set()
    for kind in PLANNED_KINDS - {Service}:
        store.mark_listed(kind)
    services = [service(NamespacedName("default", f"s{number}")) for number in range(10)]
    sink = ObjectSink(store, MAIN, Service, turn_seconds=0)
    replacing = asyncio.create_task(sink.replace(Listing(services, [], "1")))
    while not replacing.done():
        seen.add((len(store.snapshot().main.services), store.is_complete))
        await asyncio.sleep(0)
    assert seen >= {(number, False) for number in range(1, 10)}
    assert store.is_complete


def test_undecodable_object_is_marked() -> None:
    """An undecodable slice marks the Service that it belongs to."""
    store = new_store()
    ObjectSink(store, "c1", EndpointSlice).mark_undecodable(
        Undecodable(ELSEWHERE, WEB, "field missing")
    )
    assert list(store.snapshot().remotes["c1"].undecodable) == [WEB]


# Links


@define
class Links:
    """A sink for links, and the names that it reported."""

    store: Store = field(factory=lambda: Store(Options()))
    changed: list[str] = field(factory=list)

    @property
    def sink(self) -> LinkSink:
        return LinkSink(self.store, self.changed.append)


async def test_listed_links_are_held_and_reported() -> None:
    """The links of a list are held, and a missing one is removed. Each is reported."""
    links = Links()
    await links.sink.replace(Listing([link("a"), link("b")], [], "1"))
    assert links.changed == ["a", "b"]
    links.changed.clear()
    await links.sink.replace(Listing([link("b")], [], "2"))
    assert (set(links.store.links), sorted(links.changed)) == ({"b"}, ["a", "b"])


def test_link_is_held_before_it_is_reported() -> None:
    """A reported link is in the store, and a link reported as removed is not."""
    store = Store(Options())
    seen: list[bool] = []
    sink = LinkSink(store, lambda name: seen.append(name in store.links))
    sink.apply(link("a"))
    sink.remove(NamespacedName("", "a"))
    assert seen == [True, False]


def test_older_state_of_a_link_is_ignored() -> None:
    """A watch event that is older than svclink's own status write changes nothing."""
    links = Links()
    links.sink.apply(link("a", "10"))
    links.sink.apply(link("a", "9", ClusterLinkSpec(enabled=False)))
    assert links.store.links["a"].spec.enabled


async def test_undecodable_link_keeps_its_last_state() -> None:
    """After an edit that is undecodable, the link and its connection stay as they were."""
    links = Links()
    spec = ClusterLinkSpec(excluded_namespaces=("secret",))
    links.sink.apply(link("a", spec=spec))
    links.store.set_connection("a", SYNCED)
    links.sink.mark_undecodable(unknown("a"))
    await links.sink.replace(Listing([], [unknown("a")], "2"))
    assert (links.store.links["a"].spec, links.store.connections["a"]) == (spec, SYNCED)


async def test_link_that_was_never_decodable_is_held_empty() -> None:
    """Its mirrors are not those of a removed link, and nothing is read with it."""
    links = Links()
    await links.sink.replace(Listing([], [unknown("a")], "1"))
    assert links.store.links["a"].spec.kubeconfig is None
    assert links.changed == ["a"]


def test_empty_link_says_why_it_could_not_be_decoded() -> None:
    """After an edit that is no better it says what is wrong now; the same again is no news."""
    links = Links()
    for problem in ("spec is a number", "spec.enabled is a string", "spec.enabled is a string"):
        links.sink.mark_undecodable(evolve(unknown("a"), problem=problem))
        assert links.store.links["a"].undecodable == problem
    assert links.changed == ["a"] * 2


def test_undecodable_link_is_not_selected_if_a_selector_is_set() -> None:
    """Its labels are unknown, so it may belong to another controller."""
    links = Links()
    sink = evolve(links.sink, is_everything_selected=False)
    sink.mark_undecodable(unknown("a"))
    assert not links.store.links["a"].is_selected


def test_decodable_link_replaces_the_empty_one() -> None:
    """After the link is fixed, its spec is used."""
    links = Links()
    links.sink.mark_undecodable(unknown("a"))
    links.sink.apply(evolve(link("a", "2"), spec=ClusterLinkSpec(kubeconfig="abc")))
    assert links.store.links["a"].spec.kubeconfig == "abc"


def in_namespace(namespace: str, created: str, spec: ClusterLinkSpec | None = None) -> ClusterLink:
    """A link `a` in a namespace, as with the CRD of the Go release."""
    metadata = ObjectMeta("a", namespace, f"uid-in-{namespace}", "1", creation_timestamp=created)
    return ClusterLink(metadata, spec or ClusterLinkSpec())


async def test_older_one_of_two_links_with_one_name_is_elected() -> None:
    """The order of the events does not matter.

    The other one takes over without losing the state.
    """
    links = Links()
    old, new = (
        in_namespace("ops", "2026-01-01T00:00:00Z"),
        in_namespace("dev", "2026-02-01T00:00:00Z"),
    )
    links.sink.apply(new)
    links.store.set_connection("a", SYNCED)
    links.sink.apply(old)
    assert links.store.links == {"a": old}
    links.sink.remove(NamespacedName("ops", "a"))
    assert (links.store.links, links.store.connections) == ({"a": new}, {"a": SYNCED})
    await links.sink.replace(Listing([], [], "2"))
    assert (links.store.links, links.store.link_index.of("a")) == ({}, ())
    assert links.changed == ["a"] * 4


def test_undecodable_link_is_not_elected() -> None:
    """Its age is unknown. It is held beside the link of the same name that counts."""
    links = Links()
    links.sink.mark_undecodable(evolve(unknown("a"), key=NamespacedName("ops", "a")))
    good = in_namespace("dev", "2026-02-01T00:00:00Z")
    links.sink.apply(good)
    assert links.store.links == {"a": good}
    assert len(links.store.link_index.of("a")) == 2
