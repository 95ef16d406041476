"""A main cluster and its remotes, with Services in them."""

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

from .api import SLICES, Api, Object, connected

NAMESPACE: Final = "bench"
MANAGED: Final = "endpointslice.kubernetes.io/managed-by=svclink.cloudpilot.ai"
CRD: Final = Path(__file__).parents[2] / "crd" / "clusterlinks.svclink.cloudpilot.ai.yaml"
AT_ONCE: Final = 32


@dataclass
class Fleet:
    """The clusters, a connection of an administrator to each, and where things are in them.

    A link is a name and a remote; several links may lead to one remote under distinct identities.
    """

    main: Api
    remotes: dict[str, Api]
    clusters: dict[str, Cluster]
    kubeconfigs: dict[str, Path]
    services: int
    endpoints: int

    @property
    def slices(self) -> int:
        """How many mirrored slices there are in the end."""
        return len(self.remotes) * self.services

    async def change(self, remote: str, service: int) -> str:
        """Give the slice of a Service new endpoints, and return its first address."""
        piece = endpoint_slice(service, self.endpoints)
        path = f"{slices_of(NAMESPACE)}/{piece['metadata']['name']}"
        await self.remotes[remote].request("PUT", path, piece)
        first: str = piece["endpoints"][0]["addresses"][0]
        return first

    async def clear(self) -> None:
        """Remove what is mirrored."""
        await self.main.request("DELETE", slices_of(NAMESPACE), labelSelector=MANAGED)

    async def link(self) -> None:
        """Link every remote."""
        for name in self.remotes:
            kubeconfig = base64.b64encode(self.kubeconfigs[name].read_bytes()).decode()
            await self.main.request("POST", LINKS, cluster_link(name, kubeconfig))


LINKS: Final = "/apis/svclink.cloudpilot.ai/v1alpha1/clusterlinks"


@asynccontextmanager
async def made(
    binaries: Path, directory: Path, remotes: int, services: int, endpoints: int
) -> AsyncIterator[Fleet]:
    """Real control planes on loopback, filled."""
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
            await fill(fleet)
            yield fleet


async def fill(fleet: Fleet) -> None:
    """Namespace and Services everywhere, slices in the remotes, links in main."""
    definition = yaml.safe_load(CRD.read_text(encoding="utf-8"))
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


async def all_of(works: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Run all, a limited number at once."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(work: Coroutine[Any, Any, object]) -> None:
        async with slots:
            await work

    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(one(work))


def slices_of(namespace: str) -> str:
    root, _, plural = SLICES.rpartition("/")
    return f"{root}/namespaces/{namespace}/{plural}"


def service(number: int) -> Object:
    return {
        "metadata": {"name": f"s{number}", "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }


def endpoint_slice(number: int, endpoints: int) -> Object:
    """The slice of a Service, as the endpointslice controller writes it, with random addresses.

    They are in order, so that the first one here is the first one in a mirror that sorts them.
    """
    return slice_of(
        number, sorted((endpoint() for _ in range(endpoints)), key=lambda each: each["addresses"])
    )


def slice_of(number: int, endpoints: list[Object]) -> Object:
    """The slice of a Service with these endpoints, as the endpointslice controller writes it."""
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
    address = ".".join(str(part) for part in (10, *random.choices(range(1, 255), k=3)))  # noqa: S311 - test data
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
