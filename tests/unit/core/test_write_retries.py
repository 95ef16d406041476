"""A write that fails is tried again at growing intervals, and nothing shortens them.

Real: the ladder. Substituted: time and luck, by numbers.
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
    Ladder,
    delay_before,
    failed_again,
)

LADDERS: Final = (FIXED_BY_OTHERS, FIXED_BY_CONTENT, FIXED_BY_PLANNING, NO_ANSWER)

lucks = st.floats(0, 1)
ladders = st.sampled_from(LADDERS)


def attempts(
    ladder: Ladder, moments: Sequence[tuple[float, object]], luck: float = 0.5
) -> list[float]:
    """When a write that always fails is sent, if it is wanted with these contents at these times.

    It is planned at each of the moments, and whenever the pause is over.
    """
    failed: FailedWrite | None = None
    sent = []
    for now, content in moments:
        if failed is None or delay_before(failed, content, now) == 0:
            sent.append(now)
            failed = failed_again(failed, content, "", ladder=ladder, at=now, luck=luck)
    return sent


def every(seconds: float, until: float, contents: int = 1) -> list[tuple[float, object]]:
    """Moments at an interval; their contents take turns."""
    return [(number * seconds, number % contents) for number in range(round(until / seconds))]


@given(ladders, lucks)
def test_about_nine_attempts_in_the_first_twenty_seconds(ladder: Ladder, luck: float) -> None:
    """MIRRORING: from 0.1 s growing to 5 minutes, about 9 tries in the first 20 s."""
    assert 8 <= len(attempts(ladder, every(0.01, 20), luck)) <= 9


@pytest.mark.parametrize("ladder", LADDERS[:3])
def test_pauses_end_at_five_minutes(ladder: Ladder) -> None:
    """It is tried for as long as it is wanted: 12 times an hour in the end, whatever the code."""
    hours = attempts(ladder, every(1, 4 * 3600), luck=1)
    last = [each for each in hours if each >= 3 * 3600]
    assert [after - before for before, after in pairwise(last)] == [300] * 11


def test_server_without_an_answer_is_tried_every_thirty_seconds() -> None:
    """Soon after a main cluster is back, what it missed is written."""
    sent = attempts(NO_ANSWER, every(0.1, 3600), luck=1)
    assert sent[-1] - sent[-2] == pytest.approx(30)


@given(ladders, lucks, st.lists(st.floats(0, 1000), max_size=30))
def test_planning_again_leads_to_no_earlier_attempt(
    ladder: Ladder, luck: float, others: list[float]
) -> None:
    """Whatever makes the Service planned again, the pauses grow as if nothing had."""
    needed = every(0.5, 1000)
    more = sorted(needed + [(each, 0) for each in others])
    sent = attempts(ladder, more, luck)
    pauses = [after - before for before, after in pairwise(sent)]
    bounds = [min(ladder.longest, 0.1 * 2**number) / 2 for number in range(len(pauses))]
    assert all(pause >= bound - 0.01 for pause, bound in zip(pauses, bounds, strict=True))


@pytest.mark.parametrize(
    ("ladder", "most"), [(FIXED_BY_OTHERS, 9), (FIXED_BY_CONTENT, 9), (NO_ANSWER, 9)]
)
def test_endpoints_that_change_constantly_are_not_refused_constantly(
    ladder: Ladder, most: int
) -> None:
    """A Service that changes ten times a second starts no new ladder with each change."""
    assert len(attempts(ladder, every(0.1, 20, contents=200))) <= most


def test_constant_changes_are_tried_every_ten_seconds_at_most() -> None:
    """In an hour that is 360 attempts for refused content, and 12 to 24 for a full quota."""
    changing = every(1, 3600, contents=3600)
    assert len(attempts(FIXED_BY_CONTENT, changing, luck=1)) <= 360 + 9
    assert len(attempts(FIXED_BY_OTHERS, changing, luck=1)) <= 12 + 12


@given(ladders, lucks, st.integers(0, 2000))
def test_fixed_content_does_not_wait_for_the_end_of_a_long_pause(
    ladder: Ladder, luck: float, failures: int
) -> None:
    """After any number of failures, other content waits no longer than its ladder says."""
    failed: FailedWrite | None = None
    for _ in range(failures + 1):
        failed = failed_again(failed, "bad", "", ladder=ladder, at=0, luck=luck)
    assert failed is not None
    assert delay_before(failed, "good", 0) <= min(
        ladder.longest_for_other, delay_before(failed, "bad", 0)
    )
    counted = failed.refusals if ladder.is_answer else failed.unanswered
    assert counted == failures + 1


@given(lucks, st.integers(1, 2000))
def test_refusal_after_an_outage_starts_its_own_ladder(luck: float, unanswered: int) -> None:
    """What main refuses until its RBAC is ready again is soon retried."""
    failed: FailedWrite | None = None
    for _ in range(unanswered):
        failed = failed_again(failed, "", "", ladder=NO_ANSWER, at=0, luck=luck)
    failed = failed_again(failed, "", "", ladder=FIXED_BY_OTHERS, at=0, luck=luck)
    assert failed.pause <= FIRST_PAUSE


@given(lucks)
def test_server_that_answers_now_and_then_is_not_asked_more_often(luck: float) -> None:
    """Refusals add up, whatever was not answered in between."""
    failed: FailedWrite | None = None
    for number in range(12):
        failed = failed_again(failed, "", "", ladder=FIXED_BY_OTHERS, at=0, luck=luck)
        assert failed.pause >= FIRST_PAUSE * 2**number / 2
        failed = failed_again(failed, "", "", ladder=NO_ANSWER, at=0, luck=luck)


@given(ladders, lucks, st.floats(0, 120), st.sampled_from(["same", "other"]))
def test_server_may_ask_for_a_longer_pause(
    ladder: Ladder, luck: float, asked: float, content: str
) -> None:
    """Retry-After is the least pause, whatever is to be written."""
    failed = failed_again(None, "same", "no", ladder=ladder, at=7, luck=luck, at_least=asked)
    assert delay_before(failed, content, 7) >= asked - 0.001
    assert failed.message == "no"


def test_timer_that_fires_a_little_early_is_on_time() -> None:
    """A delay too short for a timer is none, so a plan is not made twice."""
    failed = failed_again(None, "same", "", ladder=NO_ANSWER, at=0, luck=1, at_least=3)
    assert delay_before(failed, "same", 2.9995) == 0
    assert delay_before(failed, "same", 2.9) == pytest.approx(0.1)
