"""The transport trusts nothing a server says and takes nothing from the environment.

Real: sockets, TLS, HTTP and the client. Substituted: the API server, by one that misbehaves.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
import ssl
import stat
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from attrs import evolve

from svclink_controller.api import client as clients
from svclink_controller.api import responses
from svclink_controller.api.client import Client
from svclink_controller.api.connecting import ConfigurationError, main_client, remote_client
from svclink_controller.api.errors import ApiError, FencedError, SilenceError, TransportError
from svclink_controller.api.responses import MAX_LINE, MAX_RESPONSE_BYTES
from svclink_controller.credentials.kubeconfig import KubeconfigError
from svclink_controller.credentials.trust import LOOPBACK_NETWORKS, Trust
from svclink_controller.reflect.pager import PROBE_SECONDS
from svclink_controller.wire.messages import MAX_RETRY_AFTER
from tests.unit.controller.servers import (
    AUTHORITY,
    CLIENT,
    OTHER_AUTHORITY,
    TOKEN,
    answer,
    connected,
    connecting,
    credentials,
    read_lines,
    refusal,
    serving,
    stream,
    with_certificate,
)


async def say_yes(_: web.BaseRequest) -> web.StreamResponse:
    return answer({"said": "yes"})


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, list[str]]]:
    """A port where nobody should come, and who came."""
    visitors: list[str] = []

    def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append(str(writer.get_extra_info("peername")))
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], visitors


async def closed_port() -> int:
    async with listening() as (port, _):
        return port


# What is sent


async def test_token_is_sent_as_bearer() -> None:
    """The token of the credentials is in the Authorization header."""
    async with serving(say_yes) as server, connected(server.url) as client:
        await client.get("/version")
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_client_certificate_is_shown_to_the_server() -> None:
    """A client certificate of the credentials is what the server sees in the handshake."""
    shown: list[Any] = []

    async def look(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        shown.append(request.transport.get_extra_info("peercert"))
        return answer({})

    async with serving(look) as server, connecting(with_certificate(server.url)) as client:
        await client.get("/version")
    assert ("DNS", "svclink.test") in shown[0]["subjectAltName"]
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("call", "method", "kind"),
    [
        (lambda client: client.post("/a", {"b": [1, None]}), "POST", "application/json"),
        (lambda client: client.put("/a", {"b": [1, None]}), "PUT", "application/json"),
        (lambda client: client.delete("/a", {"b": [1, None]}), "DELETE", "application/json"),
        (
            lambda client: client.merge_patch("/a", {"b": [1, None]}),
            "PATCH",
            "application/merge-patch+json",
        ),
    ],
)
async def test_bodies_arrive_as_they_are(
    call: Callable[[Client], Coroutine[None, None, bytes]], method: str, kind: str
) -> None:
    """A write carries its body as JSON, nulls included, under the content type of its verb."""
    async with serving(say_yes) as server, connected(server.url) as client:
        await call(client)
    request = server.requests[0]
    assert (request.method, request.headers["Content-Type"], request.json) == (
        method,
        kind,
        {"b": [1, None]},
    )


async def test_query_arrives_as_it_is() -> None:
    """Characters that mean something in a URL reach the server as part of the value."""
    async with serving(say_yes) as server, connected(server.url) as client:
        await client.get("/api", {"continue": "a+b/c=&d e", "limit": "5"})
    assert server.requests[0].query == {"continue": "a+b/c=&d e", "limit": "5"}


async def test_path_of_the_server_is_kept() -> None:
    """A server under a path, as behind a proxy of many clusters, is asked under that path."""
    async with serving(say_yes) as server, connected(f"{server.url}/k8s/clusters/c-1") as client:
        await client.get("/version")
    assert server.paths == ["/k8s/clusters/c-1/version"]


async def test_tls_server_name_decides_which_certificate_is_accepted() -> None:
    """With `tls-server-name`, the certificate is checked for that name and not for the address."""
    async with serving(say_yes) as server:
        async with connecting(credentials(server.url, tls_server_name="localhost")) as client:
            assert await client.get("/version") == b'{"said": "yes"}'
        async with connecting(credentials(server.url, tls_server_name="elsewhere.test")) as client:
            with pytest.raises(TransportError) as caught:
                await client.get("/version")
    assert caught.value.is_certificate


# What is not taken from the environment, and not kept


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection goes to a proxy that the environment names."""
    async with listening() as (port, visitors), serving(say_yes) as server:
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
    assert (server.paths, visitors) == (["/version"], [])


