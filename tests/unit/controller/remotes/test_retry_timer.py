"""The pause between two rounds of attempts ends once, and is as long as the server asked for.

Real: the timer. Substituted: the clock.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise

from attrs import define, field

from svclink_controller.backoff import Backoff
from svclink_controller.remotes.retry_timer import RetryTimer
from tests.unit.controller.virtual_time import loop_time, virtual_time


@define
class Expirations:
    """When a timer expired whose pauses are one second at most."""

    times: list[float] = field(factory=list)

    def timer(self) -> RetryTimer:
        return RetryTimer(self.expire, Backoff(base=1, cap=1))

    def expire(self) -> None:
        self.times.append(loop_time())


@virtual_time
async def test_pause_ends_once() -> None:
    """The timer expires within the backoff, and not again."""
    expirations = Expirations()
    expirations.timer().start()
    await asyncio.sleep(100)
    assert len(expirations.times) == 1
    assert expirations.times[0] <= 1


@virtual_time
async def test_pause_lasts_as_long_as_the_server_asked() -> None:
    """Retry-After makes the next pause longer, and only that one."""
    expirations = Expirations()
    timer = expirations.timer()
    timer.require(20)
    timer.start()
    await asyncio.sleep(100)
    timer.start()
    await asyncio.sleep(100)
    assert expirations.times[0] == 20
    assert 100 <= expirations.times[1] <= 101


@virtual_time
async def test_start_does_not_prolong_a_pause() -> None:
    """A remote that wakes up during a pause, and waits again, waits for the same end."""
    expirations = Expirations()
    timer = expirations.timer()
    timer.require(20)
    timer.start()
    await asyncio.sleep(10)
    timer.start()
    await asyncio.sleep(100)
    assert expirations.times == [20]


@virtual_time
async def test_stopped_timer_does_not_expire() -> None:
    """An edit ends the pause, so nothing is left to expire."""
    expirations = Expirations()
    timer = expirations.timer()
    timer.start()
    timer.stop()
    timer.stop()
    await asyncio.sleep(100)
    assert expirations.times == []


@define
class Attempts:
    """A cluster that is tried again after every pause, for some time."""

    seconds: float
    is_answered: bool
    times: list[float] = field(factory=list)
    began: float = field(factory=loop_time)
    timer: RetryTimer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.timer = RetryTimer(self.attempt, Backoff(base=1, cap=30))

    def attempt(self) -> None:
        self.times.append(loop_time())
        self.timer.note_attempt(is_answered=self.is_answered)
        if loop_time() < self.began + self.seconds:
            self.timer.start()

    async def all(self) -> list[float]:
        """When the cluster was tried. The last attempt is the first that is not in time."""
        self.attempt()
        await asyncio.sleep(self.seconds + 60)
        return self.times


@virtual_time
async def test_cluster_that_is_back_soon_is_connected_soon() -> None:
    """After 4 seconds away, the next attempt comes within half a second."""
    for _ in range(20):
        times = await Attempts(4, is_answered=False).all()
        assert times[-1] - times[-2] <= 0.5 + 1e-9


@virtual_time
async def test_cluster_that_is_away_for_long_is_tried_seldom() -> None:
    """Pauses grow with the time away: in an hour there are few attempts a minute."""
    times = await Attempts(3600, is_answered=False).all()
    assert len(times) < 60 * 6
    assert max(later - each for each, later in pairwise(times)) > 10


@virtual_time
async def test_cluster_that_refuses_is_not_hammered() -> None:
    """Wrong credentials are tried after pauses that grow with each failure."""
    times = await Attempts(120, is_answered=True).all()
    assert len(times) < 40


@virtual_time
async def test_connection_ends_the_time_away() -> None:
    """A cluster that answered has not been away, however long it was before."""
    attempts = Attempts(3600, is_answered=False)
    await attempts.all()
    attempts.timer.note_attempt(is_answered=True)
    attempts.timer.note_attempt(is_answered=False)
    began = loop_time()
    attempts.timer.start()
    await asyncio.sleep(60)
    assert attempts.times[-1] - began <= 0.5
