"""Connections to untrusted API servers: nothing from the environment, no unexpected address."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Final
from weakref import WeakSet

import aiohttp
from yarl import URL

from svclink_controller.api.official_client import Configuration, RESTClientObject
from svclink_controller.api.resolving import ThreadResolver
from svclink_controller.credentials.trust import Trust

KEEPALIVE: Final = {
    "TCP_KEEPIDLE": 20,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": 60_000,
}
"""TCP notices within about a minute that a peer is gone: 20 s idle, then 4 probes 10 s apart."""


LIST_BUFFER_BYTES: Final = 2**18
"""Read buffer of a list, which is read in large parts."""

WATCH_BUFFER_BYTES: Final = 2**15
"""Read buffer of a watch; smaller, because a cluster can have many."""

WATCH_BYTES: Final = 2**19
"""Memory of the connection of a watch: the buffers of TLS and aiohttp."""


CLOSE_TURNS: Final = 1_000
"""Turns of the event loop, in which it notices that connections have ended. A few are enough."""


class HardenedTransport(RESTClientObject):
    """The official client's transport, without proxies, cookies and passwords of the environment.

    Args:
        configuration: The server and its proxy.
        trust: The addresses that may be connected to; None for any.
        context: Which certificates the server may have, and the client certificate.
    """

    def __init__(
        self, configuration: Configuration, trust: Trust | None, context: ssl.SSLContext
    ) -> None:
        # Not that of the official client, which loads the authorities of the system each time.
        self.configuration = configuration
        self.proxy, self.proxy_headers = configuration.proxy, configuration.proxy_headers
        self.pool_manager: aiohttp.ClientSession | None = None
        self.retry_client = None
        self.ssl_context = context
        self._trust = trust
        self._sockets: WeakSet[socket.socket] = WeakSet()

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeouts: aiohttp.ClientTimeout,
        buffer_bytes: int = LIST_BUFFER_BYTES,
    ) -> aiohttp.ClientResponse:
        """Send a request whose body is JSON already, and return the response unread.

        Replaces `request` of the official client, which reads and decodes the whole response.
        """
        # TLS settings belong to the request: they can change, and open connections go on.
        if self.pool_manager is None:
            self.pool_manager = self._create_pool_manager()
        return await self.pool_manager.request(
            method,
            url,
            headers=headers,
            data=body,
            timeout=timeouts,
            read_bufsize=buffer_bytes,
            ssl=self.ssl_context,
            proxy=self.proxy,
            proxy_headers=self.proxy_headers,
            server_hostname=self.configuration.tls_server_name,
        )

    def expired(self) -> str:
        """Which credentials have expired, and when; empty if that is decided elsewhere."""
        return ""

    async def close(self) -> None:
        """Close every connection.

        aiohttp forgets a connection that was abandoned in the middle of a response, and asyncio
        waits up to 30 s for the server to confirm the end of TLS, longer than a command runs.
        """
        await super().close()
        await _end(list(self._sockets))

    def _create_pool_manager(self) -> aiohttp.ClientSession:
        return hardened_session(self.configuration.host, self._trust, self._sockets)


async def authentication(configuration: Configuration) -> dict[str, str]:
    """The headers that authenticate a request; none without a token."""
    token = (await configuration.auth_settings()).get("BearerToken")
    return {} if token is None or token["value"] is None else {token["key"]: token["value"]}


async def _end(sockets: Collection[socket.socket]) -> None:
    """End connections in both directions, and wait until the event loop has closed them."""
    for each in sockets:
        with suppress(OSError):  # Most are closed already.
            each.shutdown(socket.SHUT_RDWR)
    for _ in range(CLOSE_TURNS):
        if all(each.fileno() < 0 for each in sockets):
            break
        await asyncio.sleep(0.001)


def hardened_session(
    host: str, trust: Trust | None, sockets: WeakSet[socket.socket]
) -> aiohttp.ClientSession:
    """A pool of connections to one server, without an upper limit.

    With a limit, requests would wait for a connection without any error or log line.

    Args:
        host: The URL of the server.
        trust: The addresses that may be connected to; None for any.
        sockets: Where to add the socket of each connection.
    """

    def make_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        """Checks the address between its lookup and the connection: DNS may have changed."""
        address = str(info[4][0])
        if trust is not None and (reason := trust.why_denied(address)) is not None:
            message = f"svclink does not connect to the address {address}: it is {reason}"
            raise OSError(errno.EACCES, message)
        made = _keep_alive_socket(info)
        sockets.add(made)
        return made

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, socket_factory=make_socket, resolver=ThreadResolver()
        ),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_refuse_other_origins(host),),
    )


def _refuse_other_origins(host: str) -> aiohttp.ClientMiddlewareType:
    """Middleware that checks every redirect: requests go only to the server that was named."""
    origin = URL(host).origin()

    async def middleware(
        request: aiohttp.ClientRequest, handler: Callable[[aiohttp.ClientRequest], object]
    ) -> aiohttp.ClientResponse:
        if request.url.origin() != origin:
            raise aiohttp.ClientConnectionError(
                f"it redirects to another origin, {request.url.origin()}"
            )
        return await handler(request)  # type: ignore[misc,no-any-return]

    return middleware


def _keep_alive_socket(info: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        if (number := getattr(socket, option, None)) is not None:  # Not every platform has all.
            made.setsockopt(socket.IPPROTO_TCP, number, value)
    return made
