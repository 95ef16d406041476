"""A TLS server on the loopback interface that runs any handler, and clients of it.

Real: sockets, TLS, HTTP, certificates.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Final, TypeAlias

import trustme
import yaml
from aiohttp import web
from attrs import define, evolve, field

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import remote_client
from svclink_controller.api.limits import DEFAULT_LIMITS, Limits
from svclink_controller.api.spending import Account
from svclink_controller.credentials.kubeconfig import Credentials
from svclink_controller.credentials.trust import STRICT, Trust

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

AUTHORITY: Final = trustme.CA()
OTHER_AUTHORITY: Final = trustme.CA()
TOKEN: Final = "hush.hush-0123456789"  # noqa: S105 - not a secret

CERTIFICATE: Final = AUTHORITY.issue_cert("127.0.0.1", "localhost")
CLIENT: Final = AUTHORITY.issue_cert("svclink.test")


@define
class Request:
    """A request that a server received."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") == "true"

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


@define
class Server:
    """A running server and the requests that it received."""

    url: str
    requests: list[Request] = field(factory=list)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    @property
    def watches(self) -> list[Request]:
        return [request for request in self.requests if request.is_watch]

    @property
    def lists(self) -> list[Request]:
        """Requests for lists; one with `limit=1` only asks for the newest resourceVersion."""
        return [
            request
            for request in self.requests
            if not request.is_watch and request.query.get("limit") != "1"
        ]


async def received(request: web.BaseRequest) -> Request:
    """A request with its whole body."""
    body = await request.read()
    return Request(request.method, request.path, dict(request.query), dict(request.headers), body)


@asynccontextmanager
async def serving(
    handler: Handler, certificate: trustme.LeafCert | None = None
) -> AsyncIterator[Server]:
    """A running server with this handler, and a certificate of `AUTHORITY` by default."""
    server = Server("")

    async def record(request: web.BaseRequest) -> web.StreamResponse:
        server.requests.append(await received(request))
        return await handler(request)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    (certificate or CERTIFICATE).configure_cert(context)
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    runner = web.ServerRunner(web.Server(record, handler_cancellation=True), shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"https://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


def credentials(url: str, **changes: Any) -> Credentials:
    """Credentials for a server of `serving`: its CA and a token, with the given changes."""
    return evolve(
        Credentials(server=url, ca_data=AUTHORITY.cert_pem.bytes().decode(), token=TOKEN), **changes
    )


def with_certificate(url: str) -> Credentials:
    """Credentials with a client certificate instead of a token."""
    return credentials(
        url,
        token=None,
        client_certificate=CLIENT.cert_chain_pems[0].bytes().decode(),
        client_key=CLIENT.private_key_pem.bytes().decode(),
    )


def kubeconfig(url: str, ca: trustme.CA = AUTHORITY, token: str = TOKEN) -> str:
    """A kubeconfig in base64, as in `spec.kubeconfig`."""
    content = {
        "clusters": [
            {
                "name": "a",
                "cluster": {
                    "server": url,
                    "certificate-authority-data": _base64(ca.cert_pem.bytes()),
                },
            }
        ],
        "users": [{"name": "a", "user": {"token": token}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    return _base64(yaml.safe_dump(content).encode())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def connected(
    url: str, limits: Limits = DEFAULT_LIMITS, account: Account | None = None
) -> AbstractAsyncContextManager[Client]:
    """A client of a server, closed at the end."""
    return connecting(credentials(url), limits=limits, account=account)


@asynccontextmanager
async def connecting(
    wanted: Credentials,
    trust: Trust = STRICT,
    limits: Limits = DEFAULT_LIMITS,
    account: Account | None = None,
) -> AsyncIterator[Client]:
    """A client with these credentials, closed at the end."""
    client = await remote_client(wanted, trust, limits, account)
    try:
        yield client
    finally:
        await client.close()


async def read_lines(client: Client, path: str = "/watch") -> list[bytes]:
    """All lines of a watch, until it ends."""
    async with aclosing(client.lines(path, {})) as lines:
        return [line async for line in lines]
