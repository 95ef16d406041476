"""All parts together: what is linked is mirrored, what goes wrong is said, and the end is in order.

Real: the whole controller, sockets and TLS. Substituted: the API servers, by small ones. What needs real control planes
is tested end to end.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from attrs import define, evolve
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from svclink_controller import manager
from svclink_controller.api.connecting import remote_client
from svclink_controller.election.leader import Timing
from svclink_controller.gc_tuning import freeze_survivors
from svclink_controller.manager import Manager, make_manager
from svclink_controller.settings import Settings
from svclink_controller.wire.label_selector import parse
from svclink_core import (
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    NamespacedName,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from svclink_core.codec import unstructure
from svclink_core.discovery_v1 import CONDITIONS
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.unit.controller.servers import (
    Cluster,
    Server,
    credentials,
    eventually,
    kubeconfig,
    refusal,
    serving,
)

NAMESPACE = "svclink"
FAST = Settings(sync_interval=0.05)
SHARD = Settings(sync_interval=0.05, link_selector=parse("shard=a"))


def service(name: str = "web") -> Service:
    spec = ServiceSpec(
        cluster_ip="10.96.0.1", ip_families=("IPv4",), ports=(ServicePort(80, "http"),)
    )
    return Service(ObjectMeta(name, "default", f"uid-of-{name}"), spec)


def piece(name: str = "web", address: str = "10.0.0.1") -> EndpointSlice:
    metadata = ObjectMeta(f"{name}-abc", "default", labels=((LABEL_SERVICE_NAME, name),))
    return EndpointSlice(
        metadata, "IPv4", (Endpoint((address,)),), (EndpointPort("http", port=8080),)
    )


def link(name: str = "c1", **spec: Any) -> ClusterLink:
    return ClusterLink(ObjectMeta(name, generation=1), ClusterLinkSpec(**spec))


@define
class World:
    """A main and a remote cluster, both with a Service `web`, and a controller."""

    main: Cluster
    main_server: Server
    remote: Cluster
    remote_server: Server
    controller: Manager
    task: asyncio.Task[None] | None = None

    @property
    def kubeconfig(self) -> str:
        """A kubeconfig of the remote cluster."""
        return kubeconfig(self.remote_server.url)

    def start(self) -> None:
        self.task = asyncio.create_task(self.controller.run())

    def put_labelled(self, shard: str) -> None:
        """The link of the remote cluster, with a label."""
        content = unstructure(link(kubeconfig=self.kubeconfig))
        self.main.put_raw(
            "clusterlinks", content | {"metadata": {"name": "c1", "labels": {"shard": shard}}}
        )

    def mirrored(self) -> dict[str, list[str]]:
        """The addresses in every slice of the main cluster."""
        return {
            item["metadata"]["name"]: [endpoint["addresses"][0] for endpoint in item["endpoints"]]
            for item in self.main.all("endpointslices")
        }

    def writes(self) -> list[str]:
        """The requests that change the main cluster."""
        return [request.path for request in self.main_server.requests if request.method != "GET"]

    def status(self, name: str = "c1") -> tuple[str | None, str | None]:
        """Reason and message of the link's Ready condition."""
        status = self.main.objects["clusterlinks", "", name].get("status", {})
        ready = [each for each in status.get("conditions", ()) if each["type"] == "Ready"]
        return (ready[0]["reason"], ready[0]["message"]) if ready else (None, None)

    async def is_mirrored(self, *addresses: str) -> None:
        await eventually(lambda: self.mirrored() == {"web-c1": list(addresses)})


@asynccontextmanager
async def worlds(settings: Settings = FAST) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        main, remote = Cluster("uid-of-main"), Cluster("uid-of-c1")
        for cluster in (main, remote):
            cluster.put(service())
        remote.put(piece())
        main_server = await stack.enter_async_context(serving(main))
        remote_server = await stack.enter_async_context(serving(remote))
        client = await remote_client(credentials(main_server.url))
        stack.push_async_callback(client.close)
        world = World(
            main, main_server, remote, remote_server, make_manager(client, NAMESPACE, settings)
        )
        try:
            yield world
        finally:
            if world.task is not None:
                world.task.cancel()
                await asyncio.wait({world.task})


# The work


async def test_linked_cluster_is_mirrored() -> None:
    """From a link to slices in the main cluster and a status; changes of the remote follow."""
    async with worlds() as world:
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.start()
        await world.is_mirrored("10.0.0.1")
        await eventually(lambda: world.status()[0] == "ClusterReady")
        world.remote.put(piece(address="10.0.0.2"))
        await world.is_mirrored("10.0.0.2")


