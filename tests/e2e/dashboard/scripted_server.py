"""A server that sends the facts of a test, with the headers that the real one sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from tests.e2e.background_loop import in_background

from .facts import Facts

STATIC: Final = Path(__file__).resolve().parents[3] / "svclink_controller/dashboard/static"
TOKEN: Final = "the-token"  # noqa: S105 - opens pages of tests only
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ScriptedServer:
    """Sends a snapshot to every page, and then what the test says."""

    def __init__(self) -> None:
        self.token = TOKEN
        self.snapshot: Facts = {}
        self.services: dict[str, Facts] = {}
        self.is_down = False
        self.is_full = False
        self.requests: list[str] = []
        self._pages: set[asyncio.Queue[bytes | None]] = set()
        self.address = ""
        self.loop: asyncio.AbstractEventLoop

    @property
    def page(self) -> str:
        """The address to open."""
        return f"{self.address}/?token={self.token}"

    @property
    def page_count(self) -> int:
        """How many pages follow the events."""
        return len(self._pages)

    def send(self, kind: str, data: Facts) -> None:
        """Send an event to every page."""
        event = f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
        self.loop.call_soon_threadsafe(self._put, event)

    def lose_connections(self, *, is_down: bool) -> None:
        """End every connection; while down, no new one is answered."""
        self.is_down = is_down
        self.loop.call_soon_threadsafe(self._put, None)

    def _put(self, event: bytes | None) -> None:
        for each in self._pages:
            each.put_nowait(event)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[ScriptedServer]:
        """Serve on a free loopback port until the block ends."""
        application = web.Application()
        application.router.add_get("/", self._index)
        application.router.add_get("/api/events", self._events)
        application.router.add_get("/api/services/{namespace:[^/]+}/{name:[^/]+}", self._service)
        application.router.add_static("/static", STATIC)
        application.on_response_prepare.append(_add_headers)
        runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            self._put(None)
            await runner.cleanup()

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if not self._is_allowed(request):
            return web.json_response({"error": "wrong token"}, status=401)
        if self.is_full:
            return web.json_response({"error": "32 pages are open"}, status=503)
        if self.is_down:
            raise web.HTTPBadGateway
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._pages.add(waiting)
        try:
            await response.write(f"event: snapshot\ndata: {json.dumps(self.snapshot)}\n\n".encode())
            while (event := await waiting.get()) is not None:
                await response.write(event)
        finally:
            self._pages.discard(waiting)
        return response

    async def _service(self, request: web.Request) -> web.StreamResponse:
        if not self._is_allowed(request):
            return web.json_response({"error": "wrong token"}, status=401)
        key = f"{request.match_info['namespace']}/{request.match_info['name']}"
        self.requests.append(key)
        if self.is_down:
            raise web.HTTPBadGateway
        if key not in self.services:
            return web.json_response({"error": f"No cluster has a Service {key}."}, status=404)
        return web.json_response(self.services[key])

    def _is_allowed(self, request: web.Request) -> bool:
        return self.token in (
            request.query.get("token"),
            request.headers.get("Authorization", "").removeprefix("Bearer "),
        )


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """A server in a thread of its own."""
    server = ScriptedServer()
    with in_background(server.serving()) as (_, loop):
        server.loop = loop
        yield server
