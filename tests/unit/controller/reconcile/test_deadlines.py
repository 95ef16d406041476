"""Deadlines: one fact a test.

Real: the event loop's timers. Substituted: the clock, where it goes wrong.
"""

from __future__ import annotations

import asyncio

import pytest

from svclink_controller import clock
from svclink_controller.reconcile.deadlines import Deadlines
from tests.unit.controller.servers import eventually


async def test_a_deadline_is_reached_once() -> None:
    """Who has a deadline is woken when it is over, not before, and once."""
    reached: list[tuple[str, bool]] = []
    at = clock.seconds() + 0.05
    deadlines = Deadlines(lambda name: reached.append((name, clock.seconds() >= at)))
    deadlines.set("c1", at)
    await eventually(lambda: bool(reached))
    await asyncio.sleep(0.05)
    assert reached == [("c1", True)]


async def test_a_deadline_can_be_moved_and_lifted() -> None:
    """The last one counts, and None lifts it."""
    reached: list[str] = []
    deadlines = Deadlines(reached.append)
    for name in ("moved", "lifted", "closed"):
        deadlines.set(name, clock.seconds() + 0.01)
    deadlines.set("moved", clock.seconds())
    deadlines.set("lifted", None)
    await eventually(lambda: reached == ["moved"])
    deadlines.close()
    await asyncio.sleep(0.05)
    assert reached == ["moved"]


async def test_a_timer_that_is_early_waits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the clock was put back, the deadline is later by the timer's count."""
    times = iter([100.0, 99.9, 99.99, 100.1])
    monkeypatch.setattr(clock, "seconds", lambda: next(times))
    reached: list[str] = []
    Deadlines(reached.append).set("c1", 100.0)
    await eventually(lambda: reached == ["c1"])
    assert list(times) == []
