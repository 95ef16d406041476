"""A main cluster and remote clusters with Services."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.e2e.control_planes import Cluster, running

from .api import Api, Object, connected, slices_of

NAMESPACE: Final = "bench"
MANAGED_SELECTOR: Final = "endpointslice.kubernetes.io/managed-by=svclink.cloudpilot.ai"
LINKS: Final = "/apis/svclink.cloudpilot.ai/v1alpha1/clusterlinks"
CRDS: Final = Path(__file__).parents[2] / "crd"
MAX_IN_FLIGHT: Final = 32


@dataclass
class Fleet:
    """The clusters, with an administrator's client of each.

    Args:
        remotes: The clients by the name of the remote cluster, which is also that of its link.
        services: Services in each cluster.
        endpoints: Endpoints of each Service in each remote cluster.
    """

    main: Api
    remotes: dict[str, Api]
    clusters: dict[str, Cluster]
    kubeconfigs: dict[str, Path]
    services: int
    endpoints: int

    @property
    def slices(self) -> int:
        """Mirrored slices that main should have in the end."""
        return len(self.remotes) * self.services

    async def change(self, remote: str, service: int) -> str:
        """Give the slice of a Service new endpoints; returns its first address."""
        changed = endpoint_slice(service, self.endpoints)
        path = f"{slices_of(NAMESPACE)}/{changed['metadata']['name']}"
        await self.remotes[remote].request("PUT", path, changed)
        first: str = changed["endpoints"][0]["addresses"][0]
        return first

    async def clear(self) -> None:
        """Delete all mirrored slices."""
        await self.main.request("DELETE", slices_of(NAMESPACE), labelSelector=MANAGED_SELECTOR)

    async def link(self) -> None:
        """Create a link to each remote cluster."""
        for name in self.remotes:
            kubeconfig = base64.b64encode(self.kubeconfigs[name].read_bytes()).decode()
            await self.main.request("POST", LINKS, cluster_link(name, kubeconfig))


@asynccontextmanager
async def running_fleet(
    binaries: Path, directory: Path, remotes: int, services: int, endpoints: int
) -> AsyncIterator[Fleet]:
    """Run real control planes on loopback, with Services and links."""
    names = ["main", *(f"c{i + 1}" for i in range(remotes))]
    for name in names:
        (directory / name).mkdir()
    clusters = {
        name: Cluster(name, binaries, directory / name, controller_manager=name == "main")
        for name in names
    }
    with running(list(clusters.values())):
        async with AsyncExitStack() as stack:
            apis = {
                name: await stack.enter_async_context(connected(cluster.admin_kubeconfig()))
                for name, cluster in clusters.items()
            }
            kubeconfigs = {name: directory / f"{name}.kubeconfig" for name in names}
            for name, cluster in clusters.items():
                text = (
                    cluster.controller_kubeconfig()
                    if name == "main"
                    else cluster.remote_kubeconfig()
                )
                kubeconfigs[name].write_text(text, encoding="utf-8")
            main = apis.pop("main")
            fleet = Fleet(main, apis, clusters, kubeconfigs, services, endpoints)
            await create_objects(fleet)
            yield fleet


async def create_objects(fleet: Fleet) -> None:
    """Create Services in all clusters, slices in the remote ones, and links in main."""
    for file in sorted(CRDS.glob("*.yaml")):
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))
        await fleet.main.request(
            "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition
        )
    for api in (fleet.main, *fleet.remotes.values()):
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    await all_of(
        api.request("POST", f"/api/v1/namespaces/{NAMESPACE}/services", service(i))
        for api in (fleet.main, *fleet.remotes.values())
        for i in range(fleet.services)
    )
    await all_of(
        api.request("POST", slices_of(NAMESPACE), endpoint_slice(i, fleet.endpoints))
        for api in fleet.remotes.values()
        for i in range(fleet.services)
    )
    await fleet.link()


async def all_of(coroutines: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Await all coroutines, a limited number at a time."""
    slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def one(coroutine: Coroutine[Any, Any, object]) -> None:
        async with slots:
            await coroutine

    async with asyncio.TaskGroup() as group:
        for each in coroutines:
            group.create_task(one(each))


def service(number: int) -> Object:
    return {
        "metadata": {"name": f"s{number}", "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }


def endpoint_slice(number: int, endpoints: int) -> Object:
    """Return the slice of a Service, with random addresses.

    The addresses are sorted, as in a mirror, so that both have the same first address.
    """
    unsorted = (endpoint() for _ in range(endpoints))
    return slice_of(number, sorted(unsorted, key=lambda each: each["addresses"]))


def slice_of(number: int, endpoints: list[Object]) -> Object:
    """Return the slice that the EndpointSlice controller would write for a Service."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"s{number}-x7k2p",
            "namespace": NAMESPACE,
            "labels": {
                "kubernetes.io/service-name": f"s{number}",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def endpoint() -> dict[str, Any]:
    parts = random.choices(range(1, 255), k=3)  # noqa: S311 - test data
    address = ".".join(str(part) for part in (10, *parts))
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": "node-1",
        "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": f"pod-{address}"},
        "zone": "zone-a",
    }


def cluster_link(name: str, kubeconfig: str) -> Object:
    return {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "ClusterLink",
        "metadata": {"name": name},
        "spec": {"kubeconfig": kubeconfig},
    }
