"""Namespaces that a selector selects are read, and no others.

Real: the session, clients, reflectors, store, sockets and TLS. Substituted: the remote API server,
by a small one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define

from svclink_controller.remotes.problems import problem_of
from svclink_controller.remotes.session import open_session
from svclink_controller.state.store import Store
from svclink_core import LinkReason, NamespacedName, Options
from svclink_core.label_selector import parse_selector
from svclink_core.link_target import LinkTarget
from svclink_core.snapshot import UnreadNamespace
from tests.builders.values import link, remote_slice, service
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Refuse
from tests.unit.controller.http_server import Request, Server, kubeconfig, serving
from tests.unit.controller.remotes.followed_sessions import followed
from tests.unit.controller.waiting import eventually

A_WEB, B_WEB = NamespacedName("a", "web"), NamespacedName("b", "web")


def namespace(name: str, tier: str | None = None) -> dict[str, Any]:
    labels = {} if tier is None else {"tier": tier}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "uid": f"uid-of-{name}", "labels": labels},
    }


@define
class World:
    """A cluster with a Service in the namespaces a, which is selected, and b."""

    server: Server
    cluster: FakeApiServer
    store: Store

    def services(self) -> set[NamespacedName]:
        return set(self.store.snapshot().remotes["c1"].services)

    def unread(self) -> dict[str, UnreadNamespace]:
        return dict(self.store.snapshot().remotes["c1"].unread_namespaces)

    def target(self, *namespaces: str) -> LinkTarget:
        selector = parse_selector("tier=gold")
        return LinkTarget(kubeconfig(self.server.url), namespaces, namespace_selector=selector)

    @asynccontextmanager
    async def following(self, *namespaces: str) -> AsyncIterator[None]:
        opened = await open_session(self.target(*namespaces), lambda _: None)
        async with followed(opened, self.store) as task:
            self.store.set_connection("c1", opened.connection)
            yield
            assert not task.done()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = Store(Options())
    store.put_link(link())
    cluster = FakeApiServer()
    for each in (namespace("a", "gold"), namespace("b")):
        cluster.put_raw("namespaces", each)
    for key in (A_WEB, B_WEB):
        cluster.put(service(key))
        cluster.put(remote_slice(key=key))
    async with serving(cluster) as server:
        yield World(server, cluster, store)


async def test_only_selected_namespaces_are_read(world: World) -> None:
    """The others are known to exist, so that a deleted one differs from them."""
    async with world.following():
        assert world.services() == {A_WEB}
        assert world.unread()["b"] is UnreadNamespace.NOT_SELECTED
        assert "a" not in world.unread()


async def test_labels_of_namespaces_that_change_take_effect(world: World) -> None:
    """Without a new connection, and without reading the other namespaces again."""
    async with world.following():
        world.cluster.put_raw("namespaces", namespace("b", "gold"))
        await eventually(lambda: world.services() == {A_WEB, B_WEB} and "b" not in world.unread())
        world.cluster.put_raw("namespaces", namespace("a"))
        await eventually(lambda: world.services() == {B_WEB})
        assert world.unread()["a"] is UnreadNamespace.NOT_SELECTED
        world.cluster.put_raw("namespaces", namespace("new", "gold"))
        world.cluster.put(service(NamespacedName("new", "web")))
        await eventually(lambda: world.services() == {B_WEB, NamespacedName("new", "web")})


async def test_a_deleted_namespace_is_not_taken_for_an_unselected_one(world: World) -> None:
    """Its Services are gone, which is the doing of the cluster."""
    async with world.following():
        world.cluster.put_raw("namespaces", namespace("c"))
        await eventually(lambda: "c" in world.unread())
        for name in ("a", "c"):
            world.cluster.remove_key("namespaces", "", name)
        world.cluster.remove(service(A_WEB))
        await eventually(lambda: world.services() == set())
        await eventually(lambda: not {"a", "c"} & world.unread().keys())


async def test_a_namespace_must_be_included_too(world: World) -> None:
    """The names that a link includes are selected from."""
    world.cluster.put_raw("namespaces", namespace("b", "gold"))
    async with world.following("b"):
        assert world.services() == {B_WEB}


async def test_a_selector_without_permission_has_a_problem(world: World) -> None:
    """The problem names the field and the permission."""

    def is_list(request: Request) -> bool:
        return request.path.endswith("/namespaces")

    world.cluster.fail(Refuse(403, "Forbidden"), is_list)
    with pytest.raises(Exception, match="Forbidden") as refused:
        await open_session(world.target(), lambda _: None)
    problem = problem_of(refused.value)  # type: ignore[arg-type]
    assert problem.reason is LinkReason.FORBIDDEN
    assert "spec.namespaceSelector needs permission to list and watch namespaces" in problem.message
