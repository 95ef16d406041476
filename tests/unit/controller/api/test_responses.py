"""Responses are read within limits, and rejections become errors with their Status.

Real: sockets, TLS, HTTP and the client. Substituted: the API server, by handlers.
"""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, Final, cast

import aiohttp
import pytest
from aiohttp import web

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, BudgetExceededError, TransportError
from svclink_controller.api.limits import Limits
from svclink_controller.api.responses import TURN_BYTES, LineBuffer, read_body
from svclink_controller.api.spending import Account, Reading
from svclink_controller.loop_turns import LoopShare
from svclink_controller.wire.messages import MAX_RETRY_AFTER
from svclink_core.budget import Budget
from tests.unit.controller.api.peers import sending
from tests.unit.controller.http_server import connected, read_lines, serving
from tests.unit.controller.responses import refusal, stream

LIMITS: Final = Limits(response_bytes=3 * 2**20, watch_line_bytes=2 * 2**20)
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n"


async def test_api_error_carries_the_status() -> None:
    """An error response becomes an ApiError with code, reason, message and causes."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return refusal(403, "Forbidden", "namespace is gone", cause="NamespaceTerminating")

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    status = caught.value.status
    assert (status.code, status.reason, status.message) == (403, "Forbidden", "namespace is gone")
    assert status.causes == ("NamespaceTerminating",)


async def test_retry_after_counts_for_a_text_response() -> None:
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
    """A server that asks for a delay of a day, or forever, is asked again earlier."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": header})

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    assert caught.value.status.retry_after == MAX_RETRY_AFTER


