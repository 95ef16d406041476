"""The load generator: requests at a fixed rate, each on its own connection.

It runs in the network namespace of the node, and takes orders:

- `{"begin": {"url": ..., "rate": 200, "count": 900, "timeout": 5}}` returns the number of a load
- `{"sent": number}` returns how many of its requests were sent
- `{"finish": number}` returns all results when the last request is done
- `{"stop": number}` sends no more requests and returns the results

A result has the start of the request (POSIX seconds), its duration, its port, the responder, and
the error with the stage in which it occurred.

Each connection uses the next of `LOCAL_PORTS`, or of the `ports` in the order. If Linux chose the
port, it could be the port of an abandoned connection. Connection tracking on the node would then
take the new connection for the old one, and send it to the same Pod regardless of the current
rules.

The rate does not depend on response times, up to a limit. On an overloaded machine the generator
sends less, and never catches up in a burst.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp

from .orders import follow

IN_FLIGHT = 200
CATCH_UP_SECONDS = 0.05
# The usual range of Linux. At 200 requests a second, no port is reused while an unanswered
# connection is tracked.
LOCAL_PORTS = range(32_768, 61_000)


@dataclass
class Progress:
    """The stage and the port of a request."""

    stage: str = "connecting"
    port: int | None = None


_progress: ContextVar[Progress] = ContextVar("progress")


class RunningLoad:
    """Requests to one URL, sent from its creation on."""

    def __init__(
        self, url: str, rate: float, count: int, timeout: float, ports: Iterator[int]
    ) -> None:
        self._url = url
        self._ports = ports
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self.sent = 0
        self._stop = asyncio.Event()
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)
        self._sending = asyncio.create_task(self._send(1 / rate, count))

    async def finish(self) -> list[dict[str, Any]]:
        """Wait for the last request; return the results."""
        return await self._sending

    async def stop(self) -> list[dict[str, Any]]:
        """Send no more requests; return the results of those that were sent."""
        self._stop.set()
        return await self._sending

    async def _send(self, pause: float, count: int) -> list[dict[str, Any]]:
        connector = aiohttp.TCPConnector(
            force_close=True, use_dns_cache=False, limit=0, socket_factory=self._socket_of_next_port
        )
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, trace_configs=[stages()]
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            requests: list[asyncio.Task[dict[str, Any]]] = []
            due = time.monotonic()
            while self.sent < count and not await self._stops_before(due):
                await self._in_flight.acquire()
                self.sent += 1
                requests.append(group.create_task(self._request(session)))
                due = max(due + pause, time.monotonic() - CATCH_UP_SECONDS)
        return [task.result() for task in requests]

    async def _stops_before(self, due: float) -> bool:
        """Wait until the next request is due; return whether the load was stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), max(0.0, due - time.monotonic()))
        return self._stop.is_set()

    async def _request(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        progress = Progress()
        _progress.set(progress)
        start = time.time()
        answer, error = None, None
        try:
            async with session.get(self._url) as response:
                answer = await response.text()
                if response.status != 200:
                    answer, error = None, f"HTTP {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            error = f"{type(problem).__name__} while {progress.stage}"
        finally:
            self._in_flight.release()
        return {
            "at": start,
            "seconds": time.time() - start,
            "port": progress.port,
            "by": answer,
            "error": error,
        }

    def _socket_of_next_port(self, address: tuple[Any, ...]) -> socket.socket:
        unbound = socket.socket(*address[:3])
        _progress.get().port = bind_to_first(unbound, self._ports)
        return unbound


def bind_to_first(unbound: socket.socket, ports: Iterable[int]) -> int:
    """Bind the socket to the first of these ports that is free, and return the port."""
    for port in ports:
        try:
            unbound.bind(("", port))
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise
        else:
            return port
    raise OSError(errno.EADDRINUSE, "none of the ports is free")


def stages() -> aiohttp.TraceConfig:
    """Track the stage of each request: resolving, connecting or waiting."""
    trace = aiohttp.TraceConfig()

    def enter(stage: str) -> Callable[..., Awaitable[None]]:
        async def entered(*_: object) -> None:
            _progress.get().stage = stage

        return entered

    trace.on_dns_resolvehost_start.append(enter("resolving"))
    trace.on_dns_resolvehost_end.append(enter("connecting"))
    trace.on_connection_create_end.append(enter("waiting"))
    return trace


class Loads:
    """All loads of this program, by number."""

    def __init__(self) -> None:
        self._loads: list[RunningLoad] = []
        self._ports = itertools.cycle(LOCAL_PORTS)

    async def follow(self, order: dict[str, Any]) -> object:
        """Carry out one order."""
        if "begin" in order:
            ports = iter(order["begin"].pop("ports", self._ports))
            self._loads.append(RunningLoad(**order["begin"], ports=ports))
            return len(self._loads) - 1
        if "sent" in order:
            return self._loads[order["sent"]].sent
        if "finish" in order:
            return await self._loads[order["finish"]].finish()
        return await self._loads[order["stop"]].stop()


if __name__ == "__main__":
    asyncio.run(follow(Loads().follow))
