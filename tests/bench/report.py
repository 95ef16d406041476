"""The targets of the benchmark, and tables and JSON that compare the figures with them."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from .measures import Figures
from .subjects import FLOOR, NATIVE, SVCLINK


@dataclass(frozen=True)
class Target:
    """A limit of a figure.

    Args:
        of: A figure of another subject; the limit is then a ratio to it.
        to: That subject.
        is_goal: Whether it is only aimed at: the benchmark does not fail if it is missed.
    """

    figure: str
    limit: float
    of: str | None = None
    to: str = FLOOR
    is_goal: bool = False


def _goal(figure: str, limit: float, of: str | None = None) -> Target:
    return Target(figure, limit, of, NATIVE, is_goal=True)


TARGETS: Final = (
    Target("convergence seconds", 1.3, "convergence seconds"),
    Target("propagation p50 ms", 1.5, "propagation p50 ms"),
    Target("propagation p99 ms", 2.0, "propagation p99 ms"),
    Target("restart seconds until ready", 0.5, "convergence seconds"),
    Target("restart writes", 0),
    Target("idle writes", 0),
    Target("idle lists", 0),
    Target("idle CPU % of a core", 1.0),
    Target("burst slices wrong in the end", 0),
    Target("burst most writes a second of a slice", 5.0),
    Target("peak MB", 120),
    Target("longest loop stall ms", 100),
    _goal("convergence seconds", 1.15, "convergence seconds"),
    _goal("propagation p50 ms", 1.05, "propagation p50 ms"),
    _goal("propagation p99 ms", 1.2, "propagation p99 ms"),
    _goal("run CPU seconds", 2.5, "run CPU seconds"),
    _goal("storm seconds until equal", 1.2, "storm seconds until equal"),
    _goal("restart seconds until ready", 0.4),
    _goal("takeover seconds, graceful", 0.5),
    _goal("takeover seconds, killed", 16),
    _goal("peak MB", 90),
)

YARDSTICKS: Final = {
    "restart seconds until ready": "convergence seconds",
    "idle CPU % of a core": "run CPU seconds",
    "longest loop stall ms": "propagation p99 ms",
}
"""What native has instead of a figure that only svclink has."""

TOLERATED: Final = 1.1
"""How much larger a ratio may be than in a stored run."""


def medians(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {
        name: statistics.median(figures[name] for figures in rounds if name in figures)
        for name in names
    }


def verdicts(figures: Mapping[str, Figures]) -> list[tuple[Target, float, bool]]:
    """Return each target that was measured, its value, and whether the target is met."""
    own, measured = figures[SVCLINK], []
    for target in TARGETS:
        other = figures.get(target.to, {})
        if target.figure not in own or (target.of is not None and target.of not in other):
            continue
        value = own[target.figure]
        if target.of is not None:
            value /= other[target.of]
        measured.append((target, value, value <= target.limit))
    return measured


def ratios(figures: Mapping[str, Figures]) -> Figures:
    """Return the figures of svclink as ratios to native, which mean the same on every machine.

    What native has no measure for, and counts, stay as they are.
    """
    native = figures.get(NATIVE, {})
    yardsticks = {name: native.get(YARDSTICKS.get(name, name)) for name in figures[SVCLINK]}
    return {name: value / (yardsticks[name] or 1) for name, value in figures[SVCLINK].items()}


def worse_than(
    stored: Mapping[str, Figures], figures: Mapping[str, Figures]
) -> list[tuple[str, float, float]]:
    """Return each figure that is more than 10% worse than in a stored run: before and now."""
    before, now = ratios(stored), ratios(figures)
    return [
        (name, before[name], now[name])
        for name in before.keys() & now.keys()
        if now[name] > before[name] * TOLERATED
    ]


def show(figures: Mapping[str, Figures]) -> None:
    """Print the figures side by side."""
    names = dict.fromkeys(name for each in figures.values() for name in each)
    table = Table("figure", *figures, "svclink / native")
    for name in names:
        values = [each.get(name) for each in figures.values()]
        native, own = figures.get(NATIVE, {}).get(name), figures[SVCLINK].get(name)
        ratio = own / native if native and own is not None else None
        table.add_row(name, *map(_number, [*values, ratio]))
    Console(width=120).print(table)


def show_targets(figures: Mapping[str, Figures]) -> None:
    """Print whether the targets are met, which are those of the default size."""
    targets = Table("target", "limit", "value", "")
    for target, value, is_met in verdicts(figures):
        what = (
            target.figure if target.of is None else f"{target.figure} / {target.to}'s {target.of}"
        )
        missed = "goal missed" if target.is_goal else "MISSED"
        targets.add_row(what, f"{target.limit:g}", f"{value:.3g}", "ok" if is_met else missed)
    Console(width=120).print(targets)


def show_worse(worse: Iterable[tuple[str, float, float]]) -> None:
    """Print what got worse than in a stored run."""
    table = Table("worse, as a ratio to native", "before", "now")
    for name, before, now in sorted(worse):
        table.add_row(name, _number(before), _number(now))
    Console(width=120).print(table if table.rows else "Nothing is more than 10% worse.")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def record(
    figures: Mapping[str, Figures], rounds: Mapping[str, Sequence[Figures]], size: Mapping[str, int]
) -> Any:
    """Return all figures and targets for a JSON file."""
    python = f"Python {platform.python_version()}"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {python}"
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "size": dict(size),
        "medians": dict(figures),
        "rounds": {name: list(each) for name, each in rounds.items()},
        "targets": [
            {
                "figure": target.figure,
                "of": target.of,
                "to": target.to,
                "limit": target.limit,
                "value": value,
                "reached": is_met,
            }
            for target, value, is_met in verdicts(figures)
        ],
    }
