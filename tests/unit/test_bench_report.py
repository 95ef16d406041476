"""The report of `nox -s bench`: ratios to native, and what got worse than in a stored run."""

from __future__ import annotations

import pytest

from tests.bench.measures import Figures
from tests.bench.report import ratios, verdicts, worse_than
from tests.bench.subjects import NATIVE, SVCLINK

NATIVE_FIGURES: Figures = {"convergence seconds": 2.0, "peak MB": 50, "run CPU seconds": 1.0}
OWN: Figures = {"convergence seconds": 3.0, "peak MB": 100, "idle writes": 0}


def run(native: Figures, own: Figures) -> dict[str, Figures]:
    return {NATIVE: native, SVCLINK: own}


def times(factor: float, figures: Figures) -> Figures:
    return {name: value * factor for name, value in figures.items()}


def test_slower_machine_is_not_worse() -> None:
    """If native takes as much longer as svclink, nothing got worse."""
    stored = run(NATIVE_FIGURES, OWN)
    assert worse_than(stored, run(times(3, NATIVE_FIGURES), times(3, OWN))) == []


@pytest.mark.parametrize(("factor", "is_worse"), [(1.09, False), (1.11, True), (0.5, False)])
def test_ten_percent_are_tolerated(factor: float, is_worse: bool) -> None:
    """A ratio that grew by more than 10% is reported, before and now."""
    own = OWN | {"convergence seconds": 3.0 * factor}
    worse = worse_than(run(NATIVE_FIGURES, OWN), run(NATIVE_FIGURES, own))
    assert worse == ([("convergence seconds", 1.5, 1.5 * factor)] if is_worse else [])


def test_count_is_compared_as_it_is() -> None:
    """The first needless write is worse than none."""
    now = run(NATIVE_FIGURES, OWN | {"idle writes": 1})
    assert worse_than(run(NATIVE_FIGURES, OWN), now) == [("idle writes", 0, 1)]


def test_figure_without_a_counterpart_has_a_yardstick() -> None:
    """The time until ready is a ratio to the convergence of native."""
    assert ratios(run(NATIVE_FIGURES, {"restart seconds until ready": 1.0})) == {
        "restart seconds until ready": 0.5
    }


def test_figure_that_only_one_run_has_is_left_out() -> None:
    """A new scenario is not worse than nothing."""
    now = run(NATIVE_FIGURES, OWN | {"storm p99 ms": 9})
    assert worse_than(run(NATIVE_FIGURES, OWN), now) == []


def test_goals_are_ratios_to_native() -> None:
    """A target names the program that it is a ratio to."""
    met = {
        (target.figure, target.is_goal): (value, is_met)
        for target, value, is_met in verdicts(run(NATIVE_FIGURES, OWN))
    }
    assert met["convergence seconds", True] == (1.5, False)
    assert met["peak MB", False] == (100, True)
    assert ("convergence seconds", False) not in met
