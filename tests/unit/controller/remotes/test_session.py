"""A session lists everything or fails, and goes on while the server answers.

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
from structlog.testing import capture_logs

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.remotes.problems import problem_of
from svclink_controller.remotes.session import (
    HEARTBEAT,
    Heartbeat,
    RefusedError,
    Session,
    identify,
    open_session,
    require_answer,
)
from svclink_controller.state.store import Store
from svclink_core import LinkReason, NamespacedName, Options
from svclink_core.connection_loss import Loss, loss_of
from svclink_core.link_identity import Problem
from svclink_core.link_target import LinkTarget
from tests.builders.keys import WEB
from tests.builders.values import link, remote_slice, service
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Hang, HangUp, Refuse, ends_with, starts_with
from tests.unit.controller.http_server import Server, connected, kubeconfig, serving
from tests.unit.controller.remotes.followed_sessions import followed
from tests.unit.controller.waiting import eventually

ELSEWHERE: Final = NamespacedName("elsewhere", "web")
IDENTITY: Final = "/api/v1/namespaces/kube-system"
VERSION: Final = "/version"
FAST: Final = Heartbeat(interval=0.02)
IMPATIENT: Final = Heartbeat(interval=0.02, timeout=0.2)


@define
class World:
    """A cluster with a Service and a slice, and a store that has a link for it."""

    server: Server
    cluster: FakeApiServer
    store: Store

    async def open(self, *namespaces: str, heartbeat: Heartbeat = HEARTBEAT) -> Session:
        target = LinkTarget(kubeconfig(self.server.url), namespaces)
        return await open_session(target, lambda _: None, heartbeat=heartbeat)

    def services(self) -> set[NamespacedName]:
        return set(self.store.snapshot().remotes["c1"].services)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = Store(Options())
    store.put_link(link())
    cluster = FakeApiServer()
    cluster.put(service())
    cluster.put(remote_slice())
    async with serving(cluster) as server:
        yield World(server, cluster, store)


@asynccontextmanager
async def following(
    world: World, heartbeat: Heartbeat = HEARTBEAT
) -> AsyncIterator[asyncio.Task[None]]:
    """A session that is handed over and followed."""
    opened = await world.open(heartbeat=heartbeat)
    async with followed(opened, world.store) as task:
        yield task


# Opening


async def test_objects_reach_the_store_when_the_session_is_handed_over(world: World) -> None:
    """Nothing is in the store before, and everything is afterwards."""
    opened = await world.open()
    assert world.services() == set()
    await opened.hand_over(world.store, "c1")
    remote = world.store.snapshot().remotes["c1"]
    assert (set(remote.services), set(remote.endpoint_slices)) == ({WEB}, {WEB})
    await opened.close()


async def test_handed_over_lists_replace_what_was_held(world: World) -> None:
    """Objects of an earlier session that this one did not list are deleted."""
    world.store.put("c1", service(ELSEWHERE))
    opened = await world.open()
    await opened.hand_over(world.store, "c1")
    assert world.services() == {WEB}
    await opened.close()


async def test_lists_are_handed_over_in_turns(world: World) -> None:
    """Others may work between any two objects, and see what was held before until the end."""
    world.store.put("c1", service(ELSEWHERE))
    opened = await world.open()
    opened.turn_seconds = 0
    seen: list[set[NamespacedName]] = []

    async def watch_the_store() -> None:
        while True:
            seen.append(world.services())
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch_the_store())
    await opened.hand_over(world.store, "c1")
    watching.cancel()
    assert len(seen) >= 2
    assert all(each == {ELSEWHERE} for each in seen)
    assert world.services() == {WEB}
    await opened.close()


async def test_lists_of_namespaces_are_merged(world: World) -> None:
    """The lists of several namespaces are handed over as one; other namespaces are not read."""
    world.cluster.put(service(ELSEWHERE))
    world.cluster.put(service(NamespacedName("third", "web")))
    opened = await world.open("default", "elsewhere")
    await opened.hand_over(world.store, "c1")
    assert world.services() == {WEB, ELSEWHERE}
    await opened.close()


async def test_cluster_that_must_not_be_used_is_not_listed(world: World) -> None:
    """A refused cluster is disconnected before anything of it is read."""
    problem = Problem(LinkReason.SELF_LINK, "no")
    with pytest.raises(RefusedError) as caught:
        await open_session(LinkTarget(kubeconfig(world.server.url)), lambda _: problem)
    assert caught.value.problem == problem
    assert caught.value.cluster_id == world.cluster.uid
    assert world.server.paths == ["/version", "/api/v1/namespaces/kube-system"]


async def test_cluster_whose_identity_is_forbidden_is_unknown(world: World) -> None:
    """If kube-system may not be read, the log says which permission is missing."""
    world.cluster.fail(Refuse(403), starts_with(IDENTITY))
    async with connected(world.server.url) as client:
        with capture_logs() as logs:
            assert await identify(client) is None
        assert "kube-system" in logs[0]["fix"]


@pytest.mark.parametrize("code", [404, 500])
async def test_other_errors_of_the_identity_are_raised(world: World, code: int) -> None:
    """A transient error does not make a cluster unidentifiable."""
    world.cluster.fail(Refuse(code), starts_with(IDENTITY))
    async with connected(world.server.url) as client:
        with pytest.raises(ApiError, match=str(code)):
            await identify(client)


async def test_version_is_only_shown(world: World) -> None:
    """A token that may not read /version mirrors all the same."""
    world.cluster.fail(Refuse(403), starts_with(VERSION))
    opened = await world.open()
    assert (opened.version, opened.cluster_id) == (None, world.cluster.uid)
    await opened.close()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (VERSION, "the server in the kubeconfig is not the URL"),
        (IDENTITY, "create that namespace"),
        ("/api/v1/services", "the server in the kubeconfig is not the URL"),
        ("/apis/discovery.k8s.io/v1/endpointslices", "upgrade it to Kubernetes 1.21"),
    ],
)
async def test_server_without_an_api_is_not_lost(world: World, path: str, words: str) -> None:
    """The message names what the server does not have, instead of the network."""
    world.cluster.fail(Refuse(404), starts_with(path))
    with pytest.raises(ApiError, match="404") as caught:
        await world.open()
    problem = problem_of(caught.value)
    assert words in problem.message
    assert loss_of(LinkTarget("abc"), problem) is Loss.REJECTED


# Following


async def test_every_kind_is_followed(world: World) -> None:
    """Changes of Services and slices reach the store."""
    async with following(world):
        world.cluster.put(service(ELSEWHERE))
        world.cluster.remove(remote_slice())
        await eventually(lambda: world.services() == {WEB, ELSEWHERE})
        await eventually(lambda: not world.store.snapshot().remotes["c1"].endpoint_slices)


async def test_first_error_is_raised(world: World) -> None:
    """The watch that breaks ends the session, with its own error and not a group of errors."""
    async with following(world) as task:
        await eventually(lambda: len(world.cluster.watchers) == 2)
        world.cluster.fail(Refuse(401), ends_with("/endpointslices"))
        world.cluster.hang_up()
        with pytest.raises((ApiError, TransportError)):
            await task


# Heartbeats


def beats(world: World) -> int:
    return world.server.paths.count("/version")


@pytest.mark.parametrize("code", [200, 403, 404, 429, 500, 503])
async def test_any_answer_keeps_the_session(world: World, code: int) -> None:
    """An overloaded server does not count as lost: listing it again would load it more."""
    async with following(world, FAST) as task:
        if code != 200:
            world.cluster.fail(Refuse(code), starts_with(VERSION))
        asked = beats(world)
        await eventually(lambda: beats(world) > asked + 3 or task.done())
        assert not task.done()


async def test_expired_credentials_end_the_session(world: World) -> None:
    """A watch outlives the token it was started with; the heartbeat does not."""
    async with following(world, FAST) as task:
        world.cluster.fail(Refuse(401), starts_with(VERSION))
        with pytest.raises(ApiError, match="401"):
            await task


async def test_server_that_hangs_is_noticed(world: World) -> None:
    """A server that keeps its connections open and stops answering ends the session."""
    async with following(world, IMPATIENT) as task:
        world.cluster.fail(Hang(), starts_with(VERSION))
        with pytest.raises(TransportError):
            await task


async def test_server_that_hangs_is_asked_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server is lost after two heartbeats without a response.

    They are counted where they are sent: on a busy machine, the first may end before it arrives.
    """
    world.cluster.fail(Hang(), starts_with(VERSION))
    sent = []
    get = Client.get

    async def counted(client: Client, path: str, seconds: float) -> bytes:
        sent.append(path)
        return await get(client, path, seconds=seconds)

    monkeypatch.setattr(Client, "get", counted)
    async with connected(world.server.url) as client:
        with pytest.raises(TransportError):
            await require_answer(client, seconds=0.05)
    assert sent == [VERSION, VERSION]


async def test_one_heartbeat_may_be_missed(world: World) -> None:
    """A connection that breaks once under a heartbeat does not end the session."""
    async with following(world, FAST) as task:
        broken = world.cluster.fail(HangUp(), starts_with(VERSION), times=1)
        await eventually(lambda: broken.hits == 1)
        asked = beats(world)
        await eventually(lambda: beats(world) > asked + 3 or task.done())
        assert not task.done()
