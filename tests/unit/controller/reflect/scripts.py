"""Scripted API servers for reflectors, and records of what the reflectors do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

from aiohttp import web
from attrs import define, evolve, field

from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.backoff import Backoff
from svclink_controller.reflect.reflector import Reflector
from svclink_controller.wire.messages import Listing, Undecodable, WireError
from svclink_controller.wire.resources import SERVICES
from svclink_core import NamespacedName, Service
from svclink_core.watch_health import SILENCE_SECONDS
from tests.unit.controller.http_server import Server, connected, serving
from tests.unit.controller.responses import page, stream
from tests.unit.controller.waiting import eventually

Answer: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def service(name: str = "web", version: str = "1", **changes: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "default",
        "resourceVersion": version,
        "uid": f"uid-of-{name}",
    }
    return {"metadata": metadata, "spec": {}, **changes}


@define
class Record:
    """A sink that records what it receives, in words."""

    received: list[str] = field(factory=list)

    async def replace(self, listing: Listing[Service]) -> None:
        self.received.append(f"list of {','.join(item.metadata.name for item in listing.items)}")

    def apply(self, item: Service) -> None:
        self.received.append(f"{item.metadata.name} at {item.metadata.resource_version}")

    def remove(self, key: NamespacedName) -> None:
        self.received.append(f"{key.name} removed")

    def mark_undecodable(self, each: Undecodable) -> None:
        self.received.append(f"{each.key.name} undecodable")


def sends(*chunks: bytes, stay: bool = False) -> Answer:
    """A watch that sends chunks, and then ends or stays open."""

    async def send(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(request, *chunks, stay=stay)

    return send


def breaks(*chunks: bytes) -> Answer:
    """A watch that sends chunks, and whose connection then breaks."""

    async def send(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        assert request.transport is not None
        request.transport.abort()
        return response

    return send


def gives(make: Callable[[], web.Response]) -> Answer:
    """An answer without delay."""

    async def give(_: web.BaseRequest) -> web.StreamResponse:
        return make()

    return give


STAYS_OPEN = sends(stay=True)


@define
class Script:
    """Answers to lists and to watches, in order. The last answer of each is repeated."""

    lists: list[Answer]
    watches: list[Answer]

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        answers = self.watches if request.query.get("watch") == "true" else self.lists
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(request)


@define
class Pauses:
    """Records pauses instead of waiting. After the last allowed one it stays paused."""

    allowed: int
    seconds: list[float] = field(factory=list)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) >= self.allowed:
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    async def all(self) -> list[float]:
        """All pauses, once the last allowed one has begun."""
        await eventually(lambda: len(self.seconds) >= self.allowed)
        return self.seconds


@asynccontextmanager
async def reflecting(
    script: Script,
    namespace: str = "",
    *,
    pauses: Pauses | None = None,
    silence_seconds: float = SILENCE_SECONDS,
) -> AsyncIterator[tuple[Server, Reflector[Service]]]:
    """A reflector of the Services of a scripted server, with short pauses or with recorded ones."""
    async with serving(script) as server, connected(server.url) as client:
        reflector = Reflector(client, SERVICES, namespace, silence_seconds=silence_seconds)
        if pauses is None:
            yield server, evolve(reflector, backoff=Backoff(base=0.01, cap=0.05))
        else:
            yield server, evolve(reflector, sleep=pauses.sleep)


@asynccontextmanager
async def watching(
    *watches: Answer,
    lists: tuple[Answer, ...] = (gives(lambda: page(service("listed"), version="50")),),
    pauses: Pauses | None = None,
    silence_seconds: float = SILENCE_SECONDS,
) -> AsyncIterator[tuple[Server, Record, asyncio.Task[None]]]:
    """A watch from version 1, and what it passes on."""
    record = Record()
    script = Script(list(lists), list(watches))
    async with reflecting(script, pauses=pauses, silence_seconds=silence_seconds) as (
        server,
        reflector,
    ):
        task = asyncio.create_task(reflector.watch("1", record))
        try:
            yield server, record, task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, ApiError, TransportError, WireError):
                await task


def versions(server: Server) -> list[str]:
    """The versions from which watches started."""
    return [request.query["resourceVersion"] for request in server.watches]
