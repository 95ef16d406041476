"""svclink at sizes that need no real control plane: a million endpoints, a hundred remotes, a list of 35 MB.

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
"""Two rounds of planning, and a bookmark on every watch."""

RESTART_SECONDS: Final = 10
"""Enough to plan everything, after it is ready."""

PATIENCE_SECONDS: Final = 600

Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """What is generated, and what svclink may take of the machine then."""

    name: str
    remotes: int
    services: int
    endpoints: int
    limits: Figures


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
)


async def measure(size: Size, directory: Path) -> Figures:
    """One size: everything is mirrored, then nothing happens, and then a new process finds it mirrored."""
    wanted = size.remotes * size.services
    async with stub.serving(size.remotes, size.services, size.endpoints) as server:
        with _started(server, directory) as (subject, port):
            await server.until_created(wanted, PATIENCE_SECONDS)
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
        "writes that were not needed": server.created - wanted + server.other_writes,
        "remotes not synced": size.remotes - synced,
    }


@contextmanager
def _started(server: stub.Stub, directory: Path) -> Iterator[tuple[Subject, int]]:
    """A controller, and the port that it tells of itself on."""
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
    """Measure the sizes of these names, or all, show them, and tell whether all is within the limits."""
    is_enough = True
    table = Table("size", "figure", "is", "at most", "")
    for size in SIZES:
        if names and size.name not in names:
            continue
        figures = asyncio.run(measure(size, directory))
        for name, value in figures.items():
            limit = {
                "writes that were not needed": 0.0,
                "remotes not synced": 0.0,
                **size.limits,
            }.get(name)
            is_missed = limit is not None and value > limit
            is_enough &= not is_missed
            verdict = "" if limit is None else "MISSED" if is_missed else "ok"
            table.add_row(
                size.name, name, f"{value:.4g}", "" if limit is None else f"{limit:g}", verdict
            )
    Console(width=120).print(table)
    return is_enough
