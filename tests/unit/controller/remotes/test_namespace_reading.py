"""A namespace that cannot be read holds up no other one, and is followed once it can be read.

Real: the session, clients, reflectors, store, sockets and TLS. Substituted: the remote API server,
by a small one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from attrs import define

from svclink_controller.api.errors import ApiError
from svclink_controller.remotes.session import Session, open_session
from svclink_controller.state.store import Store
from svclink_core import PENDING, SYNCED, NamespacedName, Options, Synced
from svclink_core.link_target import LinkTarget
from tests.builders.values import link, remote_slice, service
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Predicate, Refuse, Rule
from tests.unit.controller.http_server import Request, Server, kubeconfig, serving
from tests.unit.controller.remotes.followed_sessions import followed
from tests.unit.controller.waiting import eventually

A_WEB, B_WEB, B_API = (NamespacedName(*each.split("/")) for each in ("a/web", "b/web", "b/api"))
B_IS_MISSING: Final = Synced(frozenset({"b"}))


def inside(namespace: str, kind: str = "") -> Predicate:
    """Requests for a kind, or for any kind, of a namespace."""

    def is_inside(request: Request) -> bool:
        return f"/namespaces/{namespace}/{kind}" in request.path

    return is_inside


@define
class World:
    """A cluster with a Service in each of the namespaces a and b, and a store with its link."""

    server: Server
    cluster: FakeApiServer
    store: Store

    def forbid(self, namespace: str, kind: str = "") -> Rule:
        return self.cluster.fail(Refuse(403, "Forbidden"), inside(namespace, kind))

    async def open(self, *namespaces: str) -> Session:
        target = LinkTarget(kubeconfig(self.server.url), namespaces or ("a", "b"))
        opened = await open_session(target, lambda _: None)
        opened.reader.longest_pause = 0.02
        return opened

    def services(self) -> set[NamespacedName]:
        return set(self.store.snapshot().remotes["c1"].services)

    async def is_connected(self, connection: Synced) -> None:
        await eventually(lambda: self.store.connections["c1"] == connection)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = Store(Options())
    store.put_link(link())
    cluster = FakeApiServer()
    for key in (A_WEB, B_WEB):
        cluster.put(service(key))
    cluster.put(remote_slice())
    async with serving(cluster) as server:
        yield World(server, cluster, store)


@asynccontextmanager
async def following(world: World, *namespaces: str) -> AsyncIterator[asyncio.Task[None]]:
    """A session that is handed over and followed."""
    opened = await world.open(*namespaces)
    async with followed(opened, world.store) as task:
        world.store.set_connection("c1", opened.connection)
        yield task


@pytest.mark.parametrize("kind", ["", "services", "endpointslices"])
async def test_others_are_read_without_a_forbidden_namespace(world: World, kind: str) -> None:
    """A namespace of which only one kind can be read is missing too."""
    world.forbid("b", kind)
    async with following(world):
        await world.is_connected(B_IS_MISSING)
        world.cluster.put(service(NamespacedName("a", "new")))
        await eventually(lambda: world.services() == {A_WEB, NamespacedName("a", "new")})


async def test_namespace_that_becomes_readable_is_followed(world: World) -> None:
    """Without a restart, and with all that it holds by then."""
    world.forbid("b")
    async with following(world):
        await world.is_connected(B_IS_MISSING)
        world.cluster.put(service(B_API))
        world.cluster.heal()
        await world.is_connected(SYNCED)
        assert world.services() == {A_WEB, B_WEB, B_API}
        world.cluster.remove(service(B_WEB))
        await eventually(lambda: world.services() == {A_WEB, B_API})


async def test_namespace_that_is_forbidden_later_is_missing(world: World) -> None:
    """A Role that is removed shows when the watch is requested again. Nothing counts as deleted."""
    async with following(world) as task:
        await eventually(lambda: len(world.cluster.watchers) == 4)
        world.forbid("b")
        world.cluster.hang_up()
        await world.is_connected(B_IS_MISSING)
        assert world.services() == {A_WEB, B_WEB}
        world.cluster.put(service(NamespacedName("a", "new")))
        await eventually(lambda: NamespacedName("a", "new") in world.services())
        world.cluster.remove(service(B_WEB))
        world.cluster.heal()
        await world.is_connected(SYNCED)
        assert B_WEB not in world.services()
        assert not task.done()


async def test_deleted_namespace_that_may_be_read_is_empty(world: World) -> None:
    """With a cluster-wide role, empty lists prove that nothing is left."""
    async with following(world):
        world.cluster.remove(service(B_WEB))
        await eventually(lambda: world.services() == {A_WEB})
        assert world.store.connections["c1"] == SYNCED
    async with following(world):
        assert (world.services(), world.store.connections["c1"]) == ({A_WEB}, SYNCED)


@pytest.mark.parametrize("namespaces", [("a", "b"), ("b",), ("b", "a")])
async def test_link_of_which_nothing_can_be_read_is_forbidden(
    world: World, namespaces: tuple[str, ...]
) -> None:
    """The link has a problem then, and not only some namespaces."""
    world.forbid("a")
    world.forbid("b")
    with pytest.raises(ApiError, match="403"):
        await world.open(*namespaces)


async def test_session_ends_when_its_last_namespace_is_forbidden(world: World) -> None:
    """The same facts lead to the same state, in whatever order they came."""
    world.forbid("b")
    async with following(world) as task:
        await eventually(lambda: len(world.cluster.watchers) == 2)
        world.forbid("a")
        world.cluster.hang_up()
        with pytest.raises(ApiError, match="403"):
            await task


@pytest.mark.parametrize("code", [401, 500])
async def test_other_refusal_concerns_the_whole_cluster(world: World, code: int) -> None:
    """Credentials that expired, or a server that fails, are not matters of a namespace."""
    world.cluster.fail(Refuse(code), inside("b"))
    with pytest.raises(ApiError, match=str(code)):
        await world.open()


async def test_session_that_is_being_replaced_decides_nothing(world: World) -> None:
    """Once the link asks for other namespaces, the cluster is pending until they are listed."""
    rule = world.forbid("b")
    async with following(world):
        world.store.set_connection("c1", PENDING)
        tried = rule.hits
        world.cluster.heal()
        await eventually(lambda: B_WEB in world.services())
        assert tried > 0
        assert world.store.connections["c1"] == PENDING
