"""Errors name the server and the cause in one printable line, and contain no secrets.

Real: sockets, TLS, HTTP, certificates and the client. Substituted: the API server, by handlers.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime

import pytest
from aiohttp import web
from attrs import evolve

from svclink_controller.api.errors import ApiError, TransportError
from tests.unit.controller.api.peers import (
    closed_port,
    garble,
    listening,
    never,
    redirecting,
    say_yes,
    sending,
)
from tests.unit.controller.http_server import (
    AUTHORITY,
    CLIENT,
    OTHER_AUTHORITY,
    TOKEN,
    connected,
    connecting,
    credentials,
    serving,
    with_certificate,
)
from tests.unit.controller.responses import refusal


async def test_name_without_an_address_is_an_error() -> None:
    """If DNS has no address, the error names the server, and is not about its certificate."""
    async with connected("https://api.nowhere.invalid:6443") as client:
        with pytest.raises(
            TransportError, match=r"https://api\.nowhere\.invalid:6443 cannot be reached"
        ) as caught:
            await client.get("/version")
    assert caught.value.fault is None


async def test_certificate_of_another_authority_is_not_accepted() -> None:
    """An unknown CA is distinguished from an unreachable server."""
    async with serving(say_yes) as server:
        wanted = credentials(server.url, ca_data=OTHER_AUTHORITY.cert_pem.bytes().decode())
        async with connecting(wanted) as client:
            with pytest.raises(TransportError, match=r"certificate .* was rejected") as caught:
                await client.get("/version")
    assert caught.value.fault is not None
    assert server.requests == []


async def test_expired_certificate_is_not_accepted() -> None:
    """An expired certificate is distinguished from an unreachable server."""
    expired = AUTHORITY.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    async with serving(say_yes, expired) as server, connected(server.url) as client:
        with pytest.raises(TransportError, match="expired") as caught:
            await client.get("/version")
    assert caught.value.fault is not None


async def test_certificate_of_another_host_is_not_accepted() -> None:
    """A certificate for another name or address is rejected, whichever CA signed it."""
    async with (
        serving(say_yes) as server,
        connected(server.url.replace("127.0.0.1", "127.0.0.2")) as client,
    ):
        with pytest.raises(TransportError):
            await client.get("/version")
    assert server.requests == []


async def test_refused_connection_names_the_server() -> None:
    """If nothing listens on the port, the error names the server and the cause."""
    url = f"https://127.0.0.1:{await closed_port()}"
    async with connected(url) as client:
        with pytest.raises(TransportError, match=f"{url} cannot be reached") as caught:
            await client.get("/version")
    assert caught.value.fault is None


async def test_server_without_tls_is_an_error() -> None:
    """Another protocol on the port is a TransportError."""
    async with listening() as (port, _), connected(f"https://127.0.0.1:{port}") as client:
        with pytest.raises(TransportError):
            await client.get("/version")


async def test_connection_that_breaks_in_the_middle_is_an_error() -> None:
    """A response that ends early is an error, not a short response."""

    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(break_off) as server, connected(server.url) as client:
        with pytest.raises(
            TransportError,
            match=r"^https://[0-9.:]+ closed the connection in the middle of a response$",
        ):
            await client.get("/version")


@pytest.mark.parametrize(
    "handler", [garble, redirecting("https://127.0.0.1:1/x"), redirecting("http://["), never]
)
async def test_errors_contain_neither_token_nor_key(
    handler: Callable[[web.BaseRequest], Coroutine[None, None, web.StreamResponse]],
) -> None:
    """Text and traceback of any error contain nothing of the credentials."""
    wanted = evolve(with_certificate(""), token=TOKEN)
    async with serving(handler) as server, connecting(evolve(wanted, server=server.url)) as client:
        with pytest.raises((ApiError, TransportError)) as caught:
            await client.get("/version", seconds=0.3)
    shown = "".join(traceback.format_exception(caught.value)) + repr(client)
    assert TOKEN not in shown
    assert CLIENT.private_key_pem.bytes().decode().splitlines()[1] not in shown


async def test_message_of_an_error_is_one_printable_line() -> None:
    """Escape sequences and line breaks of a server never reach a terminal."""

    async def color(_: web.BaseRequest) -> web.StreamResponse:
        return refusal(500, "\x1b[31mred\n\nreason", "\x1b]0;title\x07 and\r\nmore")

    async with serving(color) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    assert str(caught.value).isprintable()


async def test_message_about_invalid_http_is_one_printable_line() -> None:
    """Bytes that are not HTTP are quoted in one line, if at all."""
    async with (
        sending(b"\x1b[31mHello\r\nthis is not HTTP\r\n\r\n") as url,
        connected(url) as client,
    ):
        with pytest.raises(TransportError) as caught:
            await client.get("/version")
    assert str(caught.value).isprintable()
