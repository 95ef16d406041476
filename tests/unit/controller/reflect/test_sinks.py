"""What reflectors say reaches the store, of the right cluster, kind and namespace, and links are passed on.

Real: sinks and store. Substituted: reflectors, by direct calls.
"""

from __future__ import annotations

import asyncio

import pytest
from attrs import define, evolve, field

from svclink_controller import loop_turns as turns
from svclink_controller.api.errors import TransportError
from svclink_controller.reflect import sinks
from svclink_controller.reflect.sinks import LinkSink, ObjectSink
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core import (
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    EndpointSlice,
    NamespacedName,
    ObjectMeta,
    Options,
    Service,
)
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
    return Undecodable(NamespacedName("", name), NamespacedName("", name), "who knows")


# Services and EndpointSlices


def test_objects_go_to_their_own_cluster() -> None:
    """What one cluster has is not taken for what another has."""
    store = new_store()
    ObjectSink(store, "c1", Service).apply(service())
    assert dict(store.snapshot().main.services) == {}
    assert set(store.snapshot().remotes["c1"].services) == {WEB}


@pytest.mark.parametrize("understood", [True, False])
def test_objects_without_an_end_are_an_error(
    monkeypatch: pytest.MonkeyPatch, *, understood: bool
) -> None:
    """A watch that brings new objects for ever breaks, as a list of them would, before they fill the memory."""
    monkeypatch.setattr(sinks, "MAX_OBJECTS", 3)
    sink = ObjectSink(new_store(), "c1", Service)

    def bring(number: int) -> None:
        key = NamespacedName("default", f"s{number}")
        if understood:
            sink.apply(service(key))
        else:
            sink.mark_undecodable(Undecodable(key, key, "who knows"))

    for _ in range(2):
        for number in range(3):
            bring(number)
    with pytest.raises(TransportError, match="4 objects"):
        bring(3)


def test_removed_key_is_one_of_its_kind() -> None:
    """A Service that is gone takes no slice of the same name with it."""
    store = new_store()
    ObjectSink(store, MAIN, Service).apply(service())
    ObjectSink(store, MAIN, EndpointSlice).apply(
        EndpointSlice(ObjectMeta("web", "default"), "IPv4")
    )
    ObjectSink(store, MAIN, Service).remove(WEB)
    assert (set(store.snapshot().main.services), set(store.snapshot().main.names)) == (set(), {WEB})


async def test_list_of_one_namespace_replaces_that_namespace() -> None:
    """A sink of one namespace speaks for that namespace alone."""
    store = new_store()
    await ObjectSink(store, "c1", Service).replace(
        Listing([service(), service(ELSEWHERE)], [], "1")
    )
    await ObjectSink(store, "c1", Service, "default").replace(Listing([], [], "2"))
    assert set(store.snapshot().remotes["c1"].services) == {ELSEWHERE}


async def test_others_get_their_turn_while_a_list_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list holds nobody up, and until all of it is there the main cluster counts as not listed."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    store, seen = new_store(), set()
    store.mark_listed(ClusterLink)
    store.mark_listed(EndpointSlice)
    services = [service(NamespacedName("default", f"s{number}")) for number in range(10)]
    coming = asyncio.create_task(
        ObjectSink(store, MAIN, Service).replace(Listing(services, [], "1"))
    )
    while not coming.done():
        seen.add((store.count(MAIN, Service), store.is_complete))
        await asyncio.sleep(0)
    assert seen >= {(number, False) for number in range(1, 10)}
    assert store.is_complete


def test_what_is_not_understood_is_marked() -> None:
    """An object nobody understands keeps its Service as it is."""
    store = new_store()
    ObjectSink(store, "c1", EndpointSlice).mark_undecodable(
        Undecodable(ELSEWHERE, WEB, "who knows")
    )
    assert list(store.snapshot().remotes["c1"].undecodable) == [WEB]


# Links


