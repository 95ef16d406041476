"""One timer per cluster: for an unreachable policy that takes effect, or a guard that is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from attrs import define, field

from svclink_controller import clock


@define
class Deadlines:
    """At most one deadline per cluster.

    Args:
        reached: Called with the name of the cluster whose deadline has passed.
        now: Returns the seconds on the monotonic clock, which never jumps.
    """

    reached: Callable[[str], None]
    now: Callable[[], float] = clock.elapsed
    _timers: dict[str, asyncio.TimerHandle] = field(factory=dict)

    def set(self, cluster: str, at: float | None) -> None:
        """Replace the deadline of a cluster, in seconds on that clock; None removes it."""
        if (timer := self._timers.pop(cluster, None)) is not None:
            timer.cancel()
        if at is not None:
            delay = max(at - self.now(), 0)
            loop = asyncio.get_running_loop()
            self._timers[cluster] = loop.call_later(delay, self._fire, cluster, at)

    def close(self) -> None:
        """Remove every deadline."""
        for cluster in list(self._timers):
            self.set(cluster, None)

    def _fire(self, cluster: str, at: float) -> None:
        """Wait again if the timer fired early: the event loop rounds to its clock's resolution."""
        if self.now() < at:
            self.set(cluster, at)
        else:
            del self._timers[cluster]
            self.reached(cluster)
