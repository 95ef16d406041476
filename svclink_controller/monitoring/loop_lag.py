"""Measures how late the event loop is: everything else waits as long for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from attrs import define

PROBE_INTERVAL_SECONDS: Final = 0.1


@define
class LoopLag:
    """Beats as long as the event loop is serviced.

    Args:
        observe: Called with every delay, in seconds.
    """

    observe: Callable[[float], object]
    last: float = 0
    longest: float = 0

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PROBE_INTERVAL_SECONDS
            await asyncio.sleep(PROBE_INTERVAL_SECONDS)
            self.last = max(0.0, loop.time() - due)
            self.longest = max(self.longest, self.last)
            self.observe(self.last)
