"""The pause between two rounds of attempts to connect to a cluster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from attrs import define, field

from svclink_controller.backoff import Backoff
from svclink_core.remote_lifecycle import longest_pause


@define
class RetryTimer:
    """A pause between two rounds of attempts, at least as long as the server asked for.

    A cluster that answers, but cannot be used, is tried after pauses that grow with each failure.
    One that does not answer is tried after pauses that grow with the time it has been away.

    Args:
        on_expired: Called when the pause is over.
        backoff: The pauses for a cluster that answers. Its bounds hold for one that does not, too.
    """

    on_expired: Callable[[], None]
    backoff: Backoff = field(factory=lambda: Backoff(base=1, cap=30))
    _at_least: float = 0
    _away_since: float | None = None
    _timer: asyncio.TimerHandle | None = None

    def require(self, seconds: float) -> None:
        """Make the next pause at least this long."""
        self._at_least = seconds

    def note_attempt(self, *, is_answered: bool) -> None:
        """Note whether the cluster answered the last attempt to connect."""
        if is_answered:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = asyncio.get_running_loop().time()

    def start(self) -> None:
        """Start a pause. A pause that has started already goes on."""
        if self._timer is None:
            delay, self._at_least = max(self._next_delay(), self._at_least), 0
            self._timer = asyncio.get_running_loop().call_later(delay, self._end)

    def stop(self) -> None:
        """Cancel the pause."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_delay(self) -> float:
        if self._away_since is None:
            return self.backoff.next_delay()
        away = asyncio.get_running_loop().time() - self._away_since
        bound = min(longest_pause(away, self.backoff.base / 2), self.backoff.cap)
        return random.uniform(0, bound)  # noqa: S311 - spreads load, guards nothing

    def _end(self) -> None:
        self._timer = None
        self.on_expired()