async def test_slice_that_was_tampered_with_is_mended() -> None:
    """What somebody deletes or edits by hand comes back as it should be."""
    async with worlds() as world:
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.start()
        await world.is_mirrored("10.0.0.1")
        world.main.remove_key("endpointslices", "default", "web-c1")
        await world.is_mirrored("10.0.0.1")


async def test_mirror_that_is_read_has_the_endpoints_of_its_source() -> None:
    """What the main cluster's watch tells of a mirror takes no memory for endpoints that are the remote slice's."""
    async with worlds() as world:
        world.remote.put(
            evolve(piece(), endpoints=(Endpoint(("10.0.0.1",), CONDITIONS[True, True, False]),))
        )
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.start()
        await world.is_mirrored("10.0.0.1")
        stored = world.main.objects["endpointslices", "default", "web-c1"]
        world.main.put_raw(
            "endpointslices", stored | {"metadata": stored["metadata"] | {"generation": 7}}
        )
        store, key = world.controller.store, NamespacedName("default", "web-c1")
        await eventually(lambda: store.snapshot().main.names[key].metadata.generation == 7)
        (remote,) = store.snapshot().remotes["c1"].endpoint_slices[NamespacedName("default", "web")]
        assert store.snapshot().main.names[key].endpoints is remote.endpoints


async def test_link_that_goes_takes_its_slices_with_it() -> None:
    """Of a link that is deleted neither slices nor connections are left."""
    async with worlds() as world:
        world.start()
        await eventually(lambda: world.controller.store.is_complete)
        world.main.put(link(kubeconfig=world.kubeconfig))
        await world.is_mirrored("10.0.0.1")
        world.main.remove(link())
        await eventually(lambda: world.mirrored() == {})
        await eventually(lambda: not world.remote.watchers)
        assert world.controller.supervisor.names == []


async def test_slices_of_a_link_that_went_while_nobody_looked_are_removed() -> None:
    """A controller that starts finds what an earlier one left behind."""
    async with worlds() as world:
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.start()
        await world.is_mirrored("10.0.0.1")
    left_over = world.main.objects["endpointslices", "default", "web-c1"]
    async with worlds() as world:
        world.main.objects["endpointslices", "default", "web-c1"] = left_over
        world.start()
        await eventually(lambda: world.mirrored() == {})


async def test_rounds_that_find_nothing_write_nothing() -> None:
    """Everything is looked at again and again, and where nothing differs no request is made."""
    async with worlds(Settings(sync_interval=0.01)) as world:
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.start()
        await world.is_mirrored("10.0.0.1")
        await eventually(lambda: world.status()[0] == "ClusterReady")
        await asyncio.sleep(0.2)
        asked = len(world.main_server.requests), len(world.remote_server.requests)
        await asyncio.sleep(0.3)
        assert (len(world.main_server.requests), len(world.remote_server.requests)) == asked


# Several controllers


async def test_only_links_that_are_selected_are_worked_on() -> None:
    """A link of another controller is not connected to, its status not written, its metrics not shown."""
    async with worlds(SHARD) as world:
        world.main.put(link("other", kubeconfig=world.kubeconfig))
        world.put_labelled("a")
        world.start()
        await world.is_mirrored("10.0.0.1")
        await eventually(lambda: world.status()[0] == "ClusterReady")
        assert world.status("other") == (None, None)
        assert world.controller.supervisor.names == ["c1"]
        assert b'cluster="other"' not in generate_latest(world.controller.metrics.registry)
        assert world.controller.answers.not_ready_reason() is None


async def test_link_that_is_selected_no_longer_is_left_as_it_is() -> None:
    """The connection ends, the slices stay, also when the remote changes; selected again, it catches up."""
    async with worlds(SHARD) as world:
        world.put_labelled("a")
        world.start()
        await world.is_mirrored("10.0.0.1")
        world.put_labelled("b")
        await eventually(
            lambda: not world.remote.watchers and not world.controller.supervisor.names
        )
        world.remote.put(piece(address="10.0.0.2"))
        world.main.remove_key("endpointslices", "default", "web-c1")
        await asyncio.sleep(0.2)
        assert world.mirrored() == {}
        world.put_labelled("a")
        await world.is_mirrored("10.0.0.2")