async def test_passwords_of_netrc_are_not_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server whose credentials hold no token gets no password out of ~/.netrc either."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n", encoding="ascii")
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

    # Not by its address: a cookie jar would not keep cookies of those anyway.
    async with (
        serving(bake) as server,
        connected(server.url.replace("127.0.0.1", "localhost")) as client,
    ):
        await client.get("/version")
        await client.get("/version")
    assert [request.headers.get("Cookie") for request in server.requests] == [None, None]


# Where it connects


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1"])
async def test_denied_address_sees_no_connection(host: str) -> None:
    """However a kubeconfig writes an address, what it leads to counts, and nothing is sent there."""
    async with listening() as (port, visitors):
        url = f"https://{host}:{port}"
        async with connecting(credentials(url), Trust(LOOPBACK_NETWORKS)) as client:
            with pytest.raises(TransportError, match="where svclink connects to no cluster"):
                await client.get("/version")
        assert visitors == []


async def test_name_that_leads_elsewhere_later_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that first led to a good address and then to a denied one (DNS rebinding) is refused the second time."""
    trust = Trust((ip_network("127.0.0.2/32"),))
    leads_to = ["127.0.0.1"]

    async def resolve(
        _: object, host: str, port: int = 0, family: int = 0
    ) -> list[dict[str, object]]:
        address = leads_to[0]
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

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    monkeypatch.setattr(aiohttp.connector._DNSCacheTable, "expired", lambda _, __: True)

    async def hang_up(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({}, headers={"Connection": "close"})

    async with serving(hang_up) as server:
        wanted = credentials(
            server.url.replace("127.0.0.1", "api.test"), tls_server_name="localhost"
        )
        async with connecting(wanted, trust) as client:
            await client.get("/version")
            leads_to[0] = "127.0.0.2"
            with pytest.raises(TransportError, match=r"127\.0\.0\.2 is in 127\.0\.0\.2/32"):
                await client.get("/version")
    assert server.paths == ["/version"]


async def test_link_local_address_is_denied_without_any_flag() -> None:
    """What tells a cloud machine its secrets is not asked, whatever a kubeconfig says."""
    async with connected("https://169.254.169.254") as client:
        with pytest.raises(TransportError, match="is link-local"):
            await client.get("/latest/meta-data", seconds=5)


async def test_name_that_leads_nowhere_is_an_error() -> None:
    """Where DNS has no answer, the error names the server and no fault of svclink."""
    async with connected("https://api.nowhere.invalid:6443") as client:
        with pytest.raises(
            TransportError, match=r"https://api\.nowhere\.invalid:6443 cannot be reached"
        ) as caught:
            await client.get("/version")
    assert not caught.value.is_certificate


async def test_sockets_notice_that_the_peer_is_gone() -> None:
    """Of a connection nobody answers on, TCP itself finds out within 90 s, in whichever direction it is used."""
    async with serving(say_yes) as server, connected(server.url) as client:
        info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 443))
        await client.get("/version")
        session = client._api.rest_client.pool_manager
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
    assert clients.WATCH_SILENCE_SECONDS + PROBE_SECONDS <= 90


# What an administrator may allow


async def test_any_certificate_counts_where_that_is_allowed() -> None:
    """Credentials that skip the verification reach a server with any certificate."""
    async with serving(say_yes) as server:
        async with connecting(credentials(server.url, ca_data="", insecure=True)) as client:
            await client.get("/version")
        async with connecting(credentials(server.url, ca_data="")) as client:
            with pytest.raises(TransportError):
                await client.get("/version")
    assert server.paths == ["/version"]


@asynccontextmanager
async def proxying() -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy for TLS, and what it was asked to connect to."""
    asked: list[str] = []

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
        target.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.splitlines()[0])
        host, _, port = head.split()[1].rpartition(":")
        upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(pump(reader, upstream_writer), pump(upstream_reader, writer))

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_proxy_of_the_credentials_is_used() -> None:
    """A proxy that was allowed connects to the server, with which TLS is spoken: it sees no token."""
    async with proxying() as (proxy, asked), serving(say_yes) as server:
        async with connecting(credentials(server.url, proxy=proxy)) as client:
            await client.get("/version")
        address = server.url.removeprefix("https://")
        assert (server.paths, asked) == (["/version"], [f"CONNECT {address} HTTP/1.1"])
        assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_address_of_a_proxy_is_looked_at_too() -> None:
    """A proxy at a denied address sees no connection."""
    async with listening() as (port, visitors):
        wanted = credentials("https://api.test", proxy=f"http://127.0.0.1:{port}")
        async with connecting(wanted, Trust(LOOPBACK_NETWORKS)) as client:
            with pytest.raises(TransportError, match="where svclink connects to no cluster"):
                await client.get("/version")
        assert visitors == []


