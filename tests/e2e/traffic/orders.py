"""The protocol of the programs in the namespaces: each order and each result is a line of JSON.

Both carry the number of the order. A test that is stopped while it waits leaves a result that
nothing reads, and the next test must not take it for its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any


async def follow(orders: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
    """Carry out the orders on standard input one after the other, until it is closed."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        number, order = json.loads(line)
        sys.stdout.write(json.dumps([number, await orders(order)]) + "\n")
        sys.stdout.flush()
