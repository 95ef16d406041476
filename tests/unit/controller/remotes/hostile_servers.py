"""What hostile API servers send, and a program that follows one and prints what it costs.

python -m tests.unit.controller.remotes.hostile_servers KUBECONFIG NAMESPACES
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Final, TypeAlias

from aiohttp import web

from svclink_controller.api.spending import Account
from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_controller.remotes.remote import Remote
from svclink_controller.remotes.session import open_session_within
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import PLANNED_KINDS, Store
from svclink_core import SYNCED, Options
from svclink_core.budget import Budget
from svclink_core.link_target import LinkTarget
from tests.builders.values import link
from tests.unit.controller.http_server import Server, serving
from tests.unit.controller.responses import answer

Respond: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

EMPTY: Final = '{"metadata":{"resourceVersion":"1"},"items":[]}'


def slice_json(number: int, endpoints: int, namespace: str = "default") -> str:
    """An EndpointSlice as a real cluster has it."""
    labels = {"kubernetes.io/service-name": f"web-{number}"}
    metadata = {"name": f"web-{number}", "namespace": namespace, "labels": labels}
    metadata |= {"uid": f"{number:036}", "resourceVersion": f"{number + 1}"}
    return f'{{"metadata":{json.dumps(metadata)},{rest_json(endpoints)}}}'


@cache
def rest_json(endpoints: int) -> str:
    """All of an EndpointSlice but its metadata."""
    content = {
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [f"10.0.{each // 250}.{each % 250}"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "zone": "zone-a",
            }
            for each in range(endpoints)
        ],
    }
    return json.dumps(content)[1:-1]


@asynccontextmanager
async def hostile(list_slices: Respond, watch_slices: Respond) -> AsyncIterator[Server]:
    """A server that lists no Services, and answers for EndpointSlices as given."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/version":
            return answer({"gitVersion": "v1.36.0"})
        if request.path.endswith("/kube-system"):
            return answer({"metadata": {"name": "kube-system", "uid": "uid-of-the-cluster"}})
        is_watch = request.query.get("watch") == "true"
        if request.path.endswith("/endpointslices"):
            return await (watch_slices if is_watch else list_slices)(request)
        return await silence(request) if is_watch else await nothing(request)

    async with serving(handler) as server:
        yield server


async def nothing(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=EMPTY)


async def silence(request: web.BaseRequest) -> web.StreamResponse:
    await web.StreamResponse().prepare(request)
    await asyncio.Event().wait()
    raise AssertionError


async def digits(_: web.BaseRequest) -> web.StreamResponse:
    """Seven million items in 15 kB of gzip."""
    content = EMPTY[:-2].encode() + b"1," * 7_000_000 + b"1]}"
    return web.Response(body=gzip.compress(content), headers={"Content-Encoding": "gzip"})


async def huge_slice(_: web.BaseRequest) -> web.StreamResponse:
    """A slice of 700,000 endpoints."""
    start = slice_json(1, 0)[:-2]
    endpoints = ",".join(['{"addresses":["aa"]}'] * 700_000)
    return web.Response(text=f"{EMPTY[:-2]}{start}{endpoints}]}}]}}")


def endless_pages() -> Respond:
    """Pages of slices with 100 endpoints, and always one more."""
    pages = count()

    async def send(_: web.BaseRequest) -> web.StreamResponse:
        page = next(pages)
        items = ",".join(slice_json(page * 250 + number, 100) for number in range(250))
        metadata = f'{{"resourceVersion":"1","continue":"t{page}"}}'
        return web.Response(text=f'{{"metadata":{metadata},"items":[{items}]}}')

    return send


def new_slices() -> Respond:
    """Watches that add slices without end."""
    numbers = count()

    async def send(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        namespace = request.path.split("/")[-2]
        while True:
            item = slice_json(next(numbers), 100, namespace)
            await response.write(f'{{"type":"ADDED","object":{item}}}\n'.encode())
            await asyncio.sleep(0)

    return send


async def flood(request: web.BaseRequest) -> web.StreamResponse:
    """A watch that never pauses."""
    response = web.StreamResponse()
    await response.prepare(request)
    lines = f'{{"type":"MODIFIED","object":{slice_json(1, 10)}}}\n'.encode() * 100
    while True:
        await response.write(lines)
        await asyncio.sleep(0)


async def unfinished_lines(request: web.BaseRequest) -> web.StreamResponse:
    """A watch that sends 3 MiB of a line, and never its end."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(48):
        await response.write(b"x" * 2**16)
    await asyncio.Event().wait()
    raise AssertionError


# The program


def peak_kibibytes() -> int:
    """The most memory that this process has taken."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


async def follow(
    kubeconfig: str, namespaces: tuple[str, ...], turns_left: int
) -> dict[str, object]:
    """Follow a cluster until it has a problem, or for some turns after it was listed."""
    store = Store(Options())
    store.put_link(link("c1"))
    for kind in PLANNED_KINDS:
        store.mark_listed(kind)
    account = Account(Budget(), partial(store.memory, "c1"), partial(store.holds, "c1"))
    remote = Remote(
        name="c1",
        uid="uid-of-c1",
        store=store,
        cluster_claims=ClusterClaims(),
        open_session=open_session_within(account),
    )
    before = peak_kibibytes()
    running = asyncio.create_task(remote.run())
    remote.edit(LinkTarget(kubeconfig, namespaces), 1)
    problem, turns = None, 0
    while problem is None and turns_left > 0:
        await asyncio.sleep(0.01)
        turns += 1
        if store.connections.get("c1") == SYNCED:
            turns_left -= 1
        problem = store.observations.get("c1", Observation()).problem
    running.cancel()
    await asyncio.wait({running})
    growth = (peak_kibibytes() - before) / 1024
    reason = None if problem is None else problem.reason.code
    return {"mebibytes": growth, "reason": reason, "turns": turns}


if __name__ == "__main__":
    url, names, most = sys.argv[1:]
    followed = asyncio.run(follow(url, tuple(filter(None, names.split(","))), int(most)))
    sys.stdout.write(json.dumps(followed))
