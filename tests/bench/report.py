"""Targets, and the figures beside them: as a table, as JSON, and as an exit code."""

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
    """What must be reached: a ratio to a figure of the floor, or a value where there is no `of`."""

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
    """The median of each figure."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {
        name: statistics.median(figures[name] for figures in rounds if name in figures)
        for name in names
    }


def verdicts(figures: Mapping[str, Figures]) -> list[tuple[Target, float, bool]]:
    """Each target for which there is a figure: what it came to, and whether that is enough."""
    own, floor = figures[SVCLINK], figures.get(FLOOR, {})
    found = []
    for target in TARGETS:
        if target.figure not in own or (target.of is not None and target.of not in floor):
            continue
        value = (
            own[target.figure] / floor[target.of] if target.of is not None else own[target.figure]
        )
        found.append((target, value, value <= target.limit))
    return found


def show(figures: Mapping[str, Figures]) -> None:
    """The figures side by side, then the targets."""
    console = Console(width=120)
    names = dict.fromkeys(name for each in figures.values() for name in each)
    table = Table("figure", *figures)
    for name in names:
        table.add_row(
            name, *(f"{each[name]:.4g}" if name in each else "-" for each in figures.values())
        )
    console.print(table)
    reached = Table("target", "at most", "is", "")
    for target, value, is_enough in verdicts(figures):
        what = target.figure if target.of is None else f"{target.figure} / floor's {target.of}"
        reached.add_row(what, f"{target.limit:g}", f"{value:.3g}", "ok" if is_enough else "MISSED")
    console.print(reached)


def record(
    figures: Mapping[str, Figures], rounds: Mapping[str, Sequence[Figures]], size: Mapping[str, int]
) -> Any:
    """Everything, for a file."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "size": dict(size),
        "medians": dict(figures),
        "rounds": {name: list(each) for name, each in rounds.items()},
        "targets": [
            {
                "figure": target.figure,
                "of": target.of,
                "limit": target.limit,
                "value": value,
                "reached": is_enough,
            }
            for target, value, is_enough in verdicts(figures)
        ],
    }