@pytest.mark.parametrize(("disable", "expected"), [(True, "identity"), (False, "gzip, deflate")])
async def test_compression_can_be_disabled(*, disable: bool, expected: str) -> None:
    """`disable-compression` of a kubeconfig is said to the server."""
    async with (
        serving(say_yes) as server,
        connecting(credentials(server.url, disable_compression=disable)) as client,
    ):
        await client.get("/version")
    assert server.requests[0].headers["Accept-Encoding"].startswith(expected)


# Redirects


def redirecting(
    target: str, status: int = 307
) -> Callable[[web.BaseRequest], Coroutine[None, None, web.Response]]:
    async def redirect(request: web.BaseRequest) -> web.Response:
        if request.path == "/there":
            return answer({"said": "there"})
        return web.Response(status=status, headers={"Location": target})

    return redirect


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_to_another_origin_is_refused_before_any_connection(status: int) -> None:
    """A server that redirects elsewhere is an error, and elsewhere sees no connection."""
    async with (
        listening() as (port, visitors),
        serving(redirecting(f"https://127.0.0.1:{port}/steal", status)) as server,
        connected(server.url) as client,
    ):
        with pytest.raises(
            TransportError, match=f"redirects to another origin, https://127.0.0.1:{port}"
        ):
            await client.get("/version")
        assert visitors == []


async def test_redirect_to_plain_http_is_refused() -> None:
    """The same host and port without TLS is another origin."""
    async with listening() as (port, visitors):
        async with (
            serving(redirecting(f"http://127.0.0.1:{port}/")) as server,
            connected(server.url) as client,
        ):
            with pytest.raises(TransportError, match="redirects to another origin"):
                await client.get("/version")
        assert visitors == []


async def test_watch_does_not_follow_a_redirect_elsewhere_either() -> None:
    """Watches go through the same gate as requests."""
    async with listening() as (port, visitors):
        async with (
            serving(redirecting(f"https://127.0.0.1:{port}/")) as server,
            connected(server.url) as client,
        ):
            with pytest.raises(TransportError, match="redirects to another origin"):
                await read_lines(client)
        assert visitors == []


async def test_redirect_within_the_origin_is_followed() -> None:
    """A proxy may move a path: that stays within what the kubeconfig names."""
    async with serving(redirecting("/there")) as server, connected(server.url) as client:
        assert json.loads(await client.get("/version")) == {"said": "there"}


async def test_endless_redirects_end() -> None:
    """A server that redirects in a circle is an error."""
    async with serving(redirecting("/again")) as server, connected(server.url) as client:
        with pytest.raises(TransportError):
            await client.get("/version")


# Refusals


