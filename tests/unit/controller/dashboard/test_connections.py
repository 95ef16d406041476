"""What clients without the token can do to the server of the page.

Real: server, sockets, HTTP. Substituted: the limits.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import pytest
from structlog.testing import capture_logs

from svclink_controller.dashboard.access import HEADERS
from svclink_controller.dashboard.board import Board
from svclink_controller.dashboard.connections import ConnectionLimits
from svclink_controller.dashboard.recorded import recorded_fleet
from tests.builders.values import snapshot_of

from .pages import Browser, browsing

HOST: Final = b"Host: localhost\r\n"
MARK: Final = b"aHVzaC1odXNo"


@asynccontextmanager
async def page(limits: ConnectionLimits | None = None) -> AsyncIterator[Browser]:
    board, facts = recorded_fleet(snapshot_of(), {})
    async with browsing(board, facts, limits=limits or ConnectionLimits()) as browser:
        yield browser


@asynccontextmanager
async def connection(
    browser: Browser,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*browser.address.rpartition("/")[2].split(":"))
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer_to(browser: Browser, request: bytes) -> tuple[int, dict[str, str]]:
    """The status and the headers of the answer, after which the connection ends."""
    async with connection(browser) as (reader, writer):
        writer.write(request)
        try:
            content = await reader.read()
        except ConnectionResetError:  # It ended before everything was read.
            return 0, {}
    head, _, _ = content.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return int(status.split(" ")[1]), dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /" + 9000 * b"a" + MARK + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\x1b[31m" + MARK + b"\r\n\r\n",
        b"GET /" + MARK + b" HTTP/9.9x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Bad Header: " + MARK + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Authorization: Bearer " + 800 * MARK + b"\r\n\r\n",
        b"GET /" + MARK + b" HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        bytes.fromhex("1603010200010001fc0303") + MARK + b"\r\n\r\n",
    ],
    ids=["long URL", "escape", "version", "header", "long header", "two hosts", "TLS"],
)
async def test_request_that_breaks_the_rules(
    request_text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the headers of every answer, and the log has no traceback, and none of its text.

    An image on any site can have a URL that is too long.
    """
    caplog.set_level(logging.DEBUG)
    with capture_logs() as lines:
        async with page() as browser:
            status, headers = await answer_to(browser, request_text)
    assert status == HTTPStatus.BAD_REQUEST
    assert HEADERS.items() <= headers.items()
    assert "Server" not in headers
    assert [each for each in lines if each["log_level"] != "debug"] == []
    assert MARK.decode() not in str(lines) + caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "request_text",
    [
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999\r\n\r\nabc",
        b"GET / HTTP/1.1\r\n" + HOST + b"Expect: 100-foo\r\nConnection: close\r\n\r\n",
        b"HEAD /x HTTP/1.0\r\n" + HOST + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    ],
    ids=["chunk", "endless body", "expect", "old", "star", "address"],
)
async def test_odd_request_leaves_no_traceback(
    request_text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Its answer says nothing about the server, and its connection ends."""
    with capture_logs() as lines:
        async with page() as browser:
            status, headers = await answer_to(browser, request_text)
    assert status == 0 or HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    assert status == 0 or HEADERS.items() <= headers.items()
    assert "Server" not in headers
    assert [each for each in lines if each["log_level"] != "debug"] == []
    assert caplog.text == ""


async def test_failure_of_the_program_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It is told apart from a request that cannot be understood."""

    class Broken(Board):
        @property
        def columns(self) -> list[str]:
            raise ValueError("a fault")

    _, facts = recorded_fleet(snapshot_of(), {})
    with capture_logs() as lines:
        async with browsing(Broken(), facts) as browser, connection(browser) as (reader, writer):
            head = b"GET /api/events HTTP/1.1\r\n" + HOST
            writer.write(head + b"Authorization: Bearer the-token\r\n\r\n")
            await reader.read()
    assert [each["event"] for each in lines if each["log_level"] == "error"] == ["internal error"]
    assert caplog.text == ""


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("path", ["/api/events", "/api/services/shop/web", "/static/js/app.js"])
async def test_client_that_goes_away_is_no_fault(
    path: str, turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A browser that leaves the page while it loads leaves no line in the log.

    The connection ends in one of the first turns of the event loop: before the request is read,
    before its answer begins, or between two parts of it.
    """
    head = f"GET {path} HTTP/1.1\r\nAuthorization: Bearer the-token\r\n".encode()
    with capture_logs() as lines:
        async with page() as browser:
            host, port = browser.address.rpartition("/")[2].split(":")
            with socket.create_connection((host, int(port))) as client:
                client.sendall(head + HOST + b"\r\n")
                for _ in range(turns):
                    await asyncio.sleep(0)
            assert await _is_answered(browser)
    assert [each for each in lines if each["log_level"] != "debug"] == []
    assert caplog.text == ""


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\n" + HOST])
async def test_request_that_is_never_sent(begun: bytes) -> None:
    """Its connection is closed after a while, or clients would use up all file descriptors."""
    async with (
        page(ConnectionLimits(idle_seconds=0.01)) as browser,
        connection(browser) as (reader, writer),
    ):
        writer.write(begun)
        assert await reader.read() == b""


async def test_connections_are_limited() -> None:
    """The next one is closed at once; one that ends makes room."""
    async with page(ConnectionLimits(connections=1)) as browser:
        async with connection(browser) as first:
            async with connection(browser) as (reader, _):
                assert await reader.read() == b""
            assert not first[0].at_eof()
        async with asyncio.timeout(30):
            while not await _is_answered(browser):  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)


async def _is_answered(browser: Browser) -> bool:
    async with connection(browser) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        try:
            return (await reader.read(1)) != b""
        except ConnectionResetError:
            return False
