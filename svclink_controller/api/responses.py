"""Reads responses of API servers within limits: the servers are not trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import aiohttp

from svclink_controller.api.errors import TooLargeError, TransportError
from svclink_controller.api.limits import Limits
from svclink_controller.wire.messages import MAX_RETRY_AFTER, Status
from svclink_controller.wire.reading import decode_status


async def read_body(response: aiohttp.ClientResponse, limits: Limits) -> bytes:
    """The decompressed body; a small response can inflate to a very large one.

    Raises:
        TooLargeError: The body exceeds `limits.response_bytes`.
        TransportError: The connection broke.
    """
    chunks, size = [], 0
    while chunk := await _next_chunk(response, limits):
        chunks.append(chunk)
        size += len(chunk)
        if size > limits.response_bytes:
            raise TooLargeError(
                f"the server sent a response of more than {limits.response_bytes} bytes"
            )
    return b"".join(chunks)


async def read_lines(
    response: aiohttp.ClientResponse, limits: Limits
) -> AsyncGenerator[bytes, None]:
    """The non-empty lines of a body as they arrive; an unfinished last line is left out.

    Raises:
        TooLargeError: A line exceeds `limits.watch_line_bytes`.
        TransportError: The connection broke.
    """
    rest = b""
    while chunk := await _next_chunk(response, limits):
        *complete, rest = (rest + chunk).split(b"\n")
        if len(rest) > limits.watch_line_bytes:
            raise TooLargeError(
                f"the server sent a watch event of more than {limits.watch_line_bytes} bytes"
            )
        for line in complete:
            if line:
                yield line


async def read_status(response: aiohttp.ClientResponse, limits: Limits) -> Status:
    """The Status of an error response; a `Retry-After` header counts even if the body is text."""
    body = await read_body(response, limits)
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
