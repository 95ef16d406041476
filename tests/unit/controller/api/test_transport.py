"""The transport uses nothing of the environment and reaches only the server that was named.

Real: sockets, TLS, HTTP and the client. Substituted: the API server, by handlers; DNS in one test.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import ssl
import threading
import warnings
from contextlib import aclosing
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from svclink_controller.api.errors import TransportError
from svclink_controller.api.resolving import ThreadResolver
from svclink_controller.credentials.trust import LOOPBACK_NETWORKS, Trust
from tests.unit.controller.api.peers import listening, redirecting, say_yes
from tests.unit.controller.http_server import (
    CERTIFICATE,
    connected,
    connecting,
    credentials,
    read_lines,
    serving,
)
from tests.unit.controller.responses import answer


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection goes to a proxy that an environment variable names."""
    async with listening() as (port, peers), serving(say_yes) as server:
        for name in (
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
            "HTTP_PROXY",
            "http_proxy",
        ):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        async with connected(server.url) as client:
            await client.get("/version")
    assert (server.paths, peers) == (["/version"], [])


async def test_passwords_of_netrc_are_not_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Credentials without a token do not get a password from ~/.netrc."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login user password secret\n", encoding="ascii")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with (
        serving(say_yes) as server,
        connecting(credentials(server.url, token=None)) as client,
    ):
        await client.get("/version")
    assert "Authorization" not in server.requests[0].headers


async def test_cookies_are_not_kept() -> None:
    """A cookie that a server sets is not sent back."""

    async def bake(_: web.BaseRequest) -> web.StreamResponse:
        response = answer({})
        response.set_cookie("session", "1")
        return response

    # By name: a cookie jar ignores cookies of IP addresses anyway.
    async with (
        serving(bake) as server,
        connected(server.url.replace("127.0.0.1", "localhost")) as client,
    ):
        await client.get("/version")
        await client.get("/version")
    assert [request.headers.get("Cookie") for request in server.requests] == [None, None]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1"])
async def test_denied_address_sees_no_connection(host: str) -> None:
    """The resolved address counts, however the kubeconfig writes it; nothing connects to it."""
    async with listening() as (port, peers):
        url = f"https://{host}:{port}"
        async with connecting(credentials(url), Trust(LOOPBACK_NETWORKS)) as client:
            with pytest.raises(TransportError, match="svclink does not connect to the address"):
                await client.get("/version")
        assert peers == []


async def test_every_connection_checks_the_resolved_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that later resolves to a denied address (DNS rebinding) is refused then."""
    trust = Trust((ip_network("127.0.0.2/32"),))
    addresses = ["127.0.0.1"]

    async def resolve(
        _: object, host: str, port: int = 0, family: int = 0
    ) -> list[dict[str, object]]:
        address = addresses[0]
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": family,
                "proto": 6,
                "flags": 0,
            }
        ]

    monkeypatch.setattr(ThreadResolver, "resolve", resolve)
    monkeypatch.setattr(aiohttp.connector._DNSCacheTable, "expired", lambda _, __: True)

    async def hang_up(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({}, headers={"Connection": "close"})

    async with serving(hang_up) as server:
        wanted = credentials(
            server.url.replace("127.0.0.1", "api.test"), tls_server_name="localhost"
        )
        async with connecting(wanted, trust) as client:
            await client.get("/version")
            addresses[0] = "127.0.0.2"
            with pytest.raises(TransportError, match=r"127\.0\.0\.2: it is in 127\.0\.0\.2/32"):
                await client.get("/version")
    assert server.paths == ["/version"]


async def test_link_local_address_is_denied_without_any_flag() -> None:
    """No connection goes to a cloud's metadata service, whatever a kubeconfig says."""
    async with connected("https://169.254.169.254") as client:
        with pytest.raises(TransportError, match="is link-local"):
            await client.get("/latest/meta-data", seconds=5)


async def test_sockets_notice_that_the_peer_is_gone() -> None:
    """TCP notices a lost peer within 90 s, both when idle and when data is unacknowledged."""
    async with serving(say_yes) as server, connected(server.url) as client:
        info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 443))
        await client.get("/version")
        session = client._transport.pool_manager
        assert isinstance(session, aiohttp.ClientSession)
        assert isinstance(session.connector, aiohttp.TCPConnector)
        make_socket = session.connector._socket_factory
        assert make_socket is not None
        with make_socket(info) as made:
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, interval, count, unanswered = (
                made.getsockopt(socket.IPPROTO_TCP, getattr(socket, option))
                for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
            )
    assert idle + interval * count <= 90
    assert unanswered <= 90_000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_to_another_origin_is_refused_before_any_connection(status: int) -> None:
    """A redirect to another server is an error, and nothing connects to that server."""
    async with (
        listening() as (port, peers),
        serving(redirecting(f"https://127.0.0.1:{port}/steal", status)) as server,
        connected(server.url) as client,
    ):
        with pytest.raises(
            TransportError, match=f"redirects to another origin, https://127.0.0.1:{port}"
        ):
            await client.get("/version")
        assert peers == []


async def test_redirect_to_plain_http_is_refused() -> None:
    """The same host and port without TLS is another origin."""
    async with listening() as (port, peers):
        async with (
            serving(redirecting(f"http://127.0.0.1:{port}/")) as server,
            connected(server.url) as client,
        ):
            with pytest.raises(TransportError, match="redirects to another origin"):
                await client.get("/version")
        assert peers == []


async def test_watch_does_not_follow_a_redirect_to_another_origin() -> None:
    """Redirects of watches are checked like those of other requests."""
    async with listening() as (port, peers):
        async with (
            serving(redirecting(f"https://127.0.0.1:{port}/")) as server,
            connected(server.url) as client,
        ):
            with pytest.raises(TransportError, match="redirects to another origin"):
                await read_lines(client)
        assert peers == []


async def test_redirect_within_the_origin_is_followed() -> None:
    """A proxy may move a path: the server is still the one that the kubeconfig names."""
    async with serving(redirecting("/there")) as server, connected(server.url) as client:
        assert json.loads(await client.get("/version")) == {"said": "there"}


async def test_endless_redirects_are_an_error() -> None:
    """A server that redirects in a circle is an error."""
    async with serving(redirecting("/again")) as server, connected(server.url) as client:
        with pytest.raises(TransportError):
            await client.get("/version")


def test_connection_ends_although_the_server_does_not_confirm() -> None:
    """A closed client has no open connection, also where TLS would wait for the server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CERTIFICATE.configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))
    is_closed = threading.Event()

    def send_one_line_and_read_nothing() -> None:
        accepted, _ = listener.accept()
        with context.wrap_socket(accepted, server_side=True) as stream:
            stream.recv(2**16)
            stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n{}\n")
            is_closed.wait()

    async def read_one_line() -> bytes:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        async with connected(url) as client, aclosing(client.lines("/watch", {})) as lines:
            return await anext(lines)

    server = threading.Thread(target=send_one_line_and_read_nothing)
    server.start()
    with warnings.catch_warnings(record=True) as found, listener:
        warnings.simplefilter("always")
        assert asyncio.run(read_one_line()) == b"{}"
        gc.collect()
    is_closed.set()
    server.join()
    assert [str(each.message) for each in found] == []
