"""Measures the lag of the event loop, which delays everything else by the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from attrs import define, field

PROBE_INTERVAL_SECONDS: Final = 0.1


@define
class LoopLag:
    """Samples how late the event loop runs a timer.

    An idle controller does little else. So each sample is the callback of a timer, which costs less
    than waking a task up.

    Args:
        observe: Called with every lag, in seconds.
        last: The last lag, in seconds.
        longest: The longest lag since the start, in seconds.
    """

    observe: Callable[[float], object]
    last: float = 0
    longest: float = 0
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    async def run(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        self._probe(loop)
        try:
            await loop.create_future()
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _probe(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + PROBE_INTERVAL_SECONDS
        self._timer = loop.call_at(due, self._sample, loop, due)

    def _sample(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.last = max(0.0, loop.time() - due)
        self.longest = max(self.longest, self.last)
        self._probe(loop)
        self.observe(self.last)
