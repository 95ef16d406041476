"""Services that a selector selects, and only their EndpointSlices, are read.

Real: the session, clients, reflectors, store, sockets and TLS. Substituted: the remote API server,
by a small one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from attrs import define

from svclink_controller.api.spending import Reading
from svclink_controller.reflect.sinks import ObjectSink
from svclink_controller.remotes.selection.selected_services import SelectedServices
from svclink_controller.remotes.session import open_session
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core import ClusterLinkSpec, NamespacedName, Options, Reason, Service, plan_service
from svclink_core.label_selector import parse_selector
from svclink_core.link_target import LinkTarget
from svclink_core.meta_v1 import LabelSelector
from tests.builders.keys import WEB
from tests.builders.values import link, remote_slice, service
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.http_server import Server, kubeconfig, serving
from tests.unit.controller.remotes.followed_sessions import followed
from tests.unit.controller.waiting import eventually

API, ELSEWHERE = NamespacedName("default", "api"), NamespacedName("other", "web")
GOLD = {"tier": "gold"}
LATER = 4e9
"""A time when Service and slices have waited for each other long enough."""


@define
class World:
    """A cluster of which `tier=gold` is read, with `default/web` in it, and two without label."""

    server: Server
    cluster: FakeApiServer
    store: Store

    def held(self) -> tuple[set[NamespacedName], set[NamespacedName]]:
        """The Services that the store has, and those whose slices it has."""
        remote = self.store.snapshot().remotes["c1"]
        return set(remote.services), set(remote.endpoint_slices)

    def reason(self, key: NamespacedName) -> Reason:
        (decision,) = plan_service(self.store.snapshot(), key, LATER).decisions
        return decision.reason

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        target = LinkTarget(kubeconfig(self.server.url), (), parse_selector("tier=gold"))
        opened = await open_session(target, lambda _: None)
        async with followed(opened, self.store) as task:
            self.store.set_connection("c1", opened.connection)
            yield
            assert not task.done()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    spec = ClusterLinkSpec(service_selector=LabelSelector((("tier", "gold"),)))
    store = Store(Options())
    store.put_link(link(spec=spec))
    store.put("", service())
    cluster = FakeApiServer()
    cluster.put(service(labels=GOLD))
    for key in (API, ELSEWHERE):
        cluster.put(service(key))
    for key in (WEB, API, ELSEWHERE):
        cluster.put(remote_slice(key=key))
    async with serving(cluster) as server:
        yield World(server, cluster, store)


async def test_nothing_else_is_held(world: World) -> None:
    """Not even the slices of a Service with the same name in another namespace."""
    async with world.following():
        assert world.held() == ({WEB}, {WEB})


async def test_what_is_not_selected_costs_no_memory(world: World) -> None:
    """A cluster with many other Services takes the memory of one that has just the selected."""
    async with world.following():
        alone = world.store.memory("c1")
    for number in range(300):
        key = NamespacedName("default", f"other-{number}")
        world.cluster.put(service(key))
        world.cluster.put(remote_slice(key=key))
    async with world.following():
        assert world.held() == ({WEB}, {WEB})
        assert world.store.memory("c1") == alone


async def test_a_service_that_gets_its_labels_has_its_slices_at_once(world: World) -> None:
    """It never looks as if it had no endpoints."""
    seen: list[bool] = []

    def note(_: object) -> None:
        services, slices = world.held()
        if API in services:
            seen.append(API in slices)

    async with world.following():
        world.store.listener = note
        world.cluster.put(service(API, labels=GOLD))
        await eventually(lambda: world.held() == ({WEB, API}, {WEB, API}))
        assert all(seen)
        world.cluster.put(remote_slice("api-new", key=API))
        await eventually(lambda: len(world.store.snapshot().remotes["c1"].endpoint_slices[API]) > 1)


async def test_labels_that_are_lost_differ_from_a_deletion(world: World) -> None:
    """Slices that stay prove that the Service exists: nothing is counted by the deletion guard."""
    async with world.following():
        world.cluster.put(service(labels=None))
        await eventually(lambda: world.held() == (set(), {WEB}))
        assert world.reason(WEB) is Reason.SERVICE_NOT_SELECTED
        world.cluster.put(service(labels=GOLD))
        await eventually(lambda: world.held() == ({WEB}, {WEB}))
        world.cluster.remove(service())
        world.cluster.remove(remote_slice())
        await eventually(lambda: world.held() == (set(), set()))
        assert world.reason(WEB) is Reason.SELECTED_SERVICE_MISSING


def selected(store: Store, *held: NamespacedName) -> SelectedServices:
    sink = ObjectSink(store, "c1", Service)
    return SelectedServices(sink, Reading(), set(held))


@pytest.fixture
def store() -> Store:
    made = Store(Options())
    made.put_link(link())
    return made


def services(store: Store) -> set[NamespacedName]:
    return set(store.snapshot().remotes["c1"].services)


async def test_a_service_waits_until_its_slices_are_read(store: Store) -> None:
    """Its memory is counted meanwhile, and it may change or go before."""
    found = selected(store)
    for key in (WEB, API):
        found.apply(service(key))
    found.apply(service(API, version="2"))
    assert found.has_waiting.is_set()
    assert services(store) == set()
    assert found.reading.size > 0
    read = found.widen()
    found.apply(service(ELSEWHERE))
    found.remove(WEB)
    found.release(read)
    assert services(store) == {API}
    assert store.snapshot().remotes["c1"].services[API].metadata.resource_version == "2"
    found.release(found.widen())
    assert services(store) == {API, ELSEWHERE}
    assert found.reading.size == 0


@pytest.mark.parametrize("end", [SelectedServices.remove, "list"])
async def test_slices_of_services_that_are_gone_are_read_on(
    store: Store, end: Callable[[SelectedServices, NamespacedName], None] | str
) -> None:
    """Unless they outnumber the others: a Service that comes back waits again then."""
    found = selected(store, WEB, API)
    if callable(end):
        end(found, WEB)
    else:
        await found.replace(Listing([service(API)], [], "2"))
    assert found.widen() == {WEB, API}
    found.apply(service())
    assert not found.has_waiting.is_set()
    for key in (WEB, API):
        found.remove(key)
    assert found.widen() == set()


async def test_a_list_ends_the_wait_of_services_that_are_gone(store: Store) -> None:
    """One that is new in it waits."""
    found = selected(store, WEB)
    found.apply(service(API))
    await found.replace(Listing([service(), service(ELSEWHERE)], [], "2"))
    assert found.widen() == {WEB, ELSEWHERE}
    assert services(store) == {WEB}


async def test_a_service_that_cannot_be_decoded_no_longer_waits(store: Store) -> None:
    """Its Service is kept unchanged."""
    found = selected(store)
    found.apply(service())
    found.mark_undecodable(Undecodable(WEB, WEB, "broken"))
    assert found.widen() == set()
    assert WEB in store.snapshot().remotes["c1"].undecodable