async def test_link_of_another_controller_that_goes_takes_its_slices_with_it() -> None:
    """Who deletes them does not matter: nobody has the link any more, and the API server says so."""
    async with worlds() as world:
        world.put_labelled("b")
        world.start()
        await world.is_mirrored("10.0.0.1")
    left_over = world.main.objects["endpointslices", "default", "web-c1"]
    async with worlds(SHARD) as world:
        world.main.objects["endpointslices", "default", "web-c1"] = left_over
        world.put_labelled("b")
        world.start()
        await eventually(lambda: world.controller.store.is_complete)
        await asyncio.sleep(0.2)
        assert world.mirrored() == {"web-c1": ["10.0.0.1"]}
        world.main.remove(link())
        await eventually(lambda: world.mirrored() == {})


# Trouble


async def test_main_cluster_that_is_away_is_waited_for() -> None:
    """A controller that starts before its API server does nothing until it is there."""
    async with worlds() as world:

        async def refuse(_: web.BaseRequest) -> web.StreamResponse | None:
            return refusal(503)

        world.main.override = refuse
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.start()
        await eventually(lambda: len(world.main_server.requests) >= 2)
        world.main.override = None
        await world.is_mirrored("10.0.0.1")


async def test_missing_crd_is_said_and_waited_for() -> None:
    """Without the CRD nothing is decided, the log says what to install, and then it goes on."""
    async with worlds() as world:

        async def know_no_links(request: web.BaseRequest) -> web.StreamResponse | None:
            return refusal(404) if request.path.endswith("/clusterlinks") else None

        world.main.override = know_no_links
        world.main.put(link(kubeconfig=world.kubeconfig))
        with capture_logs() as logs:
            world.start()
            await eventually(
                lambda: any("apply -f crd/" in str(entry.get("mend")) for entry in logs)
            )
        assert world.writes() == []
        world.main.override = None
        await world.is_mirrored("10.0.0.1")


async def test_bad_link_disturbs_no_other() -> None:
    """A link that cannot work shows why, and the one beside it works."""
    async with worlds() as world:
        world.main.put(link("bad", kubeconfig="%%%"))
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.start()
        await world.is_mirrored("10.0.0.1")
        await eventually(lambda: world.status("bad")[0] == "InvalidKubeconfig")


async def test_link_to_the_main_cluster_is_refused() -> None:
    """The main cluster is not mirrored into itself."""
    async with worlds() as world:
        world.main.put(link(kubeconfig=kubeconfig(world.main_server.url)))
        world.start()
        await eventually(lambda: world.status()[0] == "SelfLink")
        assert world.mirrored() == {}


# Kubeconfigs in Secrets


async def test_kubeconfig_may_be_in_a_secret() -> None:
    """A link names a Secret of the controller's namespace; the status says that it is missing until it is there."""
    async with worlds() as world:
        world.main.put(link(kubeconfig_secret_ref=SecretKeyReference("c1")))
        world.start()
        await eventually(lambda: world.status()[0] == "InvalidKubeconfig")
        assert "Secret svclink/c1" in (world.status()[1] or "")
        world.main.put_secret(NAMESPACE, "c1", {"kubeconfig": world.kubeconfig})
        await world.is_mirrored("10.0.0.1")


async def test_secret_of_another_link_does_not_disturb() -> None:
    """A Secret that changes concerns the links that name it."""
    async with worlds() as world:
        world.main.put_secret(NAMESPACE, "c1", {"kubeconfig": world.kubeconfig})
        world.main.put(link(kubeconfig_secret_ref=SecretKeyReference("c1")))
        world.main.put(link("other", kubeconfig_secret_ref=SecretKeyReference("other")))
        world.start()
        await world.is_mirrored("10.0.0.1")
        listed = len(world.remote_server.lists)
        world.main.put_secret(NAMESPACE, "other", {"kubeconfig": "%%%"})
        await eventually(lambda: "base64" in (world.status("other")[1] or ""))
        assert len(world.remote_server.lists) == listed


# Several replicas


ELECTING = Settings(sync_interval=0.05, leader_elect=True)


