"""Requests to one API server: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias
from urllib.parse import quote, urlencode

import aiohttp
from attrs import define, evolve, field

from svclink_controller.api.errors import (
    ApiError,
    BudgetExceededError,
    CutError,
    FencedError,
    TransportError,
    transport_errors,
)
from svclink_controller.api.limits import DEFAULT_LIMITS, Limits
from svclink_controller.api.official_client import Configuration
from svclink_controller.api.responses import read_body, read_lines, read_status
from svclink_controller.api.spending import Reading
from svclink_controller.api.transport import (
    LIST_BUFFER_BYTES,
    WATCH_BUFFER_BYTES,
    WATCH_BYTES,
    HardenedTransport,
    authentication,
)
from svclink_controller.wire.encoding import encode
from svclink_controller.wire.messages import Status
from svclink_core.codec import Json

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"

Body: TypeAlias = dict[str, Json] | bytes
"""An object, or its JSON."""


@define
class Client:
    """Sends requests to one API server.

    Every request raises `ApiError` if the server rejects it and `TransportError` if no complete
    response arrives.

    Args:
        transport: How the client reaches its server.
        headers: Headers of every request.
        may_write: Asked before each request that changes something.
        limits: Time-outs and sizes.
        reading: Memory of what is being read, and the turns of watches on the event loop.
    """

    _transport: HardenedTransport
    _headers: Mapping[str, str] = field(factory=dict)
    _may_write: Callable[[], bool] = lambda: True
    limits: Limits = DEFAULT_LIMITS
    reading: Reading = field(factory=Reading)

    @property
    def configuration(self) -> Configuration:
        """The server, its proxy and the token."""
        configuration: Configuration = self._transport.configuration
        return configuration

    def fenced(self, may_write: Callable[[], bool]) -> Client:
        """A client with the same connections.

        It raises `FencedError` instead of sending a write while `may_write` returns False.
        """
        return evolve(self, may_write=may_write)

    async def get(
        self, path: str, query: Mapping[str, str] | None = None, seconds: float | None = None
    ) -> bytes:
        """The body of a GET; `seconds` replaces the default time-out."""
        timeouts = self._total_timeouts(seconds)
        async with self._request("GET", path, query or {}, timeouts=timeouts) as response:
            return await read_body(response, self.limits, self.reading)

    async def post(self, path: str, body: Body) -> bytes:
        """Create an object."""
        return await self._write("POST", path, body)

    async def put(self, path: str, body: Body) -> bytes:
        """Replace an object."""
        return await self._write("PUT", path, body)

    async def merge_patch(self, path: str, body: Body) -> bytes:
        """Change fields of an object (RFC 7386: null removes a field)."""
        return await self._write("PATCH", path, body, MERGE_PATCH)

    async def delete(self, path: str, body: Body) -> bytes:
        """Delete an object; the body holds DeleteOptions."""
        return await self._write("DELETE", path, body)

    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """The lines of a watch until the server ends it. The caller decides how long to wait.

        Raises:
            CutError: The connection broke after the watch had begun.
            BudgetExceededError: A line is too long, or the cluster needs too much memory.
        """
        timeouts = aiohttp.ClientTimeout(total=None, sock_connect=self.limits.connect_seconds)
        request = self._request(
            "GET", path, query, timeouts=timeouts, buffer_bytes=WATCH_BUFFER_BYTES
        )
        has_begun = False
        try:
            self.reading.grow(WATCH_BYTES)
            async with request as response:
                has_begun = True
                async with aclosing(read_lines(response, self.limits, self.reading)) as lines:
                    async for line in lines:
                        yield line
        except TransportError as error:
            if has_begun and not isinstance(error, BudgetExceededError):
                raise CutError(str(error)) from error
            raise
        finally:
            self.reading.shrink(WATCH_BYTES)

    async def server_seconds(self) -> float | None:
        """The server's clock in POSIX seconds without fractions.

        None if it sends no valid date, or does not let the client read its version.
        """
        timeouts = self._total_timeouts()
        with suppress(ValueError, ApiError):
            async with self._request("GET", "/version", {}, timeouts=timeouts) as response:
                await read_body(response, self.limits, self.reading)
                return parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
        return None

    async def close(self) -> None:
        """Close every connection."""
        self.reading.end()
        await self._transport.close()

    async def _write(self, method: str, path: str, body: Body, content_type: str = JSON) -> bytes:
        if not self._may_write():
            raise FencedError("the write was not sent: this replica does not hold the Lease")
        timeouts = self._total_timeouts()
        request = self._request(method, path, {}, body, content_type, timeouts=timeouts)
        async with request as response:
            return await read_body(response, self.limits, self.reading)

    def _total_timeouts(self, seconds: float | None = None) -> aiohttp.ClientTimeout:
        total = self.limits.request_seconds if seconds is None else seconds
        return aiohttp.ClientTimeout(total=total, sock_connect=self.limits.connect_seconds)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Body | None = None,
        content_type: str = JSON,
        *,
        timeouts: aiohttp.ClientTimeout,
        buffer_bytes: int = LIST_BUFFER_BYTES,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        host = self.configuration.host
        url = f"{host}{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        headers = {"Accept": JSON, "Content-Type": content_type, **self._headers}
        content = encode(body) if isinstance(body, dict) else body
        with transport_errors(host):
            headers |= await authentication(self.configuration)
            response = await self._transport.send(
                method, url, headers, content, timeouts, buffer_bytes
            )
            async with response:
                if response.status >= 400:
                    status = await read_status(response, self.limits, self.reading)
                    raise ApiError(_with_cause(status, self._transport))
                yield response


def _with_cause(status: Status, transport: HardenedTransport) -> Status:
    """The error; if it rejects credentials that have expired, the message begins with that."""
    if status.code != 401 or not (expired := transport.expired()):
        return status
    return evolve(status, message=f"{expired}: {status.message}")
