"""Connections to API servers that are not trusted: nothing is taken from the environment, no request is led astray."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from svclink_controller.credentials.trust import Trust


def hardened_session(
    host: str, context: ssl.SSLContext, trust: Trust | None
) -> aiohttp.ClientSession:
    """Connections to one server, as many as there are requests: a full pool would queue without a word.

    Args:
        host: Its URL.
        context: What is asked of its certificate.
        trust: The addresses that may be connected to; None for any.
    """

    def make_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        """After names are looked up and before a connection: what a name leads to by now is what counts."""
        address = str(info[4][0])
        if trust is not None and (what := trust.why_denied(address)) is not None:
            raise OSError(
                errno.EACCES,
                f"its address {address} is {what}, where svclink connects to no cluster",
            )
        return _kept_alive_socket(info)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context, socket_factory=make_socket),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_refuse_other_origins(host),),
        read_bufsize=2**18,
    )


def _refuse_other_origins(host: str) -> aiohttp.ClientMiddlewareType:
    """A middleware that sees every hop, so that no request ever goes where the kubeconfig did not say."""
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


def _kept_alive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that finds out within about a minute that its peer is gone (20 s idle, then 4 probes 10 s apart)."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if (number := getattr(socket, option, None)) is not None:
            made.setsockopt(socket.IPPROTO_TCP, number, value)
    return made


_KEEPALIVE: Final = {
    "TCP_KEEPIDLE": 20,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": 60_000,
}


class HardenedTransport(RESTClientObject):
    """The client's transport with nothing taken from the environment and nothing trusted that a server says."""

    def __init__(self, configuration: Configuration, trust: Trust | None) -> None:
        super().__init__(configuration)
        self._trust = trust

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """What `request` does, with a body that is JSON already and without what svclink has no use for."""
        if self.pool_manager is None:
            self.pool_manager = self._create_pool_manager()
        return await self.pool_manager.request(
            method,
            url,
            headers=headers,
            data=body,
            timeout=limits,
            proxy=self.proxy,
            proxy_headers=self.proxy_headers,
            server_hostname=self.configuration.tls_server_name,
        )

    def _create_pool_manager(self) -> aiohttp.ClientSession:
        return hardened_session(self.configuration.host, self.ssl_context, self._trust)
