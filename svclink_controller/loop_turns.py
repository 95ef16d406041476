"""Splits long work into short turns, so that other tasks run in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

TURN_SECONDS: Final = 0.01
"""The length of one turn. Lease renewals and health probes wait no longer than one turn."""

_TURNS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]] = WeakKeyDictionary()
"""One turn at a time in each event loop, however many clusters are listed at once."""


async def next_turn() -> None:
    """Let other tasks run first. Each caller that waits here gets a turn of its own."""
    async with _TURNS.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)


async def in_turns(values: Iterable[T], turn_seconds: float = TURN_SECONDS) -> list[T]:
    """Collect the values of a slow iterable, and let other tasks run in between."""
    loop = asyncio.get_running_loop()
    computed: list[T] = []
    rest = iter(values)
    while True:
        async with _TURNS.setdefault(loop, asyncio.Lock()):
            end = loop.time() + turn_seconds
            for value in rest:
                computed.append(value)
                if loop.time() >= end:
                    break
            else:
                return computed
            await asyncio.sleep(0)
