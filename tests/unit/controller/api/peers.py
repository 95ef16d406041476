"""Servers that are not API servers: ports, proxies and handlers that behave as a test asks.

Real: sockets, TLS and HTTP. Substituted: the API server.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from tests.unit.controller.http_server import AUTHORITY
from tests.unit.controller.responses import answer


async def say_yes(_: web.BaseRequest) -> web.StreamResponse:
    return answer({"said": "yes"})


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, list[str]]]:
    """A port that no request should reach, and the peers that connected."""
    peers: list[str] = []

    def record(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(str(writer.get_extra_info("peername")))
        writer.close()

    server = await asyncio.start_server(record, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], peers


@asynccontextmanager
async def speaking_plain_http() -> AsyncIterator[str]:
    """The https URL of a port that answers everything with an HTTP response without TLS."""

    async def answer_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer_plainly, "127.0.0.1", 0)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def closed_port() -> int:
    async with listening() as (port, _):
        return port


@asynccontextmanager
async def proxying() -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP CONNECT proxy, and the first lines of the requests it received.

    It finds every name on this machine.
    """
    asked: list[str] = []

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
        target.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.splitlines()[0])
        port = head.split()[1].rpartition(":")[2]
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(pump(reader, upstream_writer), pump(upstream_reader, writer))

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def redirecting(
    target: str, status: int = 307
) -> Callable[[web.BaseRequest], Coroutine[None, None, web.Response]]:
    async def redirect(request: web.BaseRequest) -> web.Response:
        if request.path == "/there":
            return answer({"said": "there"})
        return web.Response(status=status, headers={"Location": target})

    return redirect


async def never(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def garble(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=500, text="no")


@asynccontextmanager
async def sending(*parts: bytes) -> AsyncIterator[str]:
    """A server that sends these bytes one after the other, whether or not they are HTTP."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(send, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
