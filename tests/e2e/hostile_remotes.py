"""Remotes that try to cost the controller memory or time, one kind each."""

from __future__ import annotations

import asyncio
import itertools
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiohttp import web

from tests.builders.manifests import Manifest, endpoint, endpoint_slice, object_list, port, service

from .served_remotes import (
    JSON,
    SLICES,
    ServedRemote,
    event,
    namespace_of,
    started_response,
)

BLOCK_BYTES: Final = 2**18
FLOODED_NAMESPACES: Final = 24
# Service of slices that only fill memory: main does not have it, so they are not mirrored.
ELSEWHERE: Final = "elsewhere"


class Bomb(ServedRemote):
    """32 KB of gzip are a list of fifteen million items of one digit."""

    async def list_page(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        if kind != SLICES:
            return await super().list_page(kind, request)
        return web.Response(body=_bomb(), headers=JSON | {"Content-Encoding": "gzip"})


class Flood(ServedRemote):
    """No watch ever pauses: the same changes of one object come as fast as they are read."""

    async def watch(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        block = b"".join(itertools.islice(self._events(kind, request), 200))
        response = await started_response(request)
        while is_connected(request):
            await response.write(block)
            await asyncio.sleep(0)  # A write that does not wait would starve the other watches.
        return response

    def _events(self, kind: str, request: web.BaseRequest) -> Iterator[bytes]:
        namespace = namespace_of(request) or self.namespace
        key = f"{namespace}/{self.key.partition('/')[2]}"
        for number in itertools.count():
            version = str(2 + number)
            changed = (
                endpoint_slice(None, f"10.66.0.{number % 250 + 1}", key=key, version=version)
                if kind == SLICES
                else service(key, version=version, ports=[port(number=8000 + number)])
            )
            yield event("MODIFIED", changed)


class GiantSlice(ServedRemote):
    """One slice has 1.28 million endpoints, which are 33 MB."""

    async def list_page(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        if kind != SLICES:
            return await super().list_page(kind, request)
        content = json.dumps(object_list(self._object(kind) | {"endpoints": ["MANY"]})).encode()
        endpoints = b",".join([b'{"addresses":["1.2.3.4"]}'] * 1_280_000)
        return web.Response(body=content.replace(b'"MANY"', endpoints), headers=JSON)


class MoreAndMoreSlices(ServedRemote):
    """A watch brings new slices without end, each with 100 endpoints."""

    async def watch(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        if kind != SLICES:
            return await super().watch(kind, request)
        response = await started_response(request)
        many = [endpoint(f"10.66.{number // 250}.{number % 250 + 1}") for number in range(100)]
        new = event("ADDED", _elsewhere(self.namespace, "more-NUMBER", endpoints=many))
        for number in itertools.count():
            await response.write(new.replace(b"NUMBER", b"%09d" % number))
        raise AssertionError


class LongLine(ServedRemote):
    """The line of a watch grows by 40 KB a second and never ends."""

    async def watch(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        if kind != SLICES:
            return await super().watch(kind, request)
        response = await started_response(request)
        await response.write(b'{"type":"ADDED","object":{"metadata":{"name":"')
        while is_connected(request):
            await response.write(b"x" * 400)
            await asyncio.sleep(0.01)
        return response


class EndlessList(ServedRemote):
    """A list always has one more page."""

    async def list_page(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        if kind != SLICES:
            return await super().list_page(kind, request)
        page = int(request.query.get("continue", "0"))
        items = [_elsewhere(self.namespace, f"page-{page}-{number}") for number in range(250)]
        return web.json_response(object_list(*items, token=str(page + 1)))


class DrippingList(ServedRemote):
    """A list comes byte by byte and never ends."""

    async def list_page(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        if kind != SLICES:
            return await super().list_page(kind, request)
        response = await started_response(request)
        await response.write(b'{"metadata":{"resourceVersion":"1"},"items":[')
        while is_connected(request):
            await response.write(b" ")
            await asyncio.sleep(0.01)
        return response


class InvalidContent(ServedRemote):
    """Slices hold what the API server of main refuses."""

    async def list_page(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        if kind != SLICES:
            return await super().list_page(kind, request)
        return web.json_response(object_list(*self._slices()))

    def _slices(self) -> Iterator[Manifest]:
        many = [endpoint(f"10.67.{number // 250}.{number % 250 + 1}") for number in range(1_500)]
        crowded = endpoint(*(f"10.68.0.{number + 1}" for number in range(101)))
        long_protocol = port("http", 8080, appProtocol="example.com/" + "x" * 300)
        twins = [port("http", 8080), port("http", 9090)]
        slices: dict[str, Manifest] = {
            "split": {"endpoints": many},
            "split/1": {},
            "crowded": {"endpoints": [crowded]},
            "long-protocol": {"ports": [long_protocol]},
            "twins": {"ports": twins},
            "n" * 300_000: {},
        }
        for name, fields in slices.items():
            yield endpoint_slice(name, "10.69.0.1", key=self.key, version="1", **fields)


HOSTILE: Final[Mapping[str, type[ServedRemote]]] = {
    "bomb": Bomb,
    "flood": Flood,
    "giant-slice": GiantSlice,
    "more-and-more-slices": MoreAndMoreSlices,
    "long-line": LongLine,
    "endless-list": EndlessList,
    "dripping-list": DrippingList,
    "invalid-content": InvalidContent,
}


def is_connected(request: web.BaseRequest) -> bool:
    """Whether the socket is open. Writes to a TLS connection that was lost may raise nothing."""
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    return connection is not None and connection.fileno() >= 0


def flooded_namespaces(namespace: str) -> list[str]:
    """The namespaces that a link to a `Flood` includes, each with two watches."""
    return [namespace, *(f"flooded-{number}" for number in range(1, FLOODED_NAMESPACES))]


def included_namespaces(remote: ServedRemote) -> list[str]:
    """What `includedNamespaces` of a link to this remote should be; empty: all."""
    return flooded_namespaces(remote.namespace) if isinstance(remote, Flood) else []


def _elsewhere(namespace: str, name: str, **fields: Any) -> Manifest:
    return endpoint_slice(name, key=f"{namespace}/{ELSEWHERE}", version="1", **fields)


def _bomb() -> bytes:
    compressor = zlib.compressobj(level=9, wbits=31)
    head = b'{"kind":"EndpointSliceList","metadata":{"resourceVersion":"1"},"items":['
    parts = (head, b"1," * 15_000_000, b"1]}")
    return b"".join(map(compressor.compress, parts)) + compressor.flush()
