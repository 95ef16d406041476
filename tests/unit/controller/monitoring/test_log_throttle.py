"""Repeated failures are logged when they start and when they change, then at growing intervals.

Real: structlog and the processor. Substituted: the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from svclink_controller.monitoring.log_throttle import (
    BURST,
    MAX_REMEMBERED_LINES,
    QUIET_SECONDS,
    LogThrottle,
)
from tests.unit.controller.virtual_time import ManualClock

Logged = list[dict[str, Any]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def logged(clock: ManualClock) -> Logged:
    """The lines that are not dropped."""
    capture = LogCapture()
    structlog.configure(processors=[LogThrottle(clock), capture])
    entries: Logged = capture.entries  # type: ignore[assignment]
    return entries


def fail(**values: object) -> None:
    structlog.get_logger().warning("not written", **({"slice": "a/b", "problem": "away"} | values))


def repeat(clock: ManualClock, action: Callable[[], None], seconds: int) -> None:
    """Runs an action once a second."""
    for _ in range(seconds):
        clock.now += 1
        action()


def test_repeated_failure_is_logged_less_and_less(clock: ManualClock, logged: Logged) -> None:
    """An hour of one failure a second is a dozen lines, and the counts add up."""
    fail()
    repeat(clock, fail, 3600)
    assert 8 <= len(logged) <= 14
    assert "repeated" not in logged[0]
    assert [line["repeated"] for line in logged[1:4]] == [9, 19, 39]
    assert sum(line.get("repeated", 0) + 1 for line in logged) <= 3601


def test_new_failure_is_logged_at_once(logged: Logged) -> None:
    """A new problem, or a new object, is logged; alternating between two problems is not."""
    for problem in ("away", "refused", "away", "refused", "away"):
        fail(problem=problem)
    fail(slice="a/c")
    assert [(line["slice"], line["problem"]) for line in logged] == [
        ("a/b", "away"),
        ("a/b", "refused"),
        ("a/c", "away"),
    ]


def test_numbers_in_a_problem_make_no_difference(logged: Logged) -> None:
    """The resourceVersion in a message is ignored; the number in the name of an object counts."""
    for version in range(5):
        fail(problem=f"409: the version is {version}")
    fail(slice="a/b-1", problem="409: the version is 7")
    assert len(logged) == 2


def test_intervals_start_again_after_a_long_pause(clock: ManualClock, logged: Logged) -> None:
    """After an hour without a failure the intervals start again."""
    fail()
    repeat(clock, fail, 100)
    clock.now += 3600
    before = len(logged)
    fail()
    repeat(clock, fail, int(QUIET_SECONDS))
    assert len(logged) == before + 2


def test_burst_of_one_event_is_limited(clock: ManualClock, logged: Logged) -> None:
    """If a thousand objects fail alike, some lines are logged, and the others are counted."""
    for number in range(1000):
        fail(slice=f"a/{number}")
    assert len(logged) == BURST
    clock.now += QUIET_SECONDS
    fail(slice="a/0000")
    assert logged[-1]["left_out"] == 1000 - BURST


def test_memory_is_bounded(clock: ManualClock) -> None:
    """A year of different problems takes no more memory than a day."""
    throttle = LogThrottle(clock)
    for number in range(MAX_REMEMBERED_LINES * 2):
        clock.now += QUIET_SECONDS
        throttle(None, "warning", {"event": "not written", "slice": str(number)})
    assert len(throttle._lines) == MAX_REMEMBERED_LINES


def test_lines_below_warning_are_all_logged(logged: Logged) -> None:
    """Only warnings and errors are dropped."""
    for _ in range(100):
        structlog.get_logger().info("endpointslice written", slice="a/b")
    assert len(logged) == 100


def test_traceback_is_logged_once(logged: Logged) -> None:
    """An internal error that repeats with every retry is logged once with its traceback."""
    for _ in range(5):
        try:
            int("nonsense")
        except ValueError:
            structlog.get_logger().exception("internal error", service="a/b")
    assert [line["event"] for line in logged] == ["internal error"]
