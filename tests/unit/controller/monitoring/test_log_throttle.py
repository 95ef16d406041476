"""Trouble that goes on is logged when it begins and when it changes, then at growing intervals, with a count.

Real: structlog and the processor. Substituted: the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from svclink_controller import clock
from svclink_controller.monitoring.log_throttle import BURST, MAX_KNOWN, QUIET_SECONDS, Repetitions

Logged = list[dict[str, Any]]


class Time:
    """A time that a test moves on."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(clock, "elapsed", time)
    return time


@pytest.fixture
def logged() -> Logged:
    """What is let through."""
    capture = LogCapture()
    structlog.configure(processors=[Repetitions(), capture])
    entries: Logged = capture.entries  # type: ignore[assignment]
    return entries


def fail(**values: object) -> None:
    structlog.get_logger().warning("not written", **({"slice": "a/b", "problem": "away"} | values))


def repeat(time: Time, action: Callable[[], None], seconds: int) -> None:
    """Once a second."""
    for _ in range(seconds):
        time.now += 1
        action()


def test_trouble_that_goes_on_is_said_less_and_less(time: Time, logged: Logged) -> None:
    """An hour of one failure a second is a dozen lines, and the counts add up."""
    fail()
    repeat(time, fail, 3600)
    assert 8 <= len(logged) <= 14
    assert "repeated" not in logged[0]
    assert [line["repeated"] for line in logged[1:4]] == [9, 19, 39]
    assert sum(line.get("repeated", 0) + 1 for line in logged) <= 3601


@pytest.mark.usefixtures("time")
def test_trouble_that_changes_is_said_at_once(logged: Logged) -> None:
    """Another problem, or the same of another object, is news; going back and forth between two is not."""
    for problem in ("away", "refused", "away", "refused", "away"):
        fail(problem=problem)
    fail(slice="a/c")
    assert [(line["slice"], line["problem"]) for line in logged] == [
        ("a/b", "away"),
        ("a/b", "refused"),
        ("a/c", "away"),
    ]


@pytest.mark.usefixtures("time")
def test_numbers_in_a_problem_are_not_news(logged: Logged) -> None:
    """The resourceVersion in a message differs every time; the number in the name of an object counts."""
    for version in range(5):
        fail(problem=f"409: the version is {version}")
    fail(slice="a/b-1", problem="409: the version is 7")
    assert len(logged) == 2


def test_trouble_that_comes_back_after_long_is_news(time: Time, logged: Logged) -> None:
    """After an hour of peace the intervals begin anew."""
    fail()
    repeat(time, fail, 100)
    time.now += 3600
    before = len(logged)
    fail()
    repeat(time, fail, int(QUIET_SECONDS))
    assert len(logged) == before + 2


def test_trouble_of_many_objects_is_not_a_flood(time: Time, logged: Logged) -> None:
    """When a thousand objects fail alike, some are shown, and how many were not."""
    for number in range(1000):
        fail(slice=f"a/{number}")
    assert len(logged) == BURST
    time.now += QUIET_SECONDS
    fail(slice="a/0000")
    assert logged[-1]["left_out"] == 1000 - BURST


def test_what_is_known_of_the_past_is_bounded(time: Time) -> None:
    """A year of different problems takes no more memory than a day."""
    repetitions = Repetitions()
    for number in range(MAX_KNOWN * 2):
        time.now += QUIET_SECONDS
        repetitions(None, "warning", {"event": "not written", "slice": str(number)})
    assert len(repetitions._lines) == MAX_KNOWN


@pytest.mark.usefixtures("time")
def test_changes_are_all_logged(logged: Logged) -> None:
    """Only trouble is left out: what was done is a line each."""
    for _ in range(100):
        structlog.get_logger().info("endpointslice written", slice="a/b")
    assert len(logged) == 100


@pytest.mark.usefixtures("time")
def test_error_with_a_traceback_is_one_of_its_kind(logged: Logged) -> None:
    """An internal error that comes with every try is shown once with its traceback."""
    for _ in range(5):
        try:
            int("nonsense")
        except ValueError:
            structlog.get_logger().exception("internal error", service="a/b")
    assert [line["event"] for line in logged] == ["internal error"]
