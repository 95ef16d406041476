"""The floor: a mirror without logic, which lists, creates, and then writes on each watch event.

python -m tests.bench.floor MAIN NAME=REMOTE ...
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from .api import SLICES, Api, Object, connected, slices_of

CREATES_IN_FLIGHT = 16


async def run(main_kubeconfig: str, remotes: dict[str, str]) -> None:
    """Mirror all slices of all remote clusters until the process ends."""
    async with connected(main_kubeconfig) as main, asyncio.TaskGroup() as group:
        slots = asyncio.Semaphore(CREATES_IN_FLIGHT)
        for name, kubeconfig in remotes.items():
            group.create_task(mirror(main, name, kubeconfig, slots))


async def mirror(main: Api, name: str, kubeconfig: str, slots: asyncio.Semaphore) -> None:
    """Mirror the slices of one remote cluster."""
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
            path = slices_of(body["metadata"]["namespace"])
            await main.request("PUT", f"{path}/{body['metadata']['name']}", body)


async def create(main: Api, body: Object, slots: asyncio.Semaphore) -> None:
    """Create a slice unless it exists."""
    async with slots:
        try:
            await main.request("POST", slices_of(body["metadata"]["namespace"]), body)
        except RuntimeError as error:
            if ": 409 " not in str(error):
                raise


def copy(item: Object, cluster: str) -> Object:
    """Return a copy of a slice with the name and labels of a mirror."""
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
    main_path, *remote_arguments = sys.argv[1:]
    remote_paths = dict(argument.split("=", 1) for argument in remote_arguments)
    remote_kubeconfigs = {
        name: Path(path).read_text(encoding="utf-8") for name, path in remote_paths.items()
    }
    asyncio.run(run(Path(main_path).read_text(encoding="utf-8"), remote_kubeconfigs))
