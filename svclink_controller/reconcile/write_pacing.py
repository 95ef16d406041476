"""How fast the main cluster may be written to: as fast as it can, unless it or an administrator says otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from attrs import define, field

from svclink_core.meta_v1 import NamespacedName

REST_SECONDS: Final = 0.2
"""Time between two writes of one object: what changes all the time is written five times a second."""


@define
class WritePace:
    """Says when a write may be sent. Nothing waits here: what may not be sent is planned again later.

    Args:
        per_second: Writes a second at most, or None.
    """

    per_second: float | None = None
    _paused_until: float = 0
    _next_turn: float = 0
    _writing: set[NamespacedName] = field(factory=set)
    _resting_until: dict[NamespacedName, float] = field(factory=dict)

    def delay_of(self, key: NamespacedName) -> float:
        """Seconds until an object may be written; 0 is now."""
        if key in self._writing:
            return REST_SECONDS
        now = asyncio.get_running_loop().time()
        return max(self._paused_until - now, self._resting_until.get(key, 0) - now, 0)

    def pause(self, seconds: float) -> None:
        """The API server wants to be left alone."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)

    async def take_turn(self) -> None:
        """Wait as long as the rate demands."""
        if self.per_second is not None:
            now = asyncio.get_running_loop().time()
            turn = max(self._next_turn, now)
            self._next_turn = turn + 1 / self.per_second
            await asyncio.sleep(turn - now)

    @contextmanager
    def writing(self, key: NamespacedName) -> Iterator[None]:
        """While an object is written to, and for a while after, nobody else writes to it."""
        loop = asyncio.get_running_loop()
        self._writing.add(key)
        try:
            yield
        finally:
            self._writing.discard(key)
            self._resting_until[key] = loop.time() + REST_SECONDS
            loop.call_later(REST_SECONDS, self._end_rest, key)

    def _end_rest(self, key: NamespacedName) -> None:
        if self._resting_until.get(key, 0) <= asyncio.get_running_loop().time():
            self._resting_until.pop(key, None)
