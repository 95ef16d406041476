"""A loopback proxy between the controller and an API server that fails on command, as networks do.

It forwards bytes, so that TLS is end to end, or it terminates TLS (`Interception`) and can answer
HTTP requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import trustme

from tests.builders.manifests import Manifest

from .control_planes import Cluster
from .faults import NEEDS_HTTP, PASSING, Fault, Refusing
from .forwarding import CurrentFault, Forwarding, Stream
from .kubeconfigs import encoded_pem

T = TypeVar("T")

CALL_TIMEOUT_SECONDS: Final = 10.0
# SO_LINGER with a linger time of zero: closing the socket resets its connection.
RESET: Final = struct.pack("ii", 1, 0)


class Interception:
    """TLS terminated at the proxy, with a CA of its own and a separate connection to the server.

    Args:
        upstream: TLS settings for the server. Client tokens are forwarded, client certificates are
        not.
    """

    def __init__(self, upstream: ssl.SSLContext) -> None:
        self.upstream = upstream
        self.authority = trustme.CA()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1").configure_cert(self.context)


class ProxyTo(Protocol):
    """Creates a proxy to a cluster; one that terminates TLS can have a controller's user."""

    def __call__(
        self, cluster: Cluster, *, terminates_tls: bool = False, user: str | None = None
    ) -> FaultProxy: ...


class FaultProxy:
    """Listens on loopback in its own thread until it is closed.

    Args:
        server: URL of the API server.
        interception: How to terminate TLS; None forwards bytes.
    """

    def __init__(self, server: str, interception: Interception | None = None) -> None:
        self._target = urlsplit(server).port
        self._interception = interception
        self._current = CurrentFault()
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        # Bound but not listening: keeps the port while the proxy refuses connections.
        self._reservation = _bound(0)
        self._port = self._reservation.getsockname()[1]
        self.url = f"https://127.0.0.1:{self._port}"
        self._listener: asyncio.Server | None = None
        self._is_ended = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"proxy {self._port}", daemon=True
        )
        self._thread.start()
        self._call(self._listen())

    @property
    def cluster_entry(self) -> Manifest:
        """The fields of a kubeconfig's cluster entry for a connection through this proxy."""
        if self._interception is None:
            return {"server": self.url}
        authority = encoded_pem(self._interception.authority.cert_pem)
        return {"server": self.url, "certificate-authority-data": authority}

    @property
    def terminates_tls(self) -> bool:
        return self._interception is not None

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._serving)

    def fail(self, fault: Fault) -> None:
        """Apply this fault to new and existing connections."""
        needs_http = isinstance(fault, NEEDS_HTTP)
        assert not needs_http or self.terminates_tls, f"{fault} needs a proxy that terminates TLS"
        self._call(self._set(fault))

    def heal(self) -> None:
        """Remove the fault."""
        self.fail(PASSING)

    def reset_connections(self) -> None:
        """Reset every open connection."""
        self._call(self._reset())

    def close(self) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT_SECONDS)
        self._loop.close()
        self._reservation.close()

    # In the thread

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_SECONDS)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, sock=_bound(self._port))

    async def _set(self, fault: Fault) -> None:
        self._current.set(fault)
        if isinstance(fault, Refusing) and self._listener is not None:
            self._listener.close()
            self._listener = None
        elif not isinstance(fault, Refusing) and self._listener is None:
            await self._listen()

    async def _reset(self) -> None:
        for writer in list(self._open):
            underneath = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                if underneath is not None:  # A TLS transport that closes has no socket.
                    underneath.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        await self._end_connections()

    async def _end(self) -> None:
        self._is_ended = True
        if self._listener is not None:
            self._listener.close()
        await self._end_connections()
        # asyncio takes three iterations to report an accepted connection, and one to close it.
        for _ in range(10):
            await asyncio.sleep(0)

    async def _end_connections(self) -> None:
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        for writer in self._open:  # Their task was cancelled before it started.
            writer.transport.abort()
        self._open.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_ended:  # It was accepted before the listener was closed.
            writer.transport.abort()
            return
        self._open.add(writer)
        _transport_of(
            writer
        ).pause_reading()  # TLS would miss bytes that are read before it starts.
        task = self._loop.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._closing(writer):
            await self._current.until_flowing()
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
        # Not writer.start_tls, which fails in Python 3.11 when the connection is closed meanwhile.
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
        """Connect to the server, and forward in both directions until one side closes."""
        upstream = None if self._interception is None else self._interception.upstream
        from_server, to_server = await asyncio.open_connection(
            "127.0.0.1", self._target, ssl=upstream
        )
        async with self._closing(to_server):
            client, server = Stream(reader, writer), Stream(from_server, to_server)
            await Forwarding(self._current, client, server).run()

    @contextlib.asynccontextmanager
    async def _closing(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        self._open.add(writer)
        try:
            yield
        except OSError:  # The other side closed or refused the connection, so close this side.
            pass
        finally:
            self._open.discard(writer)
            await _close(writer)


def _transport_of(writer: asyncio.StreamWriter) -> asyncio.Transport:
    """The transport of a socket, which is bidirectional."""
    return cast("asyncio.Transport", writer.transport)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection cleanly if the peer cooperates within a second, or else abort it."""
    # A TLS transport also reports this while only its underlying transport is closing.
    is_closing = writer.is_closing()
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


def _bound(port: int) -> socket.socket:
    """A loopback socket; of several on one port, the one that listens gets the connections."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
