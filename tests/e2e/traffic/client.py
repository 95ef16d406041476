"""The load generator: requests at a fixed rate, each with a connection of its own.

Run in the network namespace of the node. Its orders: `{"begin": {"url": ..., "rate": 200, "count": 900, "timeout": 5}}`
is answered with the number of the load, `{"finish": number}` with its results when all are there, `{"stop": number}`
with those of what was sent so far. A result says when the request began (POSIX seconds), how long it took, from which
port, who answered, and what went wrong while it was doing what.

A connection of its own has a port of its own: the next of `LOCAL_PORTS`, or of the `ports` in the order. Were it
chosen by Linux, it might be that of one that was given up, and to the connection tracking of the node there would be no
new connection: it would go where the other went, whatever the rules say by then.

It keeps to its rate also when answers are late, up to a bound: on a machine that is too busy for it, it sends less, and
never catches up with a burst, which no server would be there for either.
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
# Those that Linux chooses from. At 200 a second none is used again while a connection without an answer is tracked.
LOCAL_PORTS = range(32_768, 61_000)


@dataclass
class Progress:
    """How far a request has come, and from which port."""

    stage: str = "connecting"
    port: int | None = None


_progress: ContextVar[Progress] = ContextVar("progress")


class Load:
    """One load, running since it was made."""

    def __init__(
        self, url: str, rate: float, count: int, timeout: float, ports: Iterator[int]
    ) -> None:
        self._url = url
        self._ports = ports
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._told_to_stop = asyncio.Event()
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)
        self._sending = asyncio.create_task(self._send(1 / rate, count))

    async def finish(self) -> list[dict[str, Any]]:
        """What became of each request."""
        return await self._sending

    async def stop(self) -> list[dict[str, Any]]:
        """Send no more; what became of those that were sent."""
        self._told_to_stop.set()
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
            sent: list[asyncio.Task[dict[str, Any]]] = []
            due = time.monotonic()
            while len(sent) < count and not await self._is_told_to_stop(due):
                await self._in_flight.acquire()
                sent.append(group.create_task(self._request(session)))
                due = max(due + pause, time.monotonic() - CATCH_UP_SECONDS)
        return [task.result() for task in sent]

    async def _is_told_to_stop(self, due: float) -> bool:
        """Wait until it is time for the next request, or until there is to be none."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told_to_stop.wait(), max(0.0, due - time.monotonic()))
        return self._told_to_stop.is_set()

    async def _request(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        progress = Progress()
        _progress.set(progress)
        began = time.time()
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
            "at": began,
            "seconds": time.time() - began,
            "port": progress.port,
            "by": answer,
            "error": error,
        }

    def _socket_of_next_port(self, address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(*address[:3])
        _progress.get().port = bind_to_first(made, self._ports)
        return made


def bind_to_first(unbound: socket.socket, ports: Iterable[int]) -> int:
    """Give the socket the first of these ports that is free, and return it."""
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
    """Keeps how far a request has come: resolving the name, connecting, or waiting for the answer."""
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
        self._loads: list[Load] = []
        self._ports = itertools.cycle(LOCAL_PORTS)

    async def follow(self, order: dict[str, Any]) -> object:
        """Begin a load, or end one."""
        if "begin" in order:
            ports = iter(order["begin"].pop("ports", self._ports))
            self._loads.append(Load(**order["begin"], ports=ports))
            return len(self._loads) - 1
        if "finish" in order:
            return await self._loads[order["finish"]].finish()
        return await self._loads[order["stop"]].stop()


if __name__ == "__main__":
    asyncio.run(follow(Loads().follow))