async def test_refusal_carries_the_status() -> None:
    """An error answer becomes an ApiError with code, reason, message and causes."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return refusal(403, "Forbidden", "namespace is gone", cause="NamespaceTerminating")

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    status = caught.value.status
    assert (status.code, status.reason, status.message) == (403, "Forbidden", "namespace is gone")
    assert status.causes == ("NamespaceTerminating",)


async def test_overload_in_plain_text_says_when_to_come_back() -> None:
    """A 429 whose body is text keeps Retry-After, and its text is the message."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(
            status=429, text="Too many requests,\n please try again", headers={"Retry-After": "7"}
        )

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    status = caught.value.status
    assert (status.code, status.retry_after) == (429, 7)
    assert status.message == "Too many requests, please try again"


@pytest.mark.parametrize("header", ["86400", "9" * 500])
async def test_retry_after_is_bounded(header: str) -> None:
    """A server that wants to be left alone for a day, or for ever, is asked again earlier."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": header})

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    assert caught.value.status.retry_after == MAX_RETRY_AFTER


@pytest.mark.parametrize("header", ["", "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "\u0663"])
async def test_retry_after_that_is_no_number_is_ignored(header: str) -> None:
    """A date, a word or nothing in Retry-After leaves the Status as it is."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        response = refusal(429, retry_after=3)
        response.headers["Retry-After"] = header
        return response

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    assert caught.value.status.retry_after == 3


async def test_code_of_the_answer_counts_not_that_of_its_body() -> None:
    """A server that answers 500 and says 404 in the body answered 500."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        response = refusal(404, "NotFound")
        response.set_status(500)
        return response

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    assert caught.value.status.code == 500


async def test_watch_that_is_refused_is_an_error() -> None:
    """The body of an error answer is never taken for events."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=502, text="<html>\n<body>\nBad gateway\n")

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError, match=r"502 Bad Gateway: <html> <body> Bad gateway"):
            await read_lines(client)


# Limits


