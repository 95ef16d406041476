"""A stub of a main cluster and many remote clusters, for sizes too large for real control planes.

Real: TLS, HTTP and the JSON of the API. Missing: storage and other writers. The stub generates the
objects of the remote clusters, which never change. It gives created slices a uid, and lists them.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import trustme
import yaml
from aiohttp import web

from svclink_controller.wire.resources import PAGE_SIZE

from .api import Object
from .fleet import NAMESPACE, cluster_link, service, slice_of

MAIN: Final = "main"
BOOKMARK_SECONDS: Final = 60
VERSION: Final = "1000"


@dataclass
class Stub:
    """All clusters in one server, each under its own path.

    Args:
        remotes: Number of remote clusters.
        services: Number of Services in each cluster, and of slices in each remote cluster.
        endpoints: Number of endpoints in each slice.
        selected: Number of Services that the links select, and that the main cluster has; None for
            all.
    """

    remotes: int
    services: int
    endpoints: int
    selected: int | None = None
    created: int = 0
    other_writes: int = 0
    url: str = ""
    authority: trustme.CA = field(default_factory=trustme.CA)
    links: dict[str, Object] = field(default_factory=dict)
    _mirrors: list[msgspec.Raw] = field(default_factory=list)
    _pages: dict[tuple[str, int, int], bytes] = field(default_factory=dict)
    _slice_created: asyncio.Event = field(default_factory=asyncio.Event)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _uids: itertools.count[int] = field(default_factory=itertools.count)

    def kubeconfig(self, cluster: str) -> str:
        """Return the kubeconfig of a cluster."""
        authority = base64.b64encode(self.authority.cert_pem.bytes()).decode()
        access = {"server": f"{self.url}/{cluster}", "certificate-authority-data": authority}
        return str(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": cluster, "cluster": access}],
                    "users": [{"name": "user", "user": {"token": "any"}}],
                    "contexts": [
                        {"name": cluster, "context": {"cluster": cluster, "user": "user"}}
                    ],
                    "current-context": cluster,
                }
            )
        )

    async def until_created(self, count: int, seconds: float) -> None:
        """Wait until this many slices are created."""
        async with asyncio.timeout(seconds):
            while self.created < count:
                self._slice_created.clear()
                await self._slice_created.wait()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request to any cluster."""
        _, cluster, path = request.path.split("/", 2)
        kind = path.rpartition("/")[2]
        if request.method != "GET":
            return self._write(request.method, path, json.loads(await request.read()))
        if "watch" in request.query:
            return await self._watch(request)
        if kind in ("version", "kube-system"):
            return web.json_response(
                {"gitVersion": "v1.36.3", "metadata": {"uid": f"uid-of-{cluster}"}}
            )
        return self._list(cluster, kind, request)

    def _write(self, method: str, path: str, content: Object) -> web.Response:
        *_, name, kind = path.split("/")
        if (method, kind) == ("POST", "endpointslices"):
            return self._create(content)
        if (method, kind) == ("PATCH", "status"):
            return self._patch(name, content)
        self.other_writes += kind == "endpointslices" or name == "endpointslices"
        return web.json_response(content)

    def _create(self, item: Object) -> web.Response:
        self.created += 1
        self._slice_created.set()
        item["metadata"] |= {
            "uid": f"uid-{next(self._uids)}",
            "resourceVersion": str(2000 + self.created),
        }
        self._mirrors.append(msgspec.Raw(msgspec.json.encode(item)))
        return web.json_response(item, status=201)

    def _patch(self, name: str, patch: Object) -> web.Response:
        link = self.links[name]
        link["status"] = patch["status"]
        return web.json_response(link)

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send only bookmarks, like a cluster without changes."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        end = loop.time() + int(request.query["timeoutSeconds"])
        stopped = asyncio.create_task(self._stopped.wait())
        while loop.time() < end:
            await asyncio.wait({stopped}, timeout=BOOKMARK_SECONDS)
            if stopped.done():
                break
            bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": VERSION}}}
            await response.write(json.dumps(bookmark).encode() + b"\n")
        stopped.cancel()
        return response

    def _list(self, cluster: str, kind: str, request: web.BaseRequest) -> web.Response:
        """Return one page of a list; its `continue` token is the number of the next object."""
        total = self._total(cluster, kind, is_selecting="labelSelector" in request.query)
        first = int(request.query.get("continue") or 0)
        last = min(first + int(request.query.get("limit") or total), total)
        if cluster == MAIN or kind != "endpointslices":
            return web.Response(
                body=self._page(cluster, kind, first, last, total), content_type="application/json"
            )
        if (key := (cluster, first, last)) not in self._pages:
            self._pages[key] = self._page(cluster, kind, first, last, total)
        return web.Response(body=self._pages[key], content_type="application/json")

    def _total(self, cluster: str, kind: str, *, is_selecting: bool) -> int:
        """How many objects of a kind a cluster has; there are no others than these.

        The selected Services are the first ones.
        """
        if kind == "clusterlinks":
            return len(self.links)
        if (cluster, kind) == (MAIN, "endpointslices"):
            return len(self._mirrors)
        if kind == "services" and (cluster == MAIN or is_selecting):
            return self.mirrored
        return self.services if kind in ("services", "endpointslices") else 0

    @property
    def mirrored(self) -> int:
        """Number of Services of each remote cluster that main should mirror."""
        return self.services if self.selected is None else self.selected

    def prepare(self) -> None:
        """Generate the pages of slices, because a client would time out meanwhile."""
        for number, first in itertools.product(
            range(1, self.remotes + 1), range(0, self.services, PAGE_SIZE)
        ):
            key = (f"c{number}", first, min(first + PAGE_SIZE, self.services))
            self._pages[key] = self._page(key[0], "endpointslices", *key[1:], self.services)

    def _page(self, cluster: str, kind: str, first: int, last: int, total: int) -> bytes:
        items = [self._object(cluster, kind, number) for number in range(first, last)]
        metadata = {"resourceVersion": VERSION, "continue": str(last) if last < total else ""}
        return msgspec.json.encode({"kind": "List", "metadata": metadata, "items": items})

    def _object(self, cluster: str, kind: str, number: int) -> Object | msgspec.Raw:
        if kind == "clusterlinks":
            return list(self.links.values())[number]
        if (cluster, kind) == (MAIN, "endpointslices"):
            return self._mirrors[number]
        item = service(number) if kind == "services" else self._slice(cluster, number)
        if kind == "services":
            item["metadata"]["labels"] = {"tier": "gold" if number < self.mirrored else "silver"}
            item["spec"] |= {"clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"]}
        item["metadata"] |= {"uid": f"{cluster}-{kind}-{number}", "resourceVersion": VERSION}
        item["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        return item

    def _slice(self, cluster: str, number: int) -> Object:
        """Return the slice of a Service, with unique addresses."""
        first = (int(cluster[1:]) * self.services + number) * self.endpoints
        return slice_of(number, [_endpoint(first + i) for i in range(self.endpoints)])


def _endpoint(number: int) -> Object:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    reference = {
        "kind": "Pod",
        "namespace": NAMESPACE,
        "name": f"pod-{number}",
        "uid": f"uid-of-pod-{number}",
    }
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": f"node-{number % 100}",
        "targetRef": reference,
        "zone": f"zone-{number % 3}",
    }


@asynccontextmanager
async def serving(
    remotes: int, services: int, endpoints: int, selected: int | None = None
) -> AsyncIterator[Stub]:
    """Run the stub on loopback, with a link to each remote cluster."""
    stub = Stub(remotes, services, endpoints, selected)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    stub.authority.issue_cert("127.0.0.1").configure_cert(context)
    runner = web.ServerRunner(web.Server(stub.handle, handler_cancellation=True, access_log=None))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        address: tuple[Any, ...] = runner.addresses[0]
        stub.url = f"https://127.0.0.1:{address[1]}"
        for number in range(1, remotes + 1):
            kubeconfig = base64.b64encode(stub.kubeconfig(f"c{number}").encode()).decode()
            link = cluster_link(f"c{number}", kubeconfig)
            link["metadata"] |= {
                "uid": f"uid-of-link-{number}",
                "resourceVersion": VERSION,
                "generation": 1,
            }
            if selected is not None:
                link["spec"]["serviceSelector"] = {"matchLabels": {"tier": "gold"}}
            stub.links[f"c{number}"] = link
        stub.prepare()
        yield stub
    finally:
        stub._stopped.set()
        await runner.cleanup()
