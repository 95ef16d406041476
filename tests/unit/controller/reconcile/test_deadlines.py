"""A deadline is reached once, at its time, and can be moved or removed.

Real: the timers. Substituted: the clock.
"""

from __future__ import annotations

import asyncio

from svclink_controller.reconcile.deadlines import Deadlines
from tests.unit.controller.virtual_time import loop_time, virtual_time


@virtual_time
async def test_deadline_is_reached_once() -> None:
    """The callback gets the name of the cluster at the deadline, and not again."""
    reached: list[tuple[str, float]] = []
    deadlines = Deadlines(lambda name: reached.append((name, loop_time())), loop_time)
    deadlines.set("c1", 5)
    await asyncio.sleep(100)
    assert reached == [("c1", 5)]


@virtual_time
async def test_deadline_can_be_moved_and_removed() -> None:
    """The last time that was set counts; None and `close` remove a deadline."""
    reached: list[tuple[str, float]] = []
    deadlines = Deadlines(lambda name: reached.append((name, loop_time())), loop_time)
    for name in ("earlier", "later", "removed", "closed"):
        deadlines.set(name, 10)
    deadlines.set("earlier", 5)
    deadlines.set("later", 15)
    deadlines.set("removed", None)
    deadlines.set("closed", 100)
    await asyncio.sleep(50)
    deadlines.close()
    await asyncio.sleep(100)
    assert reached == [("earlier", 5), ("later", 15)]


@virtual_time
async def test_early_timer_waits_again() -> None:
    """If the clock was set back, the deadline is reached when the clock gets there."""
    times = iter([100.0, 99.9, 99.99, 100.1])
    reached: list[str] = []
    Deadlines(reached.append, lambda: next(times)).set("c1", 100.0)
    await asyncio.sleep(10)
    assert (reached, list(times)) == (["c1"], [])
