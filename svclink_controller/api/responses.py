"""Reads responses of API servers within limits: the servers are not trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import aiohttp
from attrs import define, field

from svclink_controller.api.errors import TooLargeError, TransportError
from svclink_controller.api.limits import Limits
from svclink_controller.api.spending import Reading
from svclink_controller.loop_turns import next_turn
from svclink_controller.wire.messages import MAX_RETRY_AFTER, Status
from svclink_controller.wire.reading import decode_status

TURN_BYTES: Final = 2**18
"""Bytes of a body that are read in one turn. To decompress them takes 0.1 ms."""


async def read_body(response: aiohttp.ClientResponse, limits: Limits, reading: Reading) -> bytes:
    """The decompressed body; a small response can inflate to a very large one.

    Between its parts other tasks run, also if all of them were received at once.

    Raises:
        TooLargeError: The body exceeds `limits.response_bytes`.
        BudgetExceededError: The cluster needs too much memory.
        TransportError: The connection broke.
    """
    chunks, size, turn = [], 0, 0
    try:
        while chunk := await _next_chunk(response, limits):
            chunks.append(chunk)
            size += len(chunk)
            reading.grow(len(chunk))
            if size > limits.response_bytes:
                raise TooLargeError(
                    f"the server sent a response larger than {limits.response_bytes} bytes"
                )
            turn += len(chunk)
            if turn > TURN_BYTES:
                await next_turn()
                turn = 0
        return b"".join(chunks)
    finally:
        reading.shrink(size)


async def read_lines(
    response: aiohttp.ClientResponse, limits: Limits, reading: Reading
) -> AsyncGenerator[bytes, None]:
    """The non-empty lines of a body as they arrive; an unfinished last line is left out.

    Between two lines other tasks run when the cluster has used up its turn. The caller must not
    wait for anything while it works on a line, because that counts as work.

    Raises:
        TooLargeError: A line exceeds `limits.watch_line_bytes`.
        BudgetExceededError: The cluster needs too much memory.
        TransportError: The connection broke.
    """
    clock, share = asyncio.get_running_loop().time, reading.account.loop
    buffer = LineBuffer(limits.watch_line_bytes, reading)
    try:
        while chunk := await _next_chunk(response, limits):
            for line in buffer.feed(chunk):
                if share.is_turn_over:
                    await share.turn()
                started = clock()
                if line:
                    yield line
                share.spend(clock() - started)
    finally:
        buffer.clear()


@define
class LineBuffer:
    """Cuts chunks into lines. A line that arrives in small pieces is copied once, not each time.

    Args:
        limit: The longest line, in bytes.
        reading: Counts the memory of an unfinished line.
    """

    limit: int
    reading: Reading
    _rest: bytearray = field(factory=bytearray)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that a chunk completes."""
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self.clear()
        self._rest += rest
        self.reading.grow(2 * len(rest))  # It is copied when it ends.
        if len(self._rest) > self.limit:
            raise TooLargeError(f"the server sent a watch event larger than {self.limit} bytes")
        return lines

    def clear(self) -> None:
        """Drop the unfinished line."""
        self.reading.shrink(2 * len(self._rest))
        self._rest.clear()


async def read_status(response: aiohttp.ClientResponse, limits: Limits, reading: Reading) -> Status:
    """The Status of an error response; a `Retry-After` header counts even if the body is text."""
    body = await read_body(response, limits, reading)
    status = decode_status(body, response.status, response.reason or "")
    header = response.headers.get("Retry-After", "")
    is_number = header.isascii() and header.isdigit()
    retry_after = min(float(header), MAX_RETRY_AFTER) if is_number else status.retry_after
    return Status(response.status, status.reason, status.message, status.causes, retry_after)


async def _next_chunk(response: aiohttp.ClientResponse, limits: Limits) -> bytes:
    """The next bytes of a body, empty at its end.

    If a malformed chunk makes aiohttp 3.14 close a connection, it drops the waiting reader, and
    its own time-outs end with the connection: the reader would wait forever. Hence the check.
    """
    if response.content.at_eof():
        return b""
    if buffered := response.content.read_nowait():
        return buffered
    while True:
        check = asyncio.timeout(limits.stall_check_seconds)
        try:
            async with check:
                return await response.content.readany()
        except TimeoutError as error:
            if not check.expired():
                raise
            if response.connection is None or response.connection.transport is None:
                raise TransportError("the server sent a response that is not HTTP") from error
