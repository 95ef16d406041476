"""A write that fails is tried again at growing intervals, and nothing shortens them.

Real: the pauses. Substituted: time and jitter, by numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_core.write_retries import (
    FIRST_PAUSE,
    FIXED_BY_CONTENT,
    FIXED_BY_OTHERS,
    FIXED_BY_PLANNING,
    NO_ANSWER,
    FailedWrite,
    RetryPauses,
    delay_before,
    failed_again,
)

ALL_PAUSES: Final = (FIXED_BY_OTHERS, FIXED_BY_CONTENT, FIXED_BY_PLANNING, NO_ANSWER)

jitters = st.floats(0, 1)
pauses_of_a_kind = st.sampled_from(ALL_PAUSES)


def attempts(
    pauses: RetryPauses, moments: Sequence[tuple[float, object]], jitter: float = 0.5
) -> list[float]:
    """When a write that always fails is sent, if it is wanted with these contents at these times.

    It is planned at each of the moments, and whenever the pause is over.
    """
    failed: FailedWrite | None = None
    sent = []
    for now, content in moments:
        if failed is None or delay_before(failed, content, now) == 0:
            sent.append(now)
            failed = failed_again(failed, content, "", pauses=pauses, at=now, jitter=jitter)
    return sent


def every(seconds: float, until: float, contents: int = 1) -> list[tuple[float, object]]:
    """Moments at an interval; their contents take turns."""
    return [(number * seconds, number % contents) for number in range(round(until / seconds))]


@given(pauses_of_a_kind, jitters)
def test_about_nine_attempts_in_the_first_twenty_seconds(
    pauses: RetryPauses, jitter: float
) -> None:
    """From 0.1 s growing to 5 minutes, about 9 tries in the first 20 s."""
    assert 8 <= len(attempts(pauses, every(0.01, 20), jitter)) <= 9


@pytest.mark.parametrize("pauses", ALL_PAUSES[:3])
def test_pauses_end_at_five_minutes(pauses: RetryPauses) -> None:
    """It is tried for as long as it is wanted: 12 times an hour in the end, whatever the code."""
    hours = attempts(pauses, every(1, 4 * 3600), jitter=1)
    last = [each for each in hours if each >= 3 * 3600]
    assert [after - before for before, after in pairwise(last)] == [300] * 11


def test_server_without_an_answer_is_tried_every_thirty_seconds() -> None:
    """Soon after a main cluster is back, what it missed is written."""
    sent = attempts(NO_ANSWER, every(0.1, 3600), jitter=1)
    assert sent[-1] - sent[-2] == pytest.approx(30)


@given(pauses_of_a_kind, jitters, st.lists(st.floats(0, 1000), max_size=30))
def test_planning_again_leads_to_no_earlier_attempt(
    pauses: RetryPauses, jitter: float, others: list[float]
) -> None:
    """Whatever makes the Service planned again, the pauses grow as if nothing had."""
    needed = every(0.5, 1000)
    more = sorted(needed + [(each, 0) for each in others])
    sent = attempts(pauses, more, jitter)
    waits = [after - before for before, after in pairwise(sent)]
    bounds = [min(pauses.longest, 0.1 * 2**number) / 2 for number in range(len(waits))]
    assert all(pause >= bound - 0.01 for pause, bound in zip(waits, bounds, strict=True))


@pytest.mark.parametrize(
    ("pauses", "most"), [(FIXED_BY_OTHERS, 9), (FIXED_BY_CONTENT, 9), (NO_ANSWER, 9)]
)
def test_endpoints_that_change_constantly_are_not_refused_constantly(
    pauses: RetryPauses, most: int
) -> None:
    """Ten changes of a Service a second do not make the pauses short again."""
    assert len(attempts(pauses, every(0.1, 20, contents=200))) <= most


def test_constant_changes_are_tried_every_ten_seconds_at_most() -> None:
    """In an hour that is 360 attempts for refused content, and 12 to 24 for a full quota."""
    changing = every(1, 3600, contents=3600)
    assert len(attempts(FIXED_BY_CONTENT, changing, jitter=1)) <= 360 + 9
    assert len(attempts(FIXED_BY_OTHERS, changing, jitter=1)) <= 12 + 12


@given(pauses_of_a_kind, jitters, st.integers(0, 2000))
def test_fixed_content_does_not_wait_for_the_end_of_a_long_pause(
    pauses: RetryPauses, jitter: float, failures: int
) -> None:
    """After any number of failures, other content waits no longer than its longest pause."""
    failed: FailedWrite | None = None
    for _ in range(failures + 1):
        failed = failed_again(failed, "bad", "", pauses=pauses, at=0, jitter=jitter)
    assert failed is not None
    assert delay_before(failed, "good", 0) <= min(
        pauses.longest_for_other, delay_before(failed, "bad", 0)
    )
    counted = failed.refusals if pauses.is_answer else failed.unanswered
    assert counted == failures + 1


@given(jitters, st.integers(1, 2000))
def test_refusal_after_an_outage_starts_with_a_short_pause(jitter: float, unanswered: int) -> None:
    """What main refuses until its RBAC is ready again is soon retried."""
    failed: FailedWrite | None = None
    for _ in range(unanswered):
        failed = failed_again(failed, "", "", pauses=NO_ANSWER, at=0, jitter=jitter)
    failed = failed_again(failed, "", "", pauses=FIXED_BY_OTHERS, at=0, jitter=jitter)
    assert failed.pause <= FIRST_PAUSE


@given(jitters)
def test_server_that_answers_now_and_then_is_not_asked_more_often(jitter: float) -> None:
    """Refusals add up, whatever was not answered in between."""
    failed: FailedWrite | None = None
    for number in range(12):
        failed = failed_again(failed, "", "", pauses=FIXED_BY_OTHERS, at=0, jitter=jitter)
        assert failed.pause >= FIRST_PAUSE * 2**number / 2
        failed = failed_again(failed, "", "", pauses=NO_ANSWER, at=0, jitter=jitter)


@given(pauses_of_a_kind, jitters, st.floats(0, 120), st.sampled_from(["same", "other"]))
def test_server_may_ask_for_a_longer_pause(
    pauses: RetryPauses, jitter: float, asked: float, content: str
) -> None:
    """Retry-After is the least pause, whatever is to be written."""
    failed = failed_again(None, "same", "no", pauses=pauses, at=7, jitter=jitter, at_least=asked)
    assert delay_before(failed, content, 7) >= asked - 0.001
    assert failed.message == "no"


def test_timer_that_fires_a_little_early_is_on_time() -> None:
    """A delay too short for a timer is none, so a plan is not made twice."""
    failed = failed_again(None, "same", "", pauses=NO_ANSWER, at=0, jitter=1, at_least=3)
    assert delay_before(failed, "same", 2.9995) == 0
    assert delay_before(failed, "same", 2.9) == pytest.approx(0.1)
