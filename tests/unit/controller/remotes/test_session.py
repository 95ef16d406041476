"""A connection lists everything or is none, and lives while the server gives signs of life.

Real: the session, clients, reflectors, store, sockets and TLS. Substituted: the remote API server, by a small one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
from aiohttp import web
from attrs import define
from structlog.testing import capture_logs

from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.remotes import session
from svclink_controller.remotes.session import (
    RefusedError,
    Session,
    identify,
    open_session,
)
from svclink_controller.state.store import Store
from svclink_core import (
    ClusterLink,
    EndpointSlice,
    LinkReason,
    NamespacedName,
    ObjectMeta,
    Options,
    Service,
)
from svclink_core.link_identity import Problem
from svclink_core.link_target import LinkTarget
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.unit.controller.servers import (
    Cluster,
    Server,
    connected,
    eventually,
    kubeconfig,
    refusal,
    serving,
)

Override: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | None]]

WEB, ELSEWHERE = NamespacedName("default", "web"), NamespacedName("elsewhere", "web")


def service(key: NamespacedName = WEB) -> Service:
    return Service(ObjectMeta(key.name, key.namespace))


def piece(key: NamespacedName = WEB) -> EndpointSlice:
    return EndpointSlice(
        ObjectMeta(f"{key.name}-1", key.namespace, labels=((LABEL_SERVICE_NAME, key.name),)), "IPv4"
    )


@define
class World:
    """A cluster with a Service and a slice, and a store that has a link for it."""

    server: Server
    cluster: Cluster
    store: Store

    async def open(self, *namespaces: str) -> Session:
        return await open_session(
            LinkTarget(kubeconfig(self.server.url), namespaces), lambda _: None
        )

    def services(self) -> set[NamespacedName]:
        return set(self.store.snapshot().remotes["c1"].services)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = Store(Options())
    store.put_link(ClusterLink(ObjectMeta("c1")))
    cluster = Cluster()
    cluster.put(service())
    cluster.put(piece())
    async with serving(cluster) as server:
        yield World(server, cluster, store)


@asynccontextmanager
async def following(world: World) -> AsyncIterator[asyncio.Task[None]]:
    """A connection that is handed over and followed."""
    opened = await world.open()
    opened.hand_over(world.store, "c1")
    task = asyncio.create_task(opened.follow(world.store, "c1"))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        await opened.close()


def answering(path: str, give: Callable[[], web.Response]) -> Override:
    async def override(request: web.BaseRequest) -> web.StreamResponse | None:
        return give() if request.path == path else None

    return override


# Opening


async def test_nothing_is_in_the_store_before_it_is_handed_over(world: World) -> None:
    """What was listed counts only when the connection takes over, and then all at once."""
    opened = await world.open()
    assert world.services() == set()
    opened.hand_over(world.store, "c1")
    remote = world.store.snapshot().remotes["c1"]
    assert (set(remote.services), set(remote.endpoint_slices)) == ({WEB}, {WEB})
    await opened.close()


async def test_handed_over_lists_replace_what_was_known(world: World) -> None:
    """What an earlier connection knew and this one did not find is gone."""
    world.store.put("c1", service(ELSEWHERE))
    opened = await world.open()
    opened.hand_over(world.store, "c1")
    assert world.services() == {WEB}
    await opened.close()


async def test_namespaces_are_put_together(world: World) -> None:
    """The lists of several namespaces count as one; those of others are not read."""
    world.cluster.put(service(ELSEWHERE))
    world.cluster.put(service(NamespacedName("third", "web")))
    opened = await world.open("default", "elsewhere")
    opened.hand_over(world.store, "c1")
    assert world.services() == {WEB, ELSEWHERE}
    await opened.close()


async def test_cluster_that_must_not_be_used_is_not_listed(world: World) -> None:
    """A refused identity ends the connection before anything of the cluster is read."""
    problem = Problem(LinkReason.SELF_LINK, "no")
    with pytest.raises(RefusedError) as caught:
        await open_session(LinkTarget(kubeconfig(world.server.url)), lambda _: problem)
    assert caught.value.problem == problem
    assert world.server.paths == ["/version", "/api/v1/namespaces/kube-system"]


@pytest.mark.parametrize(("code", "expected"), [(403, None), (404, 404), (500, 500)])
async def test_identity_may_only_be_forbidden(
    world: World, code: int, expected: int | None
) -> None:
    """Where kube-system may not be read the identity is unknown, and the log says so; any other trouble is one."""
    world.cluster.override = answering("/api/v1/namespaces/kube-system", lambda: refusal(code))
    async with connected(world.server.url) as client:
        if expected is None:
            with capture_logs() as logs:
                assert await identify(client) is None
            assert "kube-system" in logs[0]["mend"]
        else:
            with pytest.raises(ApiError, match=str(expected)):
                await identify(client)


# Following


async def test_every_kind_is_followed(world: World) -> None:
    """Changes of Services and slices reach the store."""
    async with following(world):
        world.cluster.put(service(ELSEWHERE))
        world.cluster.remove(piece())
        await eventually(lambda: world.services() == {WEB, ELSEWHERE})
        await eventually(lambda: not world.store.snapshot().remotes["c1"].endpoint_slices)


async def test_first_trouble_is_what_is_raised(world: World) -> None:
    """Whichever watch breaks ends the whole connection, with its own error and not a group of them."""
    async with following(world) as task:
        path = "/apis/discovery.k8s.io/v1/endpointslices"
        await eventually(lambda: len(world.cluster.watchers) == 2)
        world.cluster.override = answering(path, lambda: refusal(401, "Unauthorized"))
        world.cluster.hang_up()
        with pytest.raises((ApiError, TransportError)):
            await task


# Signs of life


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats that tests need not wait for."""
    monkeypatch.setattr(session, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(session, "HEARTBEAT_TIMEOUT_SECONDS", 0.2)


def beats(world: World) -> int:
    return world.server.paths.count("/version")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("code", [200, 403, 404, 429, 500, 503])
async def test_any_answer_is_a_sign_of_life(world: World, code: int) -> None:
    """A server with too much to do is not taken for lost: listing it anew would be more to do."""
    async with following(world) as task:
        if code != 200:
            world.cluster.override = answering("/version", lambda: refusal(code))
        asked = beats(world)
        await eventually(lambda: beats(world) > asked + 3 or task.done())
        assert not task.done()


@pytest.mark.usefixtures("impatient")
async def test_credentials_that_count_no_more_end_the_connection(world: World) -> None:
    """A watch outlives the token it was started with; the heartbeat does not."""
    async with following(world) as task:
        world.cluster.override = answering("/version", lambda: refusal(401, "Unauthorized"))
        with pytest.raises(ApiError, match="401"):
            await task


@pytest.mark.usefixtures("impatient")
async def test_server_that_hangs_is_noticed(world: World) -> None:
    """A server that keeps its connections and says nothing any more is lost after two heartbeats."""

    async def hang(_: web.BaseRequest) -> web.StreamResponse | None:
        await asyncio.Event().wait()
        return None

    async with following(world) as task:
        await eventually(lambda: len(world.cluster.watchers) == 2)
        asked = beats(world)
        world.cluster.override = hang
        with pytest.raises(TransportError):
            await task
        assert beats(world) >= asked + 2


@pytest.mark.usefixtures("impatient")
async def test_one_heartbeat_may_be_missed(world: World) -> None:
    """A connection that broke once under a heartbeat is no reason to list everything anew."""
    async with following(world) as task:
        broken: list[str] = []

        async def break_once(request: web.BaseRequest) -> web.StreamResponse | None:
            if request.path == "/version" and not broken:
                broken.append(request.path)
                assert request.transport is not None
                request.transport.abort()
            return None

        world.cluster.override = break_once
        await eventually(lambda: bool(broken))
        asked = beats(world)
        await eventually(lambda: beats(world) > asked + 3 or task.done())
        assert not task.done()
