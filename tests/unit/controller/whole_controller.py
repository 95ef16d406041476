"""A whole controller between two small API servers, for tests of all parts together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from attrs import define

from svclink_controller import clock
from svclink_controller.api.connecting import remote_client
from svclink_controller.manager import Manager, make_manager
from svclink_controller.settings import Settings
from svclink_core import ClusterLink, ClusterLinkSpec
from svclink_core.codec import unstructure
from tests.builders.values import link, remote_slice, service
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.http_server import Server, credentials, kubeconfig, serving
from tests.unit.controller.waiting import eventually

NAMESPACE: Final = "svclink"
FAST: Final = Settings(sync_interval=0.05)


@define
class World:
    """A main and a remote cluster, both with Service default/web, and a controller."""

    main: FakeApiServer
    main_server: Server
    remote: FakeApiServer
    remote_server: Server
    controller: Manager
    task: asyncio.Task[None] | None = None

    @property
    def kubeconfig(self) -> str:
        """A kubeconfig of the remote cluster."""
        return kubeconfig(self.remote_server.url)

    def link(self, **spec: Any) -> ClusterLink:
        """The link of the remote cluster."""
        return link(spec=ClusterLinkSpec(kubeconfig=self.kubeconfig, **spec))

    def put_labelled(self, shard: str) -> None:
        """Creates or changes the link of the remote cluster, with a label."""
        metadata = {"metadata": {"name": "c1", "labels": {"shard": shard}}}
        self.main.put_raw("clusterlinks", unstructure(self.link()) | metadata)

    def hold_lease(self) -> None:
        """Another replica leads."""
        spec: Any = {"holderIdentity": "another", "leaseDurationSeconds": 1000}
        metadata = {"name": "svclink", "namespace": NAMESPACE}
        spec["renewTime"] = clock.micro_time()
        self.main.put_raw("leases", {"metadata": metadata, "spec": spec})

    def release_lease(self) -> None:
        """The other replica leads no more."""
        self.main.remove_key("leases", NAMESPACE, "svclink")

    def start(self) -> None:
        self.task = asyncio.create_task(self.controller.run())

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})

    def mirrored(self) -> dict[str, list[str]]:
        """The addresses in every slice of the main cluster."""
        return {
            item["metadata"]["name"]: [endpoint["addresses"][0] for endpoint in item["endpoints"]]
            for item in self.main.all("endpointslices")
        }

    def writes(self) -> list[str]:
        """The requests that change the main cluster."""
        return [request.path for request in self.main_server.requests if request.method != "GET"]

    def ready(self, name: str = "c1") -> tuple[str | None, str | None]:
        """Reason and message of the Ready condition of a link."""
        return self._condition("Ready", name)

    def synced(self, name: str = "c1") -> tuple[str | None, str | None]:
        """Reason and message of the Synced condition of a link."""
        return self._condition("Synced", name)

    def _condition(self, kind: str, name: str) -> tuple[str | None, str | None]:
        status = self.main.objects["clusterlinks", "", name].get("status", {})
        found = [each for each in status.get("conditions", ()) if each["type"] == kind]
        return (found[0]["reason"], found[0]["message"]) if found else (None, None)

    async def is_mirrored(self, *addresses: str) -> None:
        """Waits until the main cluster has these addresses of the remote one, and nothing else."""
        await eventually(lambda: self.mirrored() == {"web-c1": list(addresses)})

    async def has_reason(self, reason: str, name: str = "c1") -> None:
        """Waits until a link has this reason in its Ready condition."""
        await eventually(lambda: self.ready(name)[0] == reason)


@asynccontextmanager
async def worlds(settings: Settings = FAST, **injected: Any) -> AsyncIterator[World]:
    """A world whose controller is not started yet. `injected` is for `make_manager`."""
    async with AsyncExitStack() as stack:
        main, remote = FakeApiServer("uid-of-main"), FakeApiServer("uid-of-c1")
        for cluster in (main, remote):
            cluster.put(service(ip_families=("IPv4",)))
        remote.put(remote_slice())
        main_server = await stack.enter_async_context(serving(main))
        remote_server = await stack.enter_async_context(serving(remote))
        client = await remote_client(credentials(main_server.url))
        stack.push_async_callback(client.close)
        controller = make_manager(client, NAMESPACE, settings, **injected)
        world = World(main, main_server, remote, remote_server, controller)
        try:
            yield world
        finally:
            await world.stop()
