"""The floor: a mirror with no logic. It lists, creates with 16 in flight, and then writes on every watch event.

python -m tests.bench.floor MAIN NAME=REMOTE ...
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from .api import SLICES, Api, Object, connected

IN_FLIGHT = 16


async def run(main_kubeconfig: str, remotes: dict[str, str]) -> None:
    """Mirror every slice of every remote, for ever."""
    async with connected(main_kubeconfig) as main, asyncio.TaskGroup() as group:
        slots = asyncio.Semaphore(IN_FLIGHT)
        for name, kubeconfig in remotes.items():
            group.create_task(mirror(main, name, kubeconfig, slots))


async def mirror(main: Api, name: str, kubeconfig: str, slots: asyncio.Semaphore) -> None:
    """One remote."""
    async with connected(kubeconfig) as remote:
        listing = await remote.request("GET", SLICES)
        async with asyncio.TaskGroup() as group:
            for item in listing["items"]:
                if "kubernetes.io/service-name" in (item["metadata"].get("labels") or {}):
                    group.create_task(create(main, copy(item, name), slots))
        async for event in remote.watch(
            SLICES, resourceVersion=listing["metadata"]["resourceVersion"]
        ):
            body = copy(event["object"], name)
            await main.request("PUT", f"{path_of(body)}/{body['metadata']['name']}", body)


async def create(main: Api, body: Object, slots: asyncio.Semaphore) -> None:
    """One slice, if it is not there yet."""
    async with slots:
        try:
            await main.request("POST", path_of(body), body)
        except RuntimeError as error:
            if ": 409 " not in str(error):
                raise


def path_of(item: Object) -> str:
    return f"/apis/discovery.k8s.io/v1/namespaces/{item['metadata']['namespace']}/endpointslices"


def copy(item: Object, cluster: str) -> Object:
    """A slice as it is, under a name of its own."""
    service = item["metadata"]["labels"]["kubernetes.io/service-name"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-{cluster}",
            "namespace": item["metadata"]["namespace"],
            "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "svclink.cloudpilot.ai",
                "svclink.cloudpilot.ai/cluster": cluster,
            },
        },
        "addressType": item["addressType"],
        "endpoints": item["endpoints"],
        "ports": item["ports"],
    }


if __name__ == "__main__":
    named = (argument.split("=", 1) for argument in sys.argv[2:])
    asyncio.run(
        run(
            Path(sys.argv[1]).read_text(encoding="utf-8"),
            {name: Path(f).read_text("utf-8") for name, f in named},
        )
    )
