"""The pause between two rounds of attempts to connect to a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from attrs import define, field

from svclink_controller.backoff import Backoff


@define
class RetryTimer:
    """A pause that grows with each failure, and is at least as long as the server asked for.

    Args:
        ring: Called when the pause is over.
        backoff: How long the pauses are.
    """

    ring: Callable[[], None]
    backoff: Backoff = field(factory=lambda: Backoff(base=1, cap=30))
    _at_least: float = 0
    _timer: asyncio.TimerHandle | None = None

    def require(self, seconds: float) -> None:
        """Make the next pause at least this long."""
        self._at_least = seconds

    def start(self) -> None:
        """Start a pause. A pause that has started already goes on."""
        if self._timer is None:
            delay, self._at_least = max(self.backoff.next_delay(), self._at_least), 0
            self._timer = asyncio.get_running_loop().call_later(delay, self._end)

    def stop(self) -> None:
        """End the pause without a ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        self.ring()