async def test_one_of_two_replicas_writes_and_the_other_takes_over() -> None:
    """A standby knows everything and writes nothing until the leader ends; then it goes on where that one stopped."""
    async with worlds(ELECTING) as world, AsyncExitStack() as stack:
        client = await remote_client(credentials(world.main_server.url))
        stack.push_async_callback(client.close)
        standby = make_manager(client, NAMESPACE, ELECTING)
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.start()
        await world.is_mirrored("10.0.0.1")
        second = asyncio.create_task(standby.run())
        try:
            await eventually(lambda: standby.store.connections.get("c1") == SYNCED)
            assert standby.store.is_complete
            assert not standby.elector.may_write()
            assert (
                world.main.objects["leases", NAMESPACE, "svclink"]["spec"]["holderIdentity"]
                != standby.elector.identity
            )
            assert world.task is not None
            world.task.cancel()
            await asyncio.wait({world.task})
            world.remote.put(piece(address="10.0.0.2"))
            await world.is_mirrored("10.0.0.2")
            assert standby.elector.may_write()
        finally:
            second.cancel()
            await asyncio.wait({second})


async def test_leader_that_lost_the_lease_writes_again_when_it_is_back() -> None:
    """What happened in between, and what was given up in the middle, is written then; nothing is forgotten."""
    async with worlds(ELECTING) as world:
        world.controller.elector.timing = Timing(lease=15, renew=0.3, retry=0.05)
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.start()
        await world.is_mirrored("10.0.0.1")
        await eventually(lambda: world.status()[0] == "ClusterReady")

        async def refuse_writes(request: web.BaseRequest) -> web.StreamResponse | None:
            return refusal(503) if request.method != "GET" else None

        world.main.override = refuse_writes
        await eventually(lambda: not world.controller.elector.may_write())
        world.remote.put(piece(address="10.0.0.2"))
        world.main.put(link(kubeconfig=world.kubeconfig, enabled=False))
        await eventually(lambda: not world.controller.store.links["c1"].spec.enabled)
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.main.override = None
        await world.is_mirrored("10.0.0.2")
        await eventually(lambda: world.status()[0] == "ClusterReady")


# The end


async def test_end_leaves_nothing_behind() -> None:
    """A controller that ends closes every connection and ends every task."""
    before = asyncio.all_tasks()
    async with worlds() as world:
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.main.put(link("other", kubeconfig_secret_ref=SecretKeyReference("other")))
        world.start()
        await world.is_mirrored("10.0.0.1")
        assert world.task is not None
        world.task.cancel()
        await asyncio.wait({world.task})
        await eventually(lambda: not world.remote.watchers and not world.main.watchers)
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_drain_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that does not end is given up after a while, and the log says so."""
    monkeypatch.setattr(manager, "DRAIN_SECONDS", 0.05)
    async with worlds() as world:

        async def hang_on_writes(request: web.BaseRequest) -> web.StreamResponse | None:
            if request.method != "GET":
                await asyncio.Event().wait()
            return None

        world.main.override = hang_on_writes
        world.main.put(link(kubeconfig=world.kubeconfig))
        world.start()
        await eventually(lambda: any(path.endswith("/endpointslices") for path in world.writes()))
        with capture_logs() as logs:
            await world.controller.drain()
    assert "writes still under way were given up" in [entry["event"] for entry in logs]


def test_what_outlives_two_collections_is_looked_at_no_more() -> None:
    """A garbage collection takes no longer for all that is known already: new objects are all that it looks at."""
    gc.collect()  # What other tests left behind is garbage, too.
    gc.callbacks.append(freeze_survivors)
    try:
        known = [piece()]
        gc.collect(0)
        assert any(each is known for each in gc.get_objects())
        gc.collect(1)
        assert not any(each is known for each in gc.get_objects())
    finally:
        gc.callbacks.remove(freeze_survivors)
        gc.unfreeze()


def test_where_much_is_garbage_more_is_looked_for() -> None:
    """What is at work while connections come and go can be garbage next time, and is not kept for ever."""
    known = [piece()]
    freeze_survivors("stop", {"generation": 1, "collected": 2_000})
    assert any(each is known for each in gc.get_objects())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_the_controller(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end it in order, without an error."""
    async with worlds() as world:
        file = tmp_path / "kubeconfig"
        file.write_bytes(base64.b64decode(kubeconfig(world.main_server.url)))
        world.main.put(link(kubeconfig=world.kubeconfig))
        running = asyncio.create_task(manager.run(Settings(file, 0.05)))
        await world.is_mirrored("10.0.0.1")
        os.kill(os.getpid(), number)
        await asyncio.wait_for(running, 10)
        await eventually(lambda: not world.main.watchers and not world.remote.watchers)
        assert world.mirrored() == {"web-c1": ["10.0.0.1"]}
