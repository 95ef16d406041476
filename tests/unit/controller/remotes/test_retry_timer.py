"""The pause between two rounds of attempts ends once, and is as long as the server asked for.

Real: the timer. Substituted: the clock.
"""

from __future__ import annotations

import asyncio

from attrs import define, field

from svclink_controller.backoff import Backoff
from svclink_controller.remotes.retry_timer import RetryTimer
from tests.unit.controller.virtual_time import loop_time, virtual_time


@define
class Rings:
    """When a timer rang whose pauses are one second at most."""

    times: list[float] = field(factory=list)

    def timer(self) -> RetryTimer:
        return RetryTimer(self.ring, Backoff(base=1, cap=1))

    def ring(self) -> None:
        self.times.append(loop_time())


@virtual_time
async def test_pause_ends_once() -> None:
    """The timer rings within the backoff, and not again."""
    rings = Rings()
    rings.timer().start()
    await asyncio.sleep(100)
    assert len(rings.times) == 1
    assert rings.times[0] <= 1


@virtual_time
async def test_pause_lasts_as_long_as_the_server_asked() -> None:
    """Retry-After makes the next pause longer, and only that one."""
    rings = Rings()
    timer = rings.timer()
    timer.require(20)
    timer.start()
    await asyncio.sleep(100)
    timer.start()
    await asyncio.sleep(100)
    assert rings.times[0] == 20
    assert 100 <= rings.times[1] <= 101


@virtual_time
async def test_start_does_not_prolong_a_pause() -> None:
    """A remote that wakes up during a pause, and waits again, waits for the same end."""
    rings = Rings()
    timer = rings.timer()
    timer.require(20)
    timer.start()
    await asyncio.sleep(10)
    timer.start()
    await asyncio.sleep(100)
    assert rings.times == [20]


@virtual_time
async def test_stopped_timer_does_not_ring() -> None:
    """An edit ends the pause, so nothing is left to ring."""
    rings = Rings()
    timer = rings.timer()
    timer.start()
    timer.stop()
    timer.stop()
    await asyncio.sleep(100)
    assert rings.times == []
