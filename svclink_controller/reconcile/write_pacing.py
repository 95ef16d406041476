"""Decides when a write to the main cluster may be sent: at once, unless a limit holds it back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from attrs import define, field

from svclink_core.meta_v1 import NamespacedName

REST_SECONDS: Final = 0.2
"""Time between two writes of one object: constant changes are written five times a second."""


@define
class WritePace:
    """Decides when a write may be sent; a write that may not is planned again later.

    Args:
        per_second: Limit on writes per second; None: unlimited.
        rest_seconds: Time between two writes of one object.
    """

    per_second: float | None = None
    rest_seconds: float = REST_SECONDS
    _paused_until: float = 0
    _next_turn: float = 0
    _writing: set[NamespacedName] = field(factory=set)
    _resting_until: dict[NamespacedName, float] = field(factory=dict)

    def delay_of(self, key: NamespacedName) -> float:
        """Seconds until an object may be written; 0 if it may be now."""
        if key in self._writing:
            return self.rest_seconds
        now = asyncio.get_running_loop().time()
        return max(self._paused_until - now, self._resting_until.get(key, 0) - now, 0)

    def pause(self, seconds: float) -> None:
        """Hold back every write, because the API server is overloaded."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)

    async def take_turn(self) -> None:
        """Wait until the rate limit allows one more write."""
        if self.per_second is not None:
            now = asyncio.get_running_loop().time()
            turn = max(self._next_turn, now)
            self._next_turn = turn + 1 / self.per_second
            await asyncio.sleep(turn - now)

    @contextmanager
    def writing(self, key: NamespacedName) -> Iterator[None]:
        """Hold back other writes of an object during a write and for `rest_seconds` after it."""
        loop = asyncio.get_running_loop()
        self._writing.add(key)
        try:
            yield
        finally:
            self._writing.discard(key)
            self._resting_until[key] = loop.time() + self.rest_seconds
            loop.call_later(self.rest_seconds, self._end_rest, key)

    def _end_rest(self, key: NamespacedName) -> None:
        if self._resting_until.get(key, 0) <= asyncio.get_running_loop().time():
            self._resting_until.pop(key, None)
