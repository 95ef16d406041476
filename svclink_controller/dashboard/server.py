"""The HTTP server of the page, on loopback only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Final

import msgspec
from aiohttp import web
from attrs import define, field

from svclink_controller.dashboard.access import (
    Gate,
    add_headers,
    error_response,
    middleware_of,
)
from svclink_controller.dashboard.connections import LIMITS, ConnectionLimits, PageConnection
from svclink_controller.dashboard.event_stream import EventStream
from svclink_controller.dashboard.facts import Facts
from svclink_controller.dashboard.page_files import INDEX, PageFile
from svclink_controller.monitoring.listen_address import why_not_listening
from svclink_core.errors import SvclinkError
from svclink_core.meta_v1 import NamespacedName

LOOPBACK: Final = "127.0.0.1"

MAX_STREAMS: Final = 32
"""How many pages may be open at once."""


class PortError(SvclinkError):
    """The port cannot be listened on; the message says why."""


@define
class DashboardServer:
    """Answers the requests of the page.

    Args:
        gate: Which requests are answered.
        stream: The events of the page.
        facts: What one Service looks like.
        files: The files of the page, by path.
    """

    gate: Gate
    stream: EventStream
    facts: Facts
    files: Mapping[str, PageFile]
    _streams: int = field(default=0, init=False)

    def application(self) -> web.Application:
        """The routes. Nothing but GET is answered."""
        application = web.Application(middlewares=[middleware_of(self.gate)])
        application.on_response_prepare.append(add_headers)
        application.router.add_get("/", self.index)
        application.router.add_get("/static/{path:.+}", self.file)
        application.router.add_get("/api/events", self.events, allow_head=False)
        application.router.add_get("/api/services/{namespace:[^/]+}/{name:[^/]+}", self.service)
        return application

    async def index(self, _: web.Request) -> web.Response:
        """The page, which has no data in it."""
        return _file_response(self.files[INDEX])

    async def file(self, request: web.Request) -> web.Response:
        """A file of the page."""
        found = self.files.get(request.match_info["path"])
        if found is None:
            return error_response(404, "there is no such file")
        return _file_response(found)

    async def service(self, request: web.Request) -> web.Response:
        """Everything about one Service."""
        key = NamespacedName(request.match_info["namespace"], request.match_info["name"])
        if not self.stream.board.main.is_complete:
            return error_response(503, "the main cluster has not been fully read yet")
        document = self.facts.service(key, self.stream.board.revision)
        if document is None:
            return error_response(404, "no cluster has a Service with this namespace and name")
        return web.Response(
            body=msgspec.json.encode(document), content_type="application/json", charset="utf-8"
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Everything, and then what changes, until the browser goes away."""
        if self._streams >= MAX_STREAMS:
            return error_response(503, f"{MAX_STREAMS} pages are open: close one of them")
        self._streams += 1
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            async with aclosing(self.stream.messages()) as messages:
                async for message in messages:
                    await response.write(message)
            return response
        finally:
            self._streams -= 1


def _file_response(file: PageFile) -> web.Response:
    charset = "utf-8" if file.content_type.startswith(("text/", "application/")) else None
    return web.Response(body=file.content, content_type=file.content_type, charset=charset)


@asynccontextmanager
async def serving_dashboard(
    server: DashboardServer, port: int, limits: ConnectionLimits = LIMITS
) -> AsyncIterator[int]:
    """Serve on loopback until the block ends.

    Args:
        server: Answers the requests.
        port: The port; 0 for any that is free.
        limits: What clients may use.

    Yields:
        The port.

    Raises:
        PortError: The port cannot be listened on.
    """
    runner = web.AppRunner(
        server.application(),
        handle_signals=False,
        handler_cancellation=True,  # A page that is closed ends its stream.
        shutdown_timeout=1,
    )
    await runner.setup()
    try:
        listener = await _listen(runner, port, limits)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int, limits: ConnectionLimits) -> asyncio.Server:
    manager = runner.server
    if manager is None:
        raise RuntimeError("the runner was not set up")
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(
            lambda: PageConnection(manager, limits), LOOPBACK, port, backlog=limits.backlog
        )
    except OSError as error:
        raise PortError(
            f"cannot listen on port {port} of {LOOPBACK}: {why_not_listening(error)}:"
            " pass a different --port or omit it"
        ) from error
