"""Connections to the server of the page: how many, for how long, and what they may say.

Every program on the machine can connect, and any site can make a browser send a request.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

import structlog
from aiohttp import web
from attrs import frozen

from svclink_controller.dashboard.access import HEADERS

NOT_UNDERSTOOD: Final = "the request could not be understood"
NOT_ANSWERED: Final = "the dashboard failed to answer"

log = structlog.get_logger()


@frozen
class ConnectionLimits:
    """What clients may use, also those without the token.

    Args:
        connections: How many may be open at once. Each takes a file descriptor.
        backlog: How many are accepted in one turn, before those that are too many are closed.
        idle_seconds: How long one may take to send a request, and to send the next one.
    """

    connections: int = 64
    backlog: int = 16
    idle_seconds: float = 15


LIMITS: Final = ConnectionLimits()


class PageConnection(web.RequestHandler):
    """One connection. What breaks the rules of HTTP gets one sentence, and one line of the log."""

    __slots__ = ("_is_open", "_limits", "_server")

    def __init__(self, server: web.Server, limits: ConnectionLimits) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle_seconds,
            lingering_time=0,
            access_log=None,  # type: ignore[arg-type]  # As web.AppRunner passes it on.
        )
        self._server, self._limits, self._is_open = server, limits, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        if len(self._server.connections) >= self._limits.connections:
            log.debug("connection refused", connections=self._limits.connections)
            transport.close()
            return
        self._is_open = True
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what was begun."""
        if self._is_open:
            super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        """The answer to a request that cannot be understood, or whose answer failed.

        The request may contain the token, and anything else: it is not logged.
        """
        if isinstance(exc, ConnectionError):
            raise exc  # The client is gone: aiohttp ends the connection.
        if status < 500:
            log.debug("request not understood", problem=type(exc).__name__)
        else:
            log.error("internal error", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("part of the response was already sent") from exc
        return _last_response(status, NOT_UNDERSTOOD if status < 500 else NOT_ANSWERED)

    def log_exception(self, *_: object, **fields: object) -> None:
        """Log what ended the connection, for example a body that breaks the rules of HTTP."""
        log.debug("connection ended", problem=type(fields.get("exc_info")).__name__)


def _last_response(status: int, sentence: str) -> web.Response:
    """A response without a request that an application could have prepared it for."""
    response = _AnonymousResponse(
        text=json.dumps({"error": sentence}),
        status=status,
        headers=HEADERS,
        content_type="application/json",
    )
    response.force_close()
    return response


class _AnonymousResponse(web.Response):
    """A response that does not name the program that sends it."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop("Server", None)