async def test_body_over_the_limit_is_refused() -> None:
    """An answer that does not end is given up at the limit."""

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(request, *[bytes(2**20)] * (MAX_RESPONSE_BYTES // 2**20 + 1))

    async with serving(flood) as server, connected(server.url) as client:
        with pytest.raises(TransportError, match=f"more than {MAX_RESPONSE_BYTES} bytes"):
            await client.get("/api/v1/services")


async def test_small_answer_that_inflates_is_refused() -> None:
    """The limit counts what an answer becomes, not what travelled."""
    bomb = gzip.compress(bytes(MAX_RESPONSE_BYTES + 2**20), compresslevel=1)

    async def explode(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with serving(explode) as server, connected(server.url) as client:
        with pytest.raises(TransportError, match=f"more than {MAX_RESPONSE_BYTES} bytes"):
            await client.get("/api/v1/services")


async def test_error_answer_over_the_limit_is_refused() -> None:
    """The limit holds for the body of an error answer as well."""

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        for _ in range(MAX_RESPONSE_BYTES // 2**20 + 1):
            await response.write(bytes(2**20))
        return response

    async with serving(flood) as server, connected(server.url) as client:
        with pytest.raises(TransportError, match=f"more than {MAX_RESPONSE_BYTES} bytes"):
            await client.get("/api/v1/services")


async def test_watch_line_over_the_limit_is_refused() -> None:
    """A watch event that does not end is given up at the limit."""

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(request, *[b"a" * 2**20] * (MAX_LINE // 2**20 + 1), stay=True)

    async with serving(flood) as server, connected(server.url) as client:
        with pytest.raises(TransportError, match=f"more than {MAX_LINE} bytes"):
            await read_lines(client)


async def test_lines_of_a_watch_are_put_together_again() -> None:
    """Lines come out whole however they were cut on the way; empty ones and an unfinished one do not come out."""

    async def cut(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(request, b'{"a', b'":1}\n{"b":2}\n\n', b"\n", b'{"c":3}', b'\n{"unfin')

    async with serving(cut) as server, connected(server.url) as client:
        assert await read_lines(client) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


async def test_broken_gzip_is_no_answer() -> None:
    """What cannot be inflated is an error of the transport."""

    async def lie(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"this is no gzip", headers={"Content-Encoding": "gzip"})

    async with serving(lie) as server, connected(server.url) as client:
        with pytest.raises(TransportError):
            await client.get("/version")


# Where no answer comes


async def test_certificate_of_another_authority_is_not_accepted() -> None:
    """A server whose certificate the kubeconfig's CA did not sign is told apart from one that is away."""
    async with serving(say_yes) as server:
        wanted = credentials(server.url, ca_data=OTHER_AUTHORITY.cert_pem.bytes().decode())
        async with connecting(wanted) as client:
            with pytest.raises(TransportError, match=r"certificate .* was not accepted") as caught:
                await client.get("/version")
    assert caught.value.is_certificate
    assert server.requests == []


async def test_certificate_that_expired_is_not_accepted() -> None:
    """A server whose certificate ran out is told apart from one that is away."""
    expired = AUTHORITY.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    async with serving(say_yes, expired) as server, connected(server.url) as client:
        with pytest.raises(TransportError, match="expired") as caught:
            await client.get("/version")
    assert caught.value.is_certificate


async def test_certificate_of_another_host_is_not_accepted() -> None:
    """A certificate for another name or address is refused, whoever signed it."""
    async with (
        serving(say_yes) as server,
        connected(server.url.replace("127.0.0.1", "127.0.0.2")) as client,
    ):
        with pytest.raises(TransportError):
            await client.get("/version")
    assert server.requests == []


async def test_refused_connection_says_so() -> None:
    """Where nobody listens the error names the server and the reason."""
    url = f"https://127.0.0.1:{await closed_port()}"
    async with connected(url) as client:
        with pytest.raises(TransportError, match=f"{url} cannot be reached") as caught:
            await client.get("/version")
    assert not caught.value.is_certificate


async def test_server_that_speaks_no_tls_is_an_error() -> None:
    """Something else on the port is an error of the transport."""
    async with listening() as (port, _), connected(f"https://127.0.0.1:{port}") as client:
        with pytest.raises(TransportError):
            await client.get("/version")


async def test_connection_that_breaks_in_the_middle_is_an_error() -> None:
    """Half an answer is no answer."""

    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(break_off) as server, connected(server.url) as client:
        with pytest.raises(
            TransportError, match=r"^https://[0-9.:]+ broke off in the middle of an answer$"
        ):
            await client.get("/version")


async def never(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def test_request_without_answer_ends() -> None:
    """A server that accepts a request and says nothing is given up after the time given."""
    async with serving(never) as server, connected(server.url) as client:
        with pytest.raises(TransportError, match="did not answer in time"):
            await client.get("/version", seconds=0.2)


async def test_silent_watch_ends_as_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that says nothing for long enough is told apart from one that broke."""
    monkeypatch.setattr(clients, "WATCH_SILENCE_SECONDS", 0.2)

    async def whisper(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(request, b"{}\n", stay=True)

    async with serving(whisper) as server, connected(server.url) as client:
        with pytest.raises(SilenceError):
            await read_lines(client)


async def test_closed_client_raises_what_a_lost_connection_raises() -> None:
    """A request after `close` is a TransportError, not an error of the program."""
    async with serving(say_yes) as server, connected(server.url) as client:
        await client.get("/version")
        await client.close()
        with pytest.raises(TransportError):
            await client.get("/version")


# Secrets


@pytest.fixture
def key_files(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int, int]]:
    """The files OpenSSL is given, with their modes and those of their directories, as they are at that moment."""
    seen: list[tuple[Path, int, int]] = []
    load = ssl.SSLContext.load_cert_chain

    def look_and_load(context: ssl.SSLContext, certfile: str, keyfile: str) -> None:
        paths = Path(certfile), Path(keyfile)
        seen.extend(
            (path, stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode))
            for path in paths
        )
        load(context, certfile, keyfile)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", look_and_load)
    return seen


async def test_key_files_are_for_this_user_alone_and_gone_at_once(
    key_files: list[tuple[Path, int, int]],
) -> None:
    """Certificate and key are 0600 in a directory of 0700, and neither is left when the client is there."""
    async with connecting(with_certificate("https://127.0.0.1:1")):
        assert {(mode, parent) for _, mode, parent in key_files} == {(0o600, 0o700)}
        assert not any(path.exists() or path.parent.exists() for path, _, _ in key_files)


async def test_key_files_are_gone_where_tls_refuses_them(
    key_files: list[tuple[Path, int, int]],
) -> None:
    """A key that belongs to another certificate leaves no file behind, and is a fault of the kubeconfig."""
    other = OTHER_AUTHORITY.issue_cert("svclink.test").private_key_pem.bytes().decode()
    with pytest.raises(KubeconfigError) as caught:
        await remote_client(evolve(with_certificate("https://127.0.0.1:1"), client_key=other))
    assert key_files
    assert not any(path.parent.exists() for path, _, _ in key_files)
    assert other.splitlines()[1] not in "".join(traceback.format_exception(caught.value))


async def test_authority_that_tls_refuses_is_a_fault_of_the_kubeconfig() -> None:
    """What OpenSSL will not take for a CA shows in the link's status, as any other broken kubeconfig."""
    broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    with pytest.raises(KubeconfigError) as caught:
        await remote_client(credentials("https://127.0.0.1:1", ca_data=broken))
    assert caught.value.reason == "InvalidKubeconfig"


async def garble(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=500, text="no")


@pytest.mark.parametrize(
    "handler", [garble, redirecting("https://127.0.0.1:1/x"), redirecting("http://["), never]
)
async def test_errors_tell_neither_token_nor_key(
    handler: Callable[[web.BaseRequest], Coroutine[None, None, web.StreamResponse]],
) -> None:
    """Whatever goes wrong, its text and traceback hold nothing of the credentials."""
    wanted = evolve(with_certificate(""), token=TOKEN)
    async with serving(handler) as server, connecting(evolve(wanted, server=server.url)) as client:
        with pytest.raises((ApiError, TransportError)) as caught:
            await client.get("/version", seconds=0.3)
    told = "".join(traceback.format_exception(caught.value)) + repr(client)
    assert TOKEN not in told
    assert CLIENT.private_key_pem.bytes().decode().splitlines()[1] not in told


async def test_message_of_an_error_is_one_printable_line() -> None:
    """Escape sequences and line breaks of a server do not reach a terminal, wherever in the answer they are."""

    async def paint(_: web.BaseRequest) -> web.StreamResponse:
        return refusal(500, "\x1b[31mred\n\nreason", "\x1b]0;title\x07 and\r\nmore")

    async with serving(paint) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    assert str(caught.value).isprintable()


@asynccontextmanager
async def saying(*parts: bytes) -> AsyncIterator[str]:
    """The address of a server that says these bytes one after the other, HTTP or not, and hangs up when told to."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_message_about_what_is_no_http_is_one_printable_line() -> None:
    """What a server says instead of HTTP is quoted in one line, if at all."""
    async with saying(b"\x1b[31mHello\r\nthis is no HTTP\r\n\r\n") as url, connected(url) as client:
        with pytest.raises(TransportError) as caught:
            await client.get("/version")
    assert str(caught.value).isprintable()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n"


@pytest.mark.parametrize(
    "read", [read_lines, lambda client: client.get("/version")], ids=["watch", "get"]
)
async def test_answer_that_stops_being_http_is_an_error(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[Client], Coroutine[Any, Any, object]]
) -> None:
    """A malformed chunk ends a watch and a list; aiohttp itself would wait for the rest of them for ever."""
    monkeypatch.setattr(responses, "CHECK_SECONDS", 0.1)
    async with (
        saying(CHUNKED, b"this is no chunk\r\n") as url,
        connected(url) as client,
        asyncio.timeout(10),
    ):
        with pytest.raises(TransportError):
            await read(client)


async def test_quiet_watch_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is looked at while nothing comes is none the worse for it."""
    monkeypatch.setattr(responses, "CHECK_SECONDS", 0.01)
    async with (
        saying(CHUNKED, b"", b"", b"3\r\n[]\n\r\n0\r\n\r\n") as url,
        connected(url) as client,
    ):
        assert await read_lines(client) == [b"{}", b"[]"]


# The main cluster


def main_kubeconfig(path: Path, url: str, token: str | None = TOKEN) -> Path:
    """A kubeconfig with a CA in a file beside it, as an administrator would have it."""
    (path / "ca.crt").write_bytes(AUTHORITY.cert_pem.bytes())
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": url, "certificate-authority": "ca.crt"}}],
        "users": [{"name": "a", "user": {} if token is None else {"token": token}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    file = path / "kubeconfig"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


async def test_main_cluster_is_reached_with_its_kubeconfig(tmp_path: Path) -> None:
    """The main kubeconfig is trusted: it may name files, and its token is sent."""
    async with serving(say_yes) as server:
        client = await main_client(main_kubeconfig(tmp_path, server.url))
        try:
            assert json.loads(await client.get("/version")) == {"said": "yes"}
        finally:
            await client.close()
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


def main_content(server: object = "https://127.0.0.1:9", **user: object) -> str:
    """A kubeconfig of one cluster and one user."""
    content = {
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": user}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    return yaml.safe_dump(content)


def plugin(*command: str) -> dict[str, object]:
    """A program that gives credentials."""
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command[0],
        "args": list(command[1:]),
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not built as"),
        ("a: [", "line 1, column 5"),
        ("[]", "is not built as"),
        ("just text", "is not built as"),
        ("current-context: a", "contexts"),
        ("clusters: 5\ncurrent-context: a", "is not built as"),
        ("\x00", "unacceptable character"),
        (main_content(5), "is not built as"),
        (main_content("https://[::1"), "its server 'https://[::1' is no URL"),
        (main_content("https://127.0.0.1:99999"), "its server 'https://127.0.0.1:99999' is no URL"),
        (
            main_content(**{"client-certificate-data": "aGFsbG8=", "client-key-data": "aGFsbG8="}),
            "no PEM",
        ),
        (
            main_content(exec=plugin("/nowhere/plugin")),
            "its credential plugin does not work: [Errno 2] No such file",
        ),
        (
            main_content(exec=plugin("false")),
            "its credential plugin does not work: exec: process returned 1",
        ),
        (
            main_content(exec=plugin("echo", "hello")),
            "its credential plugin does not work: exec: failed to decode",
        ),
    ],
)
async def test_main_kubeconfig_that_is_none_is_one_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str, words: str
) -> None:
    """A file that is no kubeconfig, or does not work, is a ConfigurationError that names it and says what is wrong."""
    path = tmp_path / "kubeconfig"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        await main_client(path)
    assert str(caught.value).startswith(f"--kubeconfig={path} is no usable kubeconfig: ")
    assert words in str(caught.value)
    assert capfd.readouterr() == ("", "")


async def test_main_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Of the files of $KUBECONFIG some may be missing, but not all."""
    missing = tmp_path / "missing"
    with pytest.raises(
        ConfigurationError, match=f"^--kubeconfig={missing}: there is no such file$"
    ):
        await main_client(missing)
    (tmp_path / "there").write_text(main_content(token=TOKEN), encoding="utf-8")
    client = await main_client(Path(f"{missing}{os.pathsep}{tmp_path / 'there'}"))
    await client.close()


async def test_without_kubeconfig_outside_a_pod_the_flag_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Outside a Pod there is no ServiceAccount: the error says which flag helps."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigurationError, match="--kubeconfig=FILE"):
        await main_client(None)


# The fence


async def test_fenced_client_reads_and_does_not_write() -> None:
    """Where it may not write, nothing that changes something is sent, and what only reads is."""
    may_write = False

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return answer({})

    async with serving(handler) as server, connected(server.url) as client:
        fenced = client.fenced(lambda: may_write)
        for write in (fenced.post, fenced.put, fenced.merge_patch, fenced.delete):
            with pytest.raises(FencedError):
                await write("/x", {})
        await fenced.get("/x")
        assert [request.method for request in server.requests] == ["GET"]
        may_write = True
        for write in (fenced.post, fenced.put, fenced.merge_patch, fenced.delete):
            await write("/x", {})
        assert len(server.requests) == 5
