"""One connection through a `FaultProxy`: data in both directions, as the current fault allows."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from .faults import (
    PASSING,
    Answering,
    Corrupting,
    CuttingIdle,
    Delaying,
    Fault,
    Flooding,
    Hanging,
    Shortening,
    Silencing,
    Throttling,
    Truncating,
    is_watch,
)

CHUNK: Final = 2**14
IDLE_CHECK_SECONDS: Final = 0.1
REQUEST_LINE: Final = re.compile(rb"[A-Z]+ [^\r\n]+ HTTP/1\.1")
# Whole events in whole frames of a chunked response.
WHOLE_EVENTS: Final = re.compile(rb"[0-9a-f]+\r\n\{.*\}\n\r\n", re.DOTALL)


class Stream(NamedTuple):
    """A connection to one side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class CurrentFault:
    """The fault of a proxy, which all its connections follow."""

    def __init__(self) -> None:
        self.fault: Fault = PASSING
        self._changed = asyncio.Event()

    def set(self, fault: Fault) -> None:
        self.fault = fault
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, applies: Callable[[Fault], bool]) -> None:
        """Return as soon as this applies to the current fault."""
        while not applies(self.fault):
            await self._changed.wait()

    async def until_flowing(self) -> None:
        await self.until(lambda fault: not isinstance(fault, Hanging))


@dataclass
class Forwarding:
    """Forwards what the client and the server of one connection send."""

    current: CurrentFault
    client: Stream
    server: Stream
    _request_line: bytes = b""
    _used: float = 0

    async def run(self) -> None:
        """Forward in both directions until one side closes, or the fault closes both."""
        self._used = asyncio.get_running_loop().time()
        await _first_of(self._forward_requests(), self._forward_responses(), self._until_idle())

    async def _forward_requests(self) -> None:
        while chunk := await self.client.reader.read(CHUNK):
            if (started := REQUEST_LINE.match(chunk)) is not None:
                self._request_line = started[0]
            match await self._slowed(chunk):
                case Answering() as answer if answer.matches(chunk):
                    await _send(self.client, answer.response)
                    await _drain_until_closed(self.client.reader)
                    return
                case Shortening() as shortening:
                    await _send(self.server, shortening.shorten(chunk))
                case _:
                    await _send(self.server, chunk)

    async def _forward_responses(self) -> None:
        sent = 0
        while chunk := await self.server.reader.read(CHUNK):
            match await self._slowed(chunk):
                case Truncating(after) if sent + len(chunk) > after:
                    await _send(self.client, chunk[: max(0, after - sent)])
                    return
                case Corrupting(after):
                    intact = max(0, after - sent)
                    flipped = bytes(byte ^ 0x80 for byte in chunk[intact:])
                    await _send(self.client, chunk[:intact] + flipped)
                case Silencing() as silence if silence.matches(self._request_line):
                    await self._hold_back(chunk, silence)
                case Flooding(copies) if self._are_events(chunk):
                    for _ in range(copies):
                        await _send(self.client, chunk)
                case _:
                    await _send(self.client, chunk)
            sent += len(chunk)

    async def _slowed(self, chunk: bytes) -> Fault:
        """Wait as the current fault requires; returns the fault that applies afterwards."""
        self._used = asyncio.get_running_loop().time()
        match self.current.fault:
            case Delaying(seconds):
                await asyncio.sleep(seconds)
            case Throttling(rate):
                await asyncio.sleep(len(chunk) / rate)
            case _:
                pass
        await self.current.until_flowing()
        return self.current.fault

    async def _hold_back(self, chunk: bytes, silence: Silencing) -> None:
        """Send the head of a response, and hold back the events until there is no silence."""
        head, end, events = chunk.partition(b"\r\n\r\n")
        if not chunk.startswith(b"HTTP/1.1 "):
            head, end, events = b"", b"", chunk
        await _send(self.client, head + end)
        await self.current.until(lambda fault: fault != silence)
        await _send(self.client, events)

    def _are_events(self, chunk: bytes) -> bool:
        return is_watch(self._request_line) and WHOLE_EVENTS.fullmatch(chunk) is not None

    async def _until_idle(self) -> None:
        """Return when the fault requires that this connection is closed, because it is idle."""
        while True:
            await self.current.until(lambda fault: isinstance(fault, CuttingIdle))
            await asyncio.sleep(IDLE_CHECK_SECONDS)
            idle = asyncio.get_running_loop().time() - self._used
            if isinstance(fault := self.current.fault, CuttingIdle) and idle >= fault.seconds:
                return


async def _send(stream: Stream, data: bytes) -> None:
    stream.writer.write(data)
    await stream.writer.drain()


async def _first_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run until one of them ends, and cancel the others; raises the exception of that one."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _drain_until_closed(source: asyncio.StreamReader) -> None:
    """Read until the client closes, because closing with unread data loses the response."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            while await source.read(CHUNK):
                pass
