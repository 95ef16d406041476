"""Measure svclink at sizes that are too large for real control planes on one machine.

python -m tests.bench --sizes
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from . import measures, stub
from .subjects import Subject, running

QUIET_SECONDS: Final = 40
IDLE_SECONDS: Final = 60
"""Long enough for two rounds of planning and a bookmark on each watch."""

RESTART_SECONDS: Final = 10
"""Long enough to plan everything after the start."""

TIMEOUT_SECONDS: Final = 600

Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """The size of the generated clusters, and the limits for svclink at this size.

    Args:
        selected: Number of Services that the links select; None for all.
    """

    name: str
    remotes: int
    services: int
    endpoints: int
    limits: Figures
    selected: int | None = None


SIZES: Final = (
    Size("a list of 35 MB", 1, 1_000, 100, {"longest loop stall ms": 100}),
    Size("ten remotes", 10, 1_000, 10, {"idle CPU % of a core": 1}),
    Size("a hundred remotes", 100, 100, 10, {"peak MB": 1_000, "idle CPU % of a core": 10}),
    Size(
        "a million endpoints",
        10,
        1_000,
        100,
        {"peak MB": 600, "peak MB after a restart": 600, "longest loop stall ms": 100},
    ),
    Size("50 Services", 1, 50, 10, {}),
    Size("50 selected of 20,000 Services", 1, 20_000, 10, {}, selected=50),
)

LIMITS_OF_ALL: Final = {"writes that were not needed": 0.0, "remotes not synced": 0.0}


async def measure(size: Size, directory: Path) -> Figures:
    """Measure mirroring everything, an idle period, and a restart."""
    clusters = stub.serving(size.remotes, size.services, size.endpoints, size.selected)
    async with clusters as server:
        expected = size.remotes * server.mirrored
        with _started(server, directory) as (subject, port):
            await server.until_created(expected, TIMEOUT_SECONDS)
            spent = subject.cpu()
            await asyncio.sleep(QUIET_SECONDS)
            before = subject.cpu()
            await asyncio.sleep(IDLE_SECONDS)
            idle = (subject.cpu() - before) / IDLE_SECONDS * 100
            peak, steady = subject.memory()
            synced = sum(
                link.get("status", {}).get("phase") == "Ready" for link in server.links.values()
            )
            stall = await measures.longest_stall(port)
        with _started(server, directory) as (subject, port):
            await measures.until_ready(port)
            await asyncio.sleep(RESTART_SECONDS)
            again = {"peak MB": subject.memory()[0], **await measures.longest_stall(port)}
    return {
        "CPU seconds until all is mirrored": spent,
        "peak MB": peak,
        "steady MB": steady,
        "idle CPU % of a core": idle,
        **stall,
        **{f"{name} after a restart": value for name, value in again.items()},
        "writes that were not needed": server.created - expected + server.other_writes,
        "remotes not synced": size.remotes - synced,
    }


@contextmanager
def _started(server: stub.Stub, directory: Path) -> Iterator[tuple[Subject, int]]:
    """Run a controller; yields it and the port of its metrics."""
    kubeconfig, port = directory / "main.kubeconfig", measures.free_port()
    kubeconfig.write_text(server.kubeconfig(stub.MAIN), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "svclink_controller",
        "--kubeconfig",
        str(kubeconfig),
        "--log-level=warning",
    ]
    with running([*command, f"--listen-address=127.0.0.1:{port}"], directory / "log") as subject:
        yield subject, port


def run(names: list[str], directory: Path) -> bool:
    """Measure and print these sizes, or all; returns whether all limits are met."""
    all_met = True
    table = Table("size", "figure", "value", "limit", "")
    for size in SIZES:
        if names and size.name not in names:
            continue
        limits = LIMITS_OF_ALL | size.limits
        for name, value in asyncio.run(measure(size, directory)).items():
            limit_columns = ("", "")
            if name in limits:
                is_met = value <= limits[name]
                all_met &= is_met
                limit_columns = (f"{limits[name]:g}", "ok" if is_met else "MISSED")
            table.add_row(size.name, name, f"{value:.4g}", *limit_columns)
    Console(width=120).print(table)
    return all_met