@pytest.mark.parametrize("header", ["", "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "\u0663"])
async def test_retry_after_that_is_not_a_number_is_ignored(header: str) -> None:
    """A date, a word or nothing in Retry-After leaves the Status unchanged."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        response = refusal(429, retry_after=3)
        response.headers["Retry-After"] = header
        return response

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    assert caught.value.status.retry_after == 3


async def test_http_code_wins_over_the_code_in_the_body() -> None:
    """If the HTTP code is 500 and the code in the body is 404, the error is a 500."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        response = refusal(404, "NotFound")
        response.set_status(500)
        return response

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/version")
    assert caught.value.status.code == 500


async def test_rejected_watch_is_an_error() -> None:
    """The body of an error response is never read as watch events."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=502, text="<html>\n<body>\nBad gateway\n")

    async with serving(refuse) as server, connected(server.url) as client:
        with pytest.raises(ApiError, match=r"502 Bad Gateway: <html> <body> Bad gateway"):
            await read_lines(client)


async def test_body_over_the_limit_is_an_error() -> None:
    """Reading an endless response stops at the limit."""

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(request, *[bytes(2**20)] * (LIMITS.response_bytes // 2**20 + 1))

    async with serving(flood) as server, connected(server.url, LIMITS) as client:
        with pytest.raises(TransportError, match=f"larger than {LIMITS.response_bytes} bytes"):
            await client.get("/api/v1/services")


async def test_limit_counts_decompressed_bytes() -> None:
    """A small gzip response that inflates beyond the limit is an error."""
    bomb = gzip.compress(bytes(LIMITS.response_bytes + 2**20), compresslevel=1)

    async def explode(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with serving(explode) as server, connected(server.url, LIMITS) as client:
        with pytest.raises(TransportError, match=f"larger than {LIMITS.response_bytes} bytes"):
            await client.get("/api/v1/services")


async def test_error_response_over_the_limit_is_an_error() -> None:
    """The limit holds for the body of an error response as well."""

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        for _ in range(LIMITS.response_bytes // 2**20 + 1):
            await response.write(bytes(2**20))
        return response

    async with serving(flood) as server, connected(server.url, LIMITS) as client:
        with pytest.raises(TransportError, match=f"larger than {LIMITS.response_bytes} bytes"):
            await client.get("/api/v1/services")


async def test_watch_line_over_the_limit_is_an_error() -> None:
    """Reading an endless watch event stops at the limit."""

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(
            request, *[b"a" * 2**20] * (LIMITS.watch_line_bytes // 2**20 + 1), stay=True
        )

    async with serving(flood) as server, connected(server.url, LIMITS) as client:
        with pytest.raises(TransportError, match=f"larger than {LIMITS.watch_line_bytes} bytes"):
            await read_lines(client)


def test_line_in_small_pieces_is_copied_once() -> None:
    """A small piece of a long line takes memory for itself alone, however long the line is."""
    buffer = LineBuffer(4 * 2**20, Reading())
    buffer.feed(bytes(3 * 2**20))
    buffer.feed(b"a")
    tracemalloc.start()
    try:
        for _ in range(1000):
            assert buffer.feed(b"a") == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    assert buffer.feed(b"\n") == [bytes(3 * 2**20) + b"a" * 1001]


def test_unfinished_line_counts_as_memory() -> None:
    """Many watches that never finish a line together take no more than the budget."""
    account = Account(Budget(memory=10 * 2**20))
    first, second = (LineBuffer(4 * 2**20, Reading(account)) for _ in range(2))
    first.feed(bytes(3 * 2**20))
    with pytest.raises(BudgetExceededError, match="more than 10 MiB of memory"):
        second.feed(bytes(3 * 2**20))
    second.clear()
    assert account.reading_bytes == 6 * 2**20
    first.feed(b"a\nb")
    assert account.reading_bytes == 2


async def test_body_counts_as_memory_while_it_is_read() -> None:
    """Large responses to requests at the same time together take no more than the budget."""
    account = Account(Budget(memory=2**20))

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(request, *[bytes(2**18)] * 8)

    async with (
        serving(flood) as server,
        connected(server.url, account=account) as client,
    ):
        with pytest.raises(BudgetExceededError, match="more than 1 MiB of memory"):
            await client.get("/api/v1/services")
    assert account.reading_bytes == 0


async def test_large_body_is_read_in_turns() -> None:
    """Other tasks run in between, also if the whole body has been received already."""
    chunks, turns = [bytes(TURN_BYTES // 2)] * 12, 0

    class Received:
        """The content of a response."""

        def at_eof(self) -> bool:
            return not chunks

        def read_nowait(self) -> bytes:
            return chunks.pop()

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    response = cast("aiohttp.ClientResponse", SimpleNamespace(content=Received()))
    counting = asyncio.create_task(count())
    body = await read_body(response, Limits(), Reading())
    counting.cancel()
    assert len(body) == 6 * TURN_BYTES
    assert turns >= 3


async def test_lines_of_one_chunk_are_read_in_turns() -> None:
    """However many events arrive together, other tasks run in between."""
    account = Account(loop=LoopShare(turn_seconds=0))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def send(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(request, b"{}\n" * 100)

    async with serving(send) as server, connected(server.url, account=account) as client:
        counting = asyncio.create_task(count())
        async with aclosing(client.lines("/watch", {})) as lines:
            seen = [turns async for _ in lines]
        counting.cancel()
    assert len(set(seen)) == len(seen) == 100


async def test_lines_are_joined_from_chunks() -> None:
    """Lines come out whole wherever the chunks end; empty and unfinished ones are left out."""

    async def cut(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(request, b'{"a', b'":1}\n{"b":2}\n\n', b"\n", b'{"c":3}', b'\n{"unfin')

    async with serving(cut) as server, connected(server.url) as client:
        assert await read_lines(client) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


async def test_broken_gzip_is_an_error() -> None:
    """A body that cannot be decompressed is a TransportError."""

    async def lie(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"this is not gzip", headers={"Content-Encoding": "gzip"})

    async with serving(lie) as server, connected(server.url) as client:
        with pytest.raises(TransportError):
            await client.get("/version")


@pytest.mark.parametrize(
    "read", [read_lines, lambda client: client.get("/version")], ids=["watch", "get"]
)
async def test_response_that_stops_being_http_is_an_error(
    read: Callable[[Client], Coroutine[Any, Any, object]],
) -> None:
    """A malformed chunk ends a watch and a list; aiohttp alone would wait forever."""
    async with (
        sending(CHUNKED, b"not a chunk\r\n") as url,
        connected(url, Limits(stall_check_seconds=0.1)) as client,
        asyncio.timeout(10),
    ):
        with pytest.raises(TransportError):
            await read(client)


async def test_quiet_watch_survives_the_stall_check() -> None:
    """Checking an open connection while nothing arrives does not disturb it."""
    async with (
        sending(CHUNKED, b"", b"", b"3\r\n[]\n\r\n0\r\n\r\n") as url,
        connected(url, Limits(stall_check_seconds=0.01)) as client,
    ):
        assert await read_lines(client) == [b"{}", b"[]"]