@define
class Links:
    """A sink for links, and which were passed on."""

    store: Store = field(factory=lambda: Store(Options()))
    changed: list[str] = field(factory=list)

    @property
    def sink(self) -> LinkSink:
        return LinkSink(self.store, self.changed.append)


async def test_links_of_a_list_are_known_and_passed_on() -> None:
    """Every link of a list is known, and one that is not in it any more is gone; each is passed on."""
    links = Links()
    await links.sink.replace(Listing([link("a"), link("b")], [], "1"))
    assert links.changed == ["a", "b"]
    links.changed.clear()
    await links.sink.replace(Listing([link("b")], [], "2"))
    assert (set(links.store.links), sorted(links.changed)) == ({"b"}, ["a", "b"])


def test_link_is_known_before_it_is_passed_on() -> None:
    """Whoever is told of a link finds it in the store, and whoever is told that it is gone does not."""
    store = Store(Options())
    seen: list[bool] = []
    sink = LinkSink(store, lambda name: seen.append(name in store.links))
    sink.apply(link("a"))
    sink.remove(NamespacedName("", "a"))
    assert seen == [True, False]


def test_stale_link_is_passed_on_as_the_newer_one_held() -> None:
    """A watch event from before svclink's own status write changes nothing."""
    links = Links()
    links.sink.apply(link("a", "10"))
    links.sink.apply(link("a", "9", ClusterLinkSpec(enabled=False)))
    assert links.store.links["a"].spec.enabled


async def test_link_that_is_not_understood_keeps_its_last_state() -> None:
    """An edit nobody understands leaves the link as it was: its slices are not given up for it."""
    links = Links()
    spec = ClusterLinkSpec(excluded_namespaces=("secret",))
    links.sink.apply(link("a", spec=spec))
    links.store.set_connection("a", SYNCED)
    links.sink.mark_undecodable(unknown("a"))
    await links.sink.replace(Listing([], [unknown("a")], "2"))
    assert (links.store.links["a"].spec, links.store.connections["a"]) == (spec, SYNCED)


async def test_link_that_was_never_understood_holds_its_place() -> None:
    """Its slices are not taken for those of a link that is gone; nothing is read with it."""
    links = Links()
    await links.sink.replace(Listing([], [unknown("a")], "1"))
    assert links.store.links["a"].spec.kubeconfig is None
    assert links.changed == ["a"]


def test_link_that_was_never_understood_is_another_controllers_where_there_are_any() -> None:
    """Its labels say nothing either, so it is left alone."""
    links = Links()
    sink = evolve(links.sink, is_everything_selected=False)
    sink.mark_undecodable(unknown("a"))
    assert not links.store.links["a"].is_selected


def test_link_that_is_understood_again_counts() -> None:
    """When the link is mended, what it says is used."""
    links = Links()
    links.sink.mark_undecodable(unknown("a"))
    links.sink.apply(evolve(link("a", "2"), spec=ClusterLinkSpec(kubeconfig="abc")))
    assert links.store.links["a"].spec.kubeconfig == "abc"


def in_namespace(namespace: str, created: str, spec: ClusterLinkSpec | None = None) -> ClusterLink:
    """A link named `a` of the namespaced kind that the Go release has."""
    metadata = ObjectMeta("a", namespace, f"uid-in-{namespace}", "1", creation_timestamp=created)
    return ClusterLink(metadata, spec or ClusterLinkSpec())


async def test_of_two_links_of_one_name_the_older_counts() -> None:
    """In whatever order they are met; when it goes, the other takes its place and nothing is given up meanwhile."""
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


def test_a_link_that_is_not_understood_does_not_outrank_its_namesake() -> None:
    """Its age is not known; it holds its place beside the one that counts."""
    links = Links()
    links.sink.mark_undecodable(evolve(unknown("a"), key=NamespacedName("ops", "a")))
    good = in_namespace("dev", "2026-02-01T00:00:00Z")
    links.sink.apply(good)
    assert links.store.links == {"a": good}
    assert len(links.store.link_index.of("a")) == 2
