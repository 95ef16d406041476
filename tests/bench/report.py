"""The targets of the benchmark, and tables and JSON that compare the figures with them."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from .measures import Figures
from .subjects import FLOOR, SVCLINK


@dataclass(frozen=True)
class Target:
    """A limit of a figure.

    Args:
        of: A figure of the floor; the limit is then a ratio to it.
    """

    figure: str
    limit: float
    of: str | None = None


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
)


def medians(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {
        name: statistics.median(figures[name] for figures in rounds if name in figures)
        for name in names
    }


def verdicts(figures: Mapping[str, Figures]) -> list[tuple[Target, float, bool]]:
    """Return each target that was measured, its value, and whether the target is met."""
    own, floor = figures[SVCLINK], figures.get(FLOOR, {})
    measured = []
    for target in TARGETS:
        if target.figure not in own or (target.of is not None and target.of not in floor):
            continue
        value = (
            own[target.figure] / floor[target.of] if target.of is not None else own[target.figure]
        )
        measured.append((target, value, value <= target.limit))
    return measured


def show(figures: Mapping[str, Figures]) -> None:
    """Print the figures side by side, then the targets."""
    console = Console(width=120)
    names = dict.fromkeys(name for each in figures.values() for name in each)
    table = Table("figure", *figures)
    for name in names:
        table.add_row(
            name, *(f"{each[name]:.4g}" if name in each else "-" for each in figures.values())
        )
    console.print(table)
    targets = Table("target", "limit", "value", "")
    for target, value, is_met in verdicts(figures):
        what = target.figure if target.of is None else f"{target.figure} / floor's {target.of}"
        targets.add_row(what, f"{target.limit:g}", f"{value:.3g}", "ok" if is_met else "MISSED")
    console.print(targets)


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
                "limit": target.limit,
                "value": value,
                "reached": is_met,
            }
            for target, value, is_met in verdicts(figures)
        ],
    }
