"""Measures the lag of the event loop, which delays everything else by the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from attrs import define

PROBE_INTERVAL_SECONDS: Final = 0.1


@define
class LoopLag:
    """Samples how late the event loop runs a timer.

    Args:
        observe: Called with every lag, in seconds.
        last: The last lag, in seconds.
        longest: The longest lag since the start, in seconds.
    """

    observe: Callable[[float], object]
    last: float = 0
    longest: float = 0

    async def run(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PROBE_INTERVAL_SECONDS
            await asyncio.sleep(PROBE_INTERVAL_SECONDS)
            self.last = max(0.0, loop.time() - due)
            self.longest = max(self.longest, self.last)
            self.observe(self.last)
