"""How many endpoints of each cluster are active: examples, and law L18 against all numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from svclink_core.traffic_shares import (
    Obstacle,
    WantedShare,
    percent_of,
    share_numbers,
    why_missed,
)


@pytest.mark.parametrize(
    ("local", "percent", "ready", "expected"),
    [
        (10, 10, 10, 1),  # 1 of 11 is 9.1%.
        (10, 25, 10, 3),  # 3 of 13 is 23.1%; 4 of 14 would be 28.6%.
        (10, 50, 10, 10),
        (9, 10, 10, 1),  # Exactly 10%.
        (1, 99, 1000, 99),
        (2, 10, 10, 1),  # At least 1, although that is 33%.
        (10, 90, 10, 10),  # At most all.
        (5, 100, 3, 3),
    ],
)
def test_number_of_one_cluster(local: int, percent: int, ready: int, expected: int) -> None:
    """The number that brings its share nearest to the wanted one."""
    assert share_numbers(local, {"b": WantedShare(percent, ready)}) == {"b": expected}


def test_of_two_equally_near_numbers_the_lower_counts() -> None:
    """2 of 4 is 50%, and 3 of 5 is 60%."""
    assert share_numbers(2, {"b": WantedShare(55, 10)}) == {"b": 2}


def test_two_clusters_get_their_shares_of_the_same_total() -> None:
    """Of 100, 2 are local and 49 of each cluster; fewer would be near enough for each alone."""
    wanted = {"b": WantedShare(49, 1000), "c": WantedShare(49, 1000)}
    assert share_numbers(2, wanted) == {"b": 49, "c": 49}


def test_a_cluster_that_lacks_endpoints_leaves_the_others_their_shares() -> None:
    """The wanted total of 25 is out of reach, so the share of the other one is of a smaller one."""
    wanted = {"b": WantedShare(50, 1), "c": WantedShare(10, 100)}
    assert share_numbers(10, wanted) == {"b": 1, "c": 1}


def test_a_share_that_is_rounded_down_leaves_the_others_theirs() -> None:
    """Of the wanted total of 50, 47.5 and 1.5 would be exact: with 1 of c, 38 of b are 95%."""
    wanted = {"b": WantedShare(95, 1000), "c": WantedShare(3, 1000)}
    assert share_numbers(1, wanted) == {"b": 38, "c": 1}


def test_a_share_that_is_rounded_up_raises_the_others() -> None:
    """Of the wanted total of 2.9, b would have 0.1 and gets 1: so c gets 3 of 5 rather than 2."""
    wanted = {"b": WantedShare(5, 100), "c": WantedShare(60, 100)}
    assert share_numbers(1, wanted) == {"b": 1, "c": 3}


def test_without_others_shares_hold_among_each_other() -> None:
    """With as many endpoints as possible."""
    wanted = {"b": WantedShare(50, 9), "c": WantedShare(25, 3)}
    assert share_numbers(0, wanted) == {"b": 6, "c": 3}
    assert share_numbers(0, {"b": WantedShare(10, 9)}) == {"b": 9}
    assert share_numbers(0, {}) == {}


def test_shares_of_everything_come_as_near_as_they_can() -> None:
    """The others are there: b has 12 of 37 at most, and c has 40% with 15."""
    wanted = {"b": WantedShare(60, 12), "c": WantedShare(40, 100)}
    assert share_numbers(10, wanted) == {"b": 12, "c": 15}


@pytest.mark.parametrize("percent", [49, 50, 60])
def test_a_cluster_that_lacks_endpoints_lowers_no_other_share_of_everything(percent: int) -> None:
    """Of 43, the 12 of b are 28%: the nearest to its share, whatever c has."""
    wanted = {"b": WantedShare(50, 12), "c": WantedShare(percent, 1)}
    assert share_numbers(30, wanted) == {"b": 12, "c": 1}


def test_why_a_share_is_missed() -> None:
    """Too many others, or too few; nothing if no other number would be nearer."""
    assert why_missed(1, 10, 10) is None
    assert why_missed(5, 10, 50) == Obstacle.TOO_MANY_OTHERS
    assert why_missed(1, 2, 10) == Obstacle.TOO_FEW_OTHERS
    assert why_missed(10, 0, 10) == Obstacle.TOO_FEW_OTHERS
    assert why_missed(10, 0, 100) is None
    assert why_missed(10, 5, 100) == Obstacle.TOO_MANY_OTHERS
    assert why_missed(0, 3, 10) == Obstacle.NOTHING_READY
    assert why_missed(0, 0, 10) is None
    assert why_missed(0, 3, 0) is None
    assert why_missed(1, 3, 0) == Obstacle.NOTHING_ELSE_READY


def test_why_missed_is_nothing_if_the_share_is_exact_among_others() -> None:
    """The nearest number is lower only because of a tie."""
    assert why_missed(3, 2, 60) is None


def test_percent_is_rounded() -> None:
    """A half goes up; nothing has no shares."""
    assert [percent_of(1, 3), percent_of(1, 200), percent_of(1, 201)] == [33, 1, 0]
    assert percent_of(0, 0) is None


# L18 nearest: no other number of active endpoints of a cluster (at least one, where its share is
# not 0) brings its share nearer to the wanted one.

PERCENTS: Final = st.integers(1, 100) | st.sampled_from((1, 10, 25, 33, 49, 50, 90, 99, 100))


@st.composite
def _wanted(draw: DrawFn) -> dict[str, WantedShare]:
    """Up to three clusters whose shares add up to up to 150, often to exactly 100.

    The API server refuses more than 100, but a file may have it.
    """
    left, found = draw(st.sampled_from((100, 150))), {}
    for name in "bcd"[: draw(st.integers(0, 3))]:
        percent = min(draw(PERCENTS), left)
        if percent > 0:
            found[name] = WantedShare(percent, draw(st.integers(1, 12)))
            left -= percent
    return found


wanted_shares: SearchStrategy[dict[str, WantedShare]] = _wanted()
others: SearchStrategy[int] = st.integers(0, 30)


@given(others, wanted_shares)
def test_l18_nearest(local: int, wanted: dict[str, WantedShare]) -> None:
    """No other number of one cluster brings its share nearer; of two equal ones, the lower."""
    numbers = share_numbers(local, wanted)
    assert numbers.keys() == wanted.keys()
    whole = 100 if local else sum(each.percent for each in wanted.values())
    for name, each in wanted.items():
        rest = sum(numbers.values()) - numbers[name] + local
        if rest == 0:
            assert numbers[name] == each.ready
            continue
        goal, many = Fraction(each.percent, whole), rest

        def distance(number: int, goal: Fraction = goal, rest: int = many) -> Fraction:
            return abs(Fraction(number, number + rest) - goal)

        possible = range(1, each.ready + 1)
        best = min(possible, key=lambda number: (distance(number), number))
        assert numbers[name] == (each.ready if goal == 1 else best)


@given(wanted_shares.filter(bool))
def test_l18_as_many_as_possible_among_each_other(wanted: dict[str, WantedShare]) -> None:
    """Where shares hold among each other, no greater numbers do so exactly as well."""
    numbers = share_numbers(0, wanted)
    percents = [each.percent for each in wanted.values()]
    scale = min(Fraction(each.ready, each.percent) for each in wanted.values())
    exact = [scale * each for each in percents]
    if all(each.denominator == 1 for each in exact):
        assert all(number >= wish for number, wish in zip(numbers.values(), exact, strict=True))


@given(others.filter(bool), wanted_shares.filter(bool), st.data())
def test_l19_raising_a_share_lowers_no_number(
    local: int, wanted: dict[str, WantedShare], data: st.DataObject
) -> None:
    """While others are there: also where the shares leave nothing for them."""
    name = data.draw(st.sampled_from(sorted(wanted)))
    raised = data.draw(st.integers(wanted[name].percent, 100) | st.just(100))
    before = share_numbers(local, wanted)
    after = share_numbers(local, {**wanted, name: evolve(wanted[name], percent=raised)})
    assert all(after[each] >= before[each] for each in wanted)
