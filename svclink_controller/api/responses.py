"""Reads what API servers answer, within limits: they are not trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import aiohttp

from svclink_controller.api.errors import TooLargeError, TransportError
from svclink_controller.wire.messages import MAX_RETRY_AFTER, Status
from svclink_controller.wire.reading import decode_status

MAX_RESPONSE_BYTES: Final = 32 * 2**20
"""Bytes of one answer, unpacked: a page of 250 EndpointSlices of the usual 100 endpoints is about 9 MB.

Where a page is larger, the list is asked for in smaller ones. One of this size is taken apart in 45 ms.
"""

MAX_LINE: Final = 4 * 2**20
"""Bytes of one watch event: etcd holds objects of at most 1.5 MiB."""

CHECK_SECONDS: Final = 5
"""After so long without a byte of an answer, its connection is looked at."""


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """The body, within limits: a small answer can inflate to a very large one."""
    chunks, size = [], 0
    while chunk := await _next_chunk(response):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_RESPONSE_BYTES:
            raise TooLargeError(
                f"the server sent an answer of more than {MAX_RESPONSE_BYTES} bytes"
            )
    return b"".join(chunks)


async def lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """The lines of a body, without those that are empty."""
    rest = b""
    while chunk := await _next_chunk(response):
        *complete, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE:
            raise TransportError(f"the server sent a watch event of more than {MAX_LINE} bytes")
        for line in complete:
            if line:
                yield line


async def _next_chunk(response: aiohttp.ClientResponse) -> bytes:
    """The next bytes of a body, none at its end.

    Where a malformed chunk makes aiohttp 3.14 close a connection, it forgets who reads from it, and its own timeouts
    end with the connection, too. Nobody would ever hear of it.
    """
    if response.content.at_eof():
        return b""
    if there := response.content.read_nowait():
        return there
    while True:
        check = asyncio.timeout(CHECK_SECONDS)
        try:
            async with check:
                return await response.content.readany()
        except TimeoutError as error:
            if not check.expired():
                raise
            if response.connection is None or response.connection.transport is None:
                raise TransportError("the server sent an answer that is not HTTP") from error


async def refusal(response: aiohttp.ClientResponse) -> Status:
    """The Status of an error answer; `Retry-After` counts even where the body is no Status."""
    status = decode_status(await read_body(response), response.status, response.reason or "")
    header = response.headers.get("Retry-After", "")
    is_number = header.isascii() and header.isdigit()
    retry_after = min(float(header), MAX_RETRY_AFTER) if is_number else status.retry_after
    return Status(response.status, status.reason, status.message, status.causes, retry_after)
