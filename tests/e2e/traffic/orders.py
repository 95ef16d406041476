"""What the programs in the namespaces have in common: orders as lines of JSON, each answered with one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any


async def follow(orders: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
    """Do what the lines of the standard input say, one after the other, until it ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        sys.stdout.write(json.dumps(await orders(json.loads(line))) + "\n")
        sys.stdout.flush()
