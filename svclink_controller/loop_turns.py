"""Long work in short turns, so that nobody who shares the event loop waits for the end of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

TURN_SECONDS: Final = 0.01
"""How long one turn takes: a lease and a health answer wait no longer than one turn and whatever else is due."""

_TURNS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]] = WeakKeyDictionary()
"""One turn at a time in one event loop: a hundred clusters that are listed at once would else take a hundred turns."""


async def next_turn() -> None:
    """Wait for a turn of one's own: whoever else is due goes first, and no two that waited here go in the same one."""
    async with _TURNS.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)


async def in_turns(values: Iterable[T]) -> list[T]:
    """The values of an iterable that computes them, which takes long; others get their turn in between."""
    loop = asyncio.get_running_loop()
    computed: list[T] = []
    rest = iter(values)
    while True:
        async with _TURNS.setdefault(loop, asyncio.Lock()):
            over = loop.time() + TURN_SECONDS
            for value in rest:
                computed.append(value)
                if loop.time() >= over:
                    break
            else:
                return computed
            await asyncio.sleep(0)
