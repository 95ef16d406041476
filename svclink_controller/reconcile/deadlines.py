"""Wakes somebody at a moment: when a policy begins to hold, when a guard has seen enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from attrs import define, field

from svclink_controller import clock


@define
class Deadlines:
    """At most one deadline a cluster.

    Args:
        reached: Called with the name of the cluster whose deadline is over.
    """

    reached: Callable[[str], None]
    _timers: dict[str, asyncio.TimerHandle] = field(factory=dict)

    def set(self, cluster: str, at: float | None) -> None:
        """The deadline of a cluster, in POSIX seconds, instead of the one it had; None for no deadline."""
        if (timer := self._timers.pop(cluster, None)) is not None:
            timer.cancel()
        if at is not None:
            delay = max(at - clock.seconds(), 0)
            self._timers[cluster] = asyncio.get_running_loop().call_later(
                delay, self._ring, cluster, at
            )

    def close(self) -> None:
        """Forget every deadline."""
        for cluster in list(self._timers):
            self.set(cluster, None)

    def _ring(self, cluster: str, at: float) -> None:
        """A timer counts another clock than the one that decides, and can be early, or the clock was put back."""
        if clock.seconds() < at:
            self.set(cluster, at)
        else:
            del self._timers[cluster]
            self.reached(cluster)
