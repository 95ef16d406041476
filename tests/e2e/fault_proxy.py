"""A proxy on loopback between the controller and an API server, which fails on command in the ways networks do.

It passes bytes, so that TLS goes from end to end, or it terminates TLS (`Interception`) and can speak HTTP itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import trustme

from .api_client import Object
from .control_planes import Cluster

T = TypeVar("T")

CHUNK: Final = 2**14
PATIENCE_SECONDS: Final = 10.0
# With SO_LINGER on and a linger time of zero, closing a socket resets its connection.
RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Passing:
    """Everything passes."""


@dataclass(frozen=True)
class Refusing:
    """Nobody listens: new connections are refused. Those that exist go on."""


@dataclass(frozen=True)
class Hanging:
    """Connections stay open and are accepted, and not a byte passes. What came in meanwhile passes afterwards."""


@dataclass(frozen=True)
class Delaying:
    """Whatever passes comes so many seconds later."""

    seconds: float


@dataclass(frozen=True)
class Throttling:
    """No more than so many bytes pass in a second, in each direction of each connection."""

    bytes_per_second: int


@dataclass(frozen=True)
class Truncating:
    """A connection ends, as if in good order, when the server has sent so many bytes on it."""

    after: int


@dataclass(frozen=True)
class Corrupting:
    """Of all that the server sends on a connection after so many bytes, one bit of every byte is flipped."""

    after: int


@dataclass(frozen=True)
class Answering:
    """The proxy itself answers requests whose line has these words, with this HTTP status and body; others pass.

    Only where it terminates TLS.
    """

    status: int
    words: str = ""
    body: bytes = b"out of order\n"
    headers: tuple[str, ...] = ("Content-Type: text/plain",)

    def concerns(self, request: bytes) -> bool:
        return self.words.encode() in request.split(b"\r\n", 1)[0]

    @property
    def message(self) -> bytes:
        start = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"
        head = "\r\n".join(
            [start, *self.headers, f"Content-Length: {len(self.body)}", "Connection: close"]
        )
        return f"{head}\r\n\r\n".encode() + self.body


@dataclass(frozen=True)
class Shortening:
    """Watches are asked for so few seconds that they end soon, in good order. Only where it terminates TLS."""

    seconds: int

    def shorten(self, request: bytes) -> bytes:
        return re.sub(rb"timeoutSeconds=\d{3}\b", b"timeoutSeconds=%03d" % self.seconds, request)


Fault: TypeAlias = (
    Passing
    | Refusing
    | Hanging
    | Delaying
    | Throttling
    | Truncating
    | Corrupting
    | Answering
    | Shortening
)
PASSING: Final = Passing()


class Interception:
    """TLS that ends at the proxy: a CA of its own for the client, and its own connection to the server.

    Args:
        upstream: For connections to the server. The client's certificate does not get that far, a token does.
    """

    def __init__(self, upstream: ssl.SSLContext) -> None:
        self.upstream = upstream
        self.authority = trustme.CA()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1").configure_cert(self.context)


class ProxyTo(Protocol):
    """Makes a proxy to a cluster; one that terminates TLS shows the server the certificate of the user, if any."""

    def __call__(
        self, cluster: Cluster, *, terminates_tls: bool = False, user: str | None = None
    ) -> FaultProxy: ...


class FaultProxy:
    """Listens on loopback in a thread of its own, until it is closed.

    Args:
        server: URL of the API server.
        interception: How TLS is terminated; None: it is not.
    """

    def __init__(self, server: str, interception: Interception | None = None) -> None:
        self._target = urlsplit(server).port
        self._interception = interception
        self._fault: Fault = PASSING
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        # Bound and not listening: keeps the port for the proxy while it refuses connections.
        self._reserve = _bound(0)
        self._port = self._reserve.getsockname()[1]
        self.url = f"https://127.0.0.1:{self._port}"
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"proxy {self._port}", daemon=True
        )
        self._thread.start()
        self._await(self._listen())

    @property
    def access(self) -> Object:
        """The fields of a kubeconfig's cluster entry that lead to the server through this proxy."""
        if self._interception is None:
            return {"server": self.url}
        authority = base64.b64encode(self._interception.authority.cert_pem.bytes()).decode()
        return {"server": self.url, "certificate-authority-data": authority}

    @property
    def terminates_tls(self) -> bool:
        return self._interception is not None

    @property
    def connections(self) -> int:
        """How many connections to it are open."""
        return len(self._serving)

    def fail(self, fault: Fault) -> None:
        """Fail like this from now on, on connections that exist, too."""
        needs_http = isinstance(fault, Answering | Shortening)
        assert not needs_http or self.terminates_tls, f"{fault} takes a proxy that terminates TLS"
        self._await(self._set(fault))

    def work(self) -> None:
        """Everything passes again."""
        self.fail(PASSING)

    def cut(self) -> None:
        """Reset every connection there is."""
        self._await(self._reset())

    def close(self) -> None:
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()
        self._reserve.close()

    # In the thread

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, sock=_bound(self._port))

    async def _set(self, fault: Fault) -> None:
        self._fault = fault
        if isinstance(fault, Hanging):
            self._flowing.clear()
        else:
            self._flowing.set()
        if isinstance(fault, Refusing) and self._listener is not None:
            self._listener.close()
            self._listener = None
        elif not isinstance(fault, Refusing) and self._listener is None:
            await self._listen()

    async def _reset(self) -> None:
        for writer in list(self._open):
            underneath = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                if underneath is not None:  # TLS that is closing has let go of it.
                    underneath.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        await self._give_up()

    async def _end(self) -> None:
        if self._listener is not None:
            self._listener.close()
        await self._give_up()
        await asyncio.sleep(0.01)  # Aborted connections are closed in the next round of the loop.

    async def _give_up(self) -> None:
        """End all connections."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        for writer in self._open:  # Of a task that was cancelled before it began.
            writer.transport.abort()
        self._open.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        _transport_of(writer).pause_reading()  # What came before TLS starts would be lost to it.
        task = self._loop.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._closing(writer):
            await self._flowing.wait()
            if self._interception is None:
                _transport_of(writer).resume_reading()
                await self._connect(reader, writer)
            else:
                reader, writer = await self._terminate_tls(writer, self._interception.context)
                async with self._closing(writer):
                    await self._connect(reader, writer)

    async def _terminate_tls(
        self, writer: asyncio.StreamWriter, context: ssl.SSLContext
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        # Not writer.start_tls, which in Python 3.11 breaks where the connection ends in the meantime.
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await self._loop.start_tls(
            _transport_of(writer), protocol, context, server_side=True
        )
        if transport is None:
            raise ConnectionResetError
        protocol.connection_made(transport)
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """To the server, and pass on what is said until one side ends it."""
        upstream = None if self._interception is None else self._interception.upstream
        from_server, to_server = await asyncio.open_connection(
            "127.0.0.1", self._target, ssl=upstream
        )
        async with self._closing(to_server):
            await _first_of(
                self._pass_requests(reader, to_server, writer),
                self._pass_answers(from_server, writer),
            )

    @contextlib.asynccontextmanager
    async def _closing(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        self._open.add(writer)
        try:
            yield
        except OSError:  # The other side is gone, or never was there: so is this one.
            pass
        finally:
            self._open.discard(writer)
            await _close(writer)

    async def _pass_requests(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while chunk := await source.read(CHUNK):
            match await self._slowed(chunk):
                case Answering() as answer if answer.concerns(chunk):
                    client.write(answer.message)
                    await client.drain()
                    await _hung_up(source)
                    return
                case Shortening() as shortening:
                    sink.write(shortening.shorten(chunk))
                case _:
                    sink.write(chunk)
            await sink.drain()

    async def _pass_answers(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sent = 0
        while chunk := await source.read(CHUNK):
            match await self._slowed(chunk):
                case Truncating(after) if sent + len(chunk) > after:
                    sink.write(chunk[: max(0, after - sent)])
                    await sink.drain()
                    return
                case Corrupting(after):
                    right = max(0, after - sent)
                    sink.write(chunk[:right] + bytes(byte ^ 0x80 for byte in chunk[right:]))
                case _:
                    sink.write(chunk)
            await sink.drain()
            sent += len(chunk)

    async def _slowed(self, chunk: bytes) -> Fault:
        """Wait as the fault of the moment asks; returns the fault that counts then."""
        match self._fault:
            case Delaying(seconds):
                await asyncio.sleep(seconds)
            case Throttling(rate):
                await asyncio.sleep(len(chunk) / rate)
            case _:
                pass
        await self._flowing.wait()
        return self._fault


def _transport_of(writer: asyncio.StreamWriter) -> asyncio.Transport:
    """That of a socket, which goes both ways."""
    return cast("asyncio.Transport", writer.transport)


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Run until one of them ends, and end the others; raises what that one raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _close(writer: asyncio.StreamWriter) -> None:
    """End a connection in good order where its peer takes part in that, and anyhow where not."""
    is_closing = (
        writer.is_closing()
    )  # So says a TLS transport, too, when only the one beneath it is being closed.
    writer.close()
    if is_closing:
        return
    try:
        async with asyncio.timeout(1):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()


async def _hung_up(source: asyncio.StreamReader) -> None:
    """Read what a client still sends: closing before it has, resets the connection and loses the answer."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            while await source.read(CHUNK):
                pass


def _bound(port: int) -> socket.socket:
    """A socket of loopback; several may be bound to one port, and those that listen get the connections."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made
