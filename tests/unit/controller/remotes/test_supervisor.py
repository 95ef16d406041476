"""One remote runs for each selected link, from its creation to its end.

Real: supervisor, remotes, claims, Secrets, store, clients, sockets and TLS. Substituted: the API
servers, by small ones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from attrs import define, evolve, field

from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_controller.remotes.secret_kubeconfigs import SecretKubeconfigs
from svclink_controller.remotes.supervisor import Supervisor
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_core import PENDING, SYNCED, ClusterLink, ClusterLinkSpec, LinkReason, Options
from svclink_core.controller_namespace import KnownNamespace
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.builders.keys import WEB
from tests.builders.values import link, service
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.http_server import Server, connected, kubeconfig, serving
from tests.unit.controller.waiting import eventually

NAMESPACE: Final = "svclink"
IN_SECRET: Final = ClusterLinkSpec(kubeconfig_secret_ref=SecretKeyReference("c1"))


@define
class World:
    """A main and a remote cluster, and the supervisor of the links between them."""

    main: FakeApiServer
    remote: FakeApiServer
    remote_server: Server
    store: Store = field(factory=lambda: Store(Options()))
    supervisor: Supervisor = field(init=False)
    left: list[str] = field(factory=list)

    @property
    def kubeconfig(self) -> str:
        return kubeconfig(self.remote_server.url)

    @property
    def spec(self) -> ClusterLinkSpec:
        return ClusterLinkSpec(kubeconfig=self.kubeconfig)

    def edit(self, edited: ClusterLink) -> None:
        self.store.put_link(edited, listed=True)
        self.supervisor.link_changed(edited.metadata.name)

    def delete(self, name: str = "c1") -> None:
        self.store.remove_link(name)
        self.supervisor.link_changed(name)

    def problem(self, name: str = "c1") -> LinkReason | None:
        problem = self.store.observations.get(name, Observation()).problem
        return None if problem is None else problem.reason

    async def is_synced(self, name: str = "c1") -> None:
        await eventually(lambda: self.store.connections.get(name) == SYNCED)

    async def is_disconnected(self) -> None:
        await eventually(lambda: not self.remote.watchers)


@asynccontextmanager
async def worlds() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        main, remote = FakeApiServer("uid-of-main"), FakeApiServer("uid-of-c1")
        remote.put(service())
        main_server = await stack.enter_async_context(serving(main))
        remote_server = await stack.enter_async_context(serving(remote))
        client = await stack.enter_async_context(connected(main_server.url))
        world = World(main, remote, remote_server)

        def secret_changed(name: str) -> None:
            world.supervisor.secret_changed(name)

        world.supervisor = Supervisor(
            store=world.store,
            secrets=SecretKubeconfigs(client, KnownNamespace(NAMESPACE), secret_changed),
            cluster_claims=ClusterClaims("uid-of-main"),
            link_left=world.left.append,
        )
        try:
            yield world
        finally:
            await world.supervisor.close()


async def test_link_is_connected_until_it_is_deleted() -> None:
    """A deleted link leaves no connection, no objects and no task."""
    async with worlds() as world:
        world.edit(link(spec=world.spec))
        await world.is_synced()
        await eventually(lambda: len(world.remote.watchers) == 2)
        assert world.supervisor.names == ["c1"]
        world.delete()
        await world.is_disconnected()
        assert world.supervisor.names == []
        assert world.left == ["c1"]


async def test_link_of_another_controller_is_not_connected() -> None:
    """Only selected links have a remote."""
    async with worlds() as world:
        world.edit(link("other", world.spec, is_selected=False))
        world.edit(link(spec=world.spec))
        await world.is_synced()
        assert world.supervisor.names == ["c1"]
        assert "other" not in world.store.connections


async def test_link_that_is_no_longer_selected_is_disconnected() -> None:
    """Another controller handles the link now, so the objects of its cluster are dropped."""
    async with worlds() as world:
        world.edit(link(spec=world.spec))
        await world.is_synced()
        world.edit(link(spec=world.spec, is_selected=False))
        await world.is_disconnected()
        assert world.store.connections["c1"] == PENDING
        assert world.store.observations["c1"] == Observation()
        assert world.left == ["c1"]


async def test_link_waits_until_its_secret_is_read() -> None:
    """A missing Secret is a problem only once the API server has said that it is missing."""
    async with worlds() as world:
        world.edit(link(spec=IN_SECRET))
        assert world.supervisor.names == []
        await eventually(lambda: world.problem() is not None)
        assert world.problem() is LinkReason.INVALID_KUBECONFIG
        world.main.put_secret(NAMESPACE, "c1", {"kubeconfig": world.kubeconfig})
        await world.is_synced()
        assert world.problem() is None


async def test_secret_concerns_the_links_that_name_it() -> None:
    """A Secret of another link does not interrupt a link."""
    async with worlds() as world:
        world.main.put_secret(NAMESPACE, "c1", {"kubeconfig": world.kubeconfig})
        world.edit(link(spec=IN_SECRET))
        world.edit(link("other", evolve(IN_SECRET, kubeconfig_secret_ref=SecretKeyReference("x"))))
        await world.is_synced()
        world.main.put_secret(NAMESPACE, "x", {"kubeconfig": "%%%"})
        await eventually(lambda: world.problem("other") is LinkReason.INVALID_KUBECONFIG)
        assert world.problem() is None
        assert world.store.connections["c1"] == SYNCED


async def test_secret_that_leads_to_another_cluster_is_refused_until_the_link_is_edited() -> None:
    """A changed Secret is not an edit: its link is ClusterChanged, and its mirrors are kept."""
    async with worlds() as world, AsyncExitStack() as stack:
        other = await stack.enter_async_context(serving(FakeApiServer("uid-of-another")))
        world.main.put_secret(NAMESPACE, "c1", {"kubeconfig": world.kubeconfig})
        world.edit(link(spec=IN_SECRET, generation=1))
        await world.is_synced()
        world.main.put_secret(NAMESPACE, "c1", {"kubeconfig": kubeconfig(other.url)})
        await eventually(lambda: world.problem() is LinkReason.CLUSTER_CHANGED)
        assert set(world.store.snapshot().remotes["c1"].services) == {WEB}
        assert world.store.observations["c1"].cluster_id == "uid-of-c1"
        world.edit(link(spec=IN_SECRET, generation=2))
        await eventually(lambda: world.store.observations["c1"].cluster_id == "uid-of-another")
        assert world.problem() is None


async def test_close_ends_every_connection() -> None:
    """No remote and no watch of a Secret outlives the supervisor."""
    async with worlds() as world:
        world.edit(link(spec=world.spec))
        world.edit(link("other", IN_SECRET))
        await world.is_synced()
        await eventually(lambda: bool(world.remote.watchers and world.main.watchers))
        await world.supervisor.close()
        assert world.supervisor.names == []
        await eventually(lambda: not world.remote.watchers and not world.main.watchers)
