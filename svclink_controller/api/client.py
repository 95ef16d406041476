"""Requests to one API server: bytes in, bytes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias, cast
from urllib.parse import quote, urlencode

import aiohttp
from attrs import define, evolve
from kubernetes.aio.client import ApiClient

from svclink_controller.api.errors import ApiError, FencedError, transport_errors
from svclink_controller.api.responses import lines, read_body, refusal
from svclink_controller.api.transport import HardenedTransport
from svclink_controller.wire.encoding import encode
from svclink_core.codec import Json

CONNECT_SECONDS: Final = 10

REQUEST_SECONDS: Final = 30

WATCH_SILENCE_SECONDS: Final = 75
"""How long a watch may be silent: the API server sends a bookmark about every minute.

Whoever is silent is asked something else: a server that hangs is noticed within 90 s.
"""

GOODBYE_SECONDS: Final = 0.05

Body: TypeAlias = dict[str, Json] | bytes
"""An object, or the JSON of one."""


@define
class Client:
    """Requests to one API server. Raises `ApiError` for its refusals and `TransportError` where no answer came.

    Args:
        api: The transport.
        may_write: Asked before each request that changes something.
    """

    _api: ApiClient
    _may_write: Callable[[], bool] = lambda: True

    def fenced(self, may_write: Callable[[], bool]) -> Client:
        """A client with the same connections that sends no write, and raises `FencedError`, where it may not."""
        return evolve(self, may_write=may_write)

    async def get(
        self, path: str, query: Mapping[str, str] | None = None, seconds: float = REQUEST_SECONDS
    ) -> bytes:
        """The body of a GET."""
        return await self._request("GET", path, query or {}, None, "application/json", seconds)

    async def post(self, path: str, body: Body) -> bytes:
        """Create an object."""
        return await self._request("POST", path, {}, body, "application/json", REQUEST_SECONDS)

    async def put(self, path: str, body: Body) -> bytes:
        """Replace an object."""
        return await self._request("PUT", path, {}, body, "application/json", REQUEST_SECONDS)

    async def merge_patch(self, path: str, body: Body) -> bytes:
        """Change fields of an object (RFC 7386: null removes a field)."""
        return await self._request(
            "PATCH", path, {}, body, "application/merge-patch+json", REQUEST_SECONDS
        )

    async def delete(self, path: str, body: Body) -> bytes:
        """Delete an object; the body holds DeleteOptions."""
        return await self._request("DELETE", path, {}, body, "application/json", REQUEST_SECONDS)

    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """The lines of a watch until the server ends it."""
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=WATCH_SILENCE_SECONDS
        )
        request = self._response("GET", path, query, None, "application/json", limits)
        async with request as response, aclosing(lines(response)) as found:
            async for line in found:
                yield line

    async def server_seconds(self) -> float | None:
        """What the clock of the server says, as POSIX seconds without fractions; None where it does not say."""
        limits = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        async with self._response(
            "GET", "/version", {}, None, "application/json", limits
        ) as response:
            await read_body(response)
            try:
                return parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
            except ValueError:
                return None

    async def close(self) -> None:
        """Close every connection."""
        await self._api.close()  # type: ignore[no-untyped-call]
        # One that was given up in the middle of an answer is nobody's any more, and says goodbye to the server first.
        await asyncio.sleep(GOODBYE_SECONDS)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Body | None,
        kind: str,
        seconds: float,
    ) -> bytes:
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        if method != "GET" and not self._may_write():
            raise FencedError("nothing is written without the lease")
        async with self._response(method, path, query, body, kind, limits) as response:
            return await read_body(response)

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Body | None,
        kind: str,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": "application/json", "Content-Type": kind, **self._api.default_headers}
        url = f"{self._api.configuration.host}{path}" + (
            f"?{urlencode(query, quote_via=quote)}" if query else ""
        )
        content = encode(body) if isinstance(body, dict) else body
        transport = cast("HardenedTransport", self._api.rest_client)  # As it was made here.
        with transport_errors(self._api.configuration.host):
            await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
            response = await transport.send(method, url, headers, content, limits)
            async with response:
                if response.status >= 400:
                    raise ApiError(await refusal(response))
                yield response
