"""`nox -s bench`: svclink beside the floor, on real control planes. Exits 1 when a target is missed.

nox -s bench -- --remotes 2 --services 1000 --endpoints 10 --rounds 3 --json bench.json
nox -s bench -- --sizes
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import measures, report, sizes
from .fleet import Fleet, made
from .measures import Figures
from .subjects import FLOOR, ROOT, SVCLINK, started


async def measure(fleet: Fleet, rounds: int, log: Path) -> dict[str, list[Figures]]:
    """Both subjects in turn, so that what disturbs the machine disturbs both."""
    found: dict[str, list[Figures]] = {FLOOR: [], SVCLINK: []}
    for number in range(rounds):
        for name in (FLOOR, SVCLINK):
            say(f"round {number + 1} of {rounds}: {name}")
            figures = await measures.converge(name, fleet, log)
            figures |= await steady(name, fleet, log)
            found[name].append(figures)
    say("restart with everything mirrored")
    for _ in range(rounds):
        found[SVCLINK].append(await measures.restart(fleet, log))
    return found


async def steady(name: str, fleet: Fleet, log: Path) -> Figures:
    """What is measured of a subject that runs already."""
    flags: tuple[str, ...] = ()
    port = measures.free_port()
    if name == SVCLINK:
        flags = ("--listen-address", f"127.0.0.1:{port}")
    with started(name, fleet, log, *flags) as subject:
        if name == SVCLINK:
            await measures.until_ready(port)
        await asyncio.sleep(5)
        figures = await measures.propagate(fleet, subject)
        if name == SVCLINK:
            figures |= await measures.idle(fleet, subject)
        figures |= await measures.burst(fleet)
        if name == SVCLINK:
            figures |= await measures.longest_stall(port)
    return figures


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="nox -s bench --", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--remotes", type=int, default=2, help="remote clusters")
    parser.add_argument(
        "--services", type=int, default=1_000, help="Services, each in every cluster"
    )
    parser.add_argument(
        "--endpoints", type=int, default=10, help="endpoints of each in each remote"
    )
    parser.add_argument("--rounds", type=int, default=3, help="times that each subject is measured")
    parser.add_argument("--json", type=Path, help="file for everything that was measured")
    parser.add_argument(
        "--sizes", nargs="*", metavar="NAME", help="measure svclink alone, at the sizes in sizes.py"
    )
    chosen = parser.parse_args(arguments)
    if chosen.sizes is not None:
        with tempfile.TemporaryDirectory(prefix="svclink-bench-") as directory:
            return 0 if sizes.run(chosen.sizes, Path(directory)) else 1
    command = [sys.executable, str(ROOT / "hack" / "envtest" / "assets.py")]
    binaries = Path(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    )

    async def run(directory: Path) -> dict[str, list[Figures]]:
        say("starting and filling the clusters")
        async with made(
            binaries, directory, chosen.remotes, chosen.services, chosen.endpoints
        ) as fleet:
            return await measure(fleet, chosen.rounds, directory / "subjects.log")

    with tempfile.TemporaryDirectory(prefix="svclink-bench-") as directory:
        rounds = asyncio.run(run(Path(directory)))
    figures = {name: report.medians(each) for name, each in rounds.items()}
    report.show(figures)
    if chosen.json is not None:
        size = {
            "remotes": chosen.remotes,
            "services": chosen.services,
            "endpoints": chosen.endpoints,
        }
        chosen.json.write_text(
            json.dumps(report.record(figures, rounds, size), indent=2) + "\n", encoding="utf-8"
        )
    return 0 if all(is_enough for _, _, is_enough in report.verdicts(figures)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
