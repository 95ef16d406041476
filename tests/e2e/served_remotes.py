"""Remote clusters that are played by an HTTP server of the tests, healthy or hostile.

Real: TLS, HTTP and the JSON of the API. Each remote has one Service with one EndpointSlice, under a
path of its own, and everything runs in one thread.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import trustme
from aiohttp import web

from tests.builders.manifests import Manifest, endpoint_slice, object_list, service

from .background_loop import in_background
from .kubeconfigs import encoded_pem, kubeconfig

BOOKMARK_SECONDS: Final = 30
SLICES: Final = "endpointslices"
JSON: Final = {"Content-Type": "application/json"}


@dataclass
class ServedRemote:
    """A healthy remote. Hostile ones answer lists or watches in their own way.

    Args:
        name: Name of the remote, in its path.
        key: NAMESPACE/NAME of its Service.
        address: The address in its slice.
        list_seconds: How long a list takes.
        spec: Fields of the spec of its Service.
    """

    name: str
    key: str
    address: str = "10.66.0.1"
    list_seconds: float = 0
    spec: Manifest = field(default_factory=dict)
    lists: Counter[str] = field(default_factory=Counter)
    _version: int = 1
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def namespace(self) -> str:
        return self.key.partition("/")[0]

    def change(self, address: str) -> None:
        """Give the slice another address; to be called in the thread of the server."""
        self.address, self._version = address, self._version + 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        kind = request.path.rpartition("/")[2]
        if kind in ("version", "kube-system"):
            uid = {"metadata": {"uid": f"uid-of-{self.name}"}}
            return web.json_response({"gitVersion": "v1.36.3"} | uid)
        if "watch" in request.query:
            return await self.watch(kind, request)
        self.lists[kind] += "continue" not in request.query
        return await self.list_page(kind, request)

    async def list_page(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        """One page of a list."""
        await asyncio.sleep(self.list_seconds)
        items = [self._object(kind)] if self._is_in(request) else []
        return web.json_response(object_list(*items, version=str(self._version)))

    async def watch(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        """Events of changes, and bookmarks."""
        response = await started_response(request)
        seen = int(request.query["resourceVersion"])
        while True:
            if kind == SLICES and seen < self._version and self._is_in(request):
                seen = self._version
                await response.write(event("MODIFIED", self._object(kind)))
            try:
                async with asyncio.timeout(BOOKMARK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                metadata = {"metadata": {"resourceVersion": str(self._version)}}
                await response.write(event("BOOKMARK", metadata))

    def _object(self, kind: str) -> Manifest:
        if kind == SLICES:
            return endpoint_slice(None, self.address, key=self.key, version=str(self._version))
        return service(self.key, version="1", **self.spec)

    def _is_in(self, request: web.BaseRequest) -> bool:
        """Whether the request is about all namespaces, or that of the Service."""
        return namespace_of(request) in (None, self.namespace)


@dataclass
class RemoteServer:
    """A running server."""

    url: str
    authority: trustme.CA
    remotes: dict[str, ServedRemote]
    loop: asyncio.AbstractEventLoop

    def kubeconfig(self, name: str, server: str | None = None) -> str:
        """A kubeconfig for a remote; `server` is the URL of a proxy in front of the server."""
        cluster = {
            "server": f"{server or self.url}/{name}",
            "certificate-authority-data": encoded_pem(self.authority.cert_pem),
        }
        return kubeconfig(name, cluster, {"token": "any"}, "default")

    def change(self, name: str, address: str) -> None:
        """Give the slice of a remote another address."""
        self.loop.call_soon_threadsafe(self.remotes[name].change, address)


@contextmanager
def serving_remotes(remotes: Sequence[ServedRemote]) -> Iterator[RemoteServer]:
    """Serve these remotes on loopback, in a thread, until the context is left."""
    authority, by_name = trustme.CA(), {remote.name: remote for remote in remotes}
    with in_background(_site(by_name, authority)) as (url, loop):
        yield RemoteServer(url, authority, by_name, loop)


@asynccontextmanager
async def _site(remotes: dict[str, ServedRemote], authority: trustme.CA) -> AsyncIterator[str]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await remotes[request.path.split("/")[1]].respond(request)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    runner = web.ServerRunner(
        web.Server(handle, handler_cancellation=True, access_log=None), shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        address: tuple[Any, ...] = runner.addresses[0]
        yield f"https://127.0.0.1:{address[1]}"
    finally:
        await runner.cleanup()


def namespace_of(request: web.BaseRequest) -> str | None:
    """The namespace that a request reads; None: all."""
    _, found, rest = request.path.partition("/namespaces/")
    return rest.partition("/")[0] if found else None


async def started_response(request: web.BaseRequest) -> web.StreamResponse:
    """A response whose head is sent, and whose body is sent in parts."""
    response = web.StreamResponse(headers=JSON)
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


def event(kind: str, obj: Manifest) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"
