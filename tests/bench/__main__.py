"""Compare svclink with mirrors without logic on real control planes; a missed target gives code 1.

nox -s bench -- --remotes 2 --services 1000 --endpoints 10 --rounds 3 --json bench.json
nox -s bench -- --compare bench.json
nox -s bench -- --sizes
nox -s bench -- --hostile
nox -s bench -- --policies
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import hostile, measures, policies, report, sizes
from .fleet import Fleet, running_fleet
from .measures import Figures
from .storm import storm
from .subjects import SUBJECTS, SVCLINK, built, started
from .takeover import takeovers


async def measure(fleet: Fleet, rounds: int, log: Path) -> dict[str, list[Figures]]:
    """Measure all subjects in turn, so that a busy machine slows down each of them."""
    figures_of: dict[str, list[Figures]] = {name: [] for name in SUBJECTS}
    for number in range(rounds):
        for name in SUBJECTS:
            log_progress(f"round {number + 1} of {rounds}: {name}")
            figures = await measures.converge(name, fleet, log)
            figures |= await steady(name, fleet, log)
            figures_of[name].append(figures)
    log_progress("restarting with everything mirrored")
    for _ in range(rounds):
        figures_of[SVCLINK].append(await measures.restart(fleet, log))
    log_progress("replacing the leader of two replicas")
    for _ in range(rounds):
        figures_of[SVCLINK].append(await takeovers(fleet, log))
    return figures_of


async def steady(name: str, fleet: Fleet, log: Path) -> Figures:
    """Measure a subject that has mirrored everything."""
    flags: tuple[str, ...] = ()
    port = measures.free_port()
    if name == SVCLINK:
        flags = ("--listen-address", f"127.0.0.1:{port}")
    with started(name, fleet, log, *flags) as subject:
        if name == SVCLINK:
            await measures.until_ready(port)
        await measures.until_followed(fleet)
        await asyncio.sleep(5)
        figures = await measures.propagate(fleet, subject)
        if name == SVCLINK:
            figures |= await measures.idle(fleet, subject)
        figures |= await measures.burst(fleet)
        figures |= await storm(fleet)
        if name == SVCLINK:
            figures |= await measures.longest_stall(port)
    return figures


def log_progress(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(arguments: Sequence[str]) -> int:
    options = argument_parser().parse_args(arguments)
    if options.sizes is not None:
        with tempfile.TemporaryDirectory(prefix="svclink-bench-") as directory:
            return 0 if sizes.run(options.sizes, Path(directory)) else 1
    binaries = built()
    if options.hostile is not None:
        return 0 if run_hostile(options, binaries) else 1
    if options.policies:
        report.show({SVCLINK: run_policies(binaries)})
        return 0
    size = {name: getattr(options, name) for name in ("remotes", "services", "endpoints")}

    async def run(directory: Path) -> dict[str, list[Figures]]:
        log_progress("starting the clusters and creating their objects")
        async with running_fleet(binaries, directory, **size) as fleet:
            return await measure(fleet, options.rounds, directory / "subjects.log")

    with tempfile.TemporaryDirectory(prefix="svclink-bench-") as directory:
        rounds = asyncio.run(run(Path(directory)))
    figures = {name: report.medians(each) for name, each in rounds.items()}
    report.show(figures)
    report.show_targets(figures)
    if options.compare is not None:
        stored = json.loads(options.compare.read_text(encoding="utf-8"))["medians"]
        report.show_worse(report.worse_than(stored, figures))
    if options.json is not None:
        record = report.record(figures, rounds, size)
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0 if all(is_met or each.is_goal for each, _, is_met in report.verdicts(figures)) else 1


def run_hostile(options: argparse.Namespace, binaries: Path) -> bool:
    """Measure and print hostile scenarios; returns whether all limits are met."""

    async def run(directory: Path) -> hostile.Rows:
        log = directory / "subjects.log"
        async with running_fleet(binaries, directory, **hostile.SIZE) as fleet:
            return await hostile.measure(fleet, options.hostile, options.rounds, log)

    with tempfile.TemporaryDirectory(prefix="svclink-bench-") as directory:
        return hostile.show(asyncio.run(run(Path(directory))))


def run_policies(binaries: Path) -> Figures:
    """Measure svclink with a TrafficPolicy for each Service."""

    async def run(directory: Path) -> Figures:
        async with running_fleet(binaries, directory, **policies.SIZE) as fleet:
            return await policies.measure(fleet, directory / "subjects.log")

    with tempfile.TemporaryDirectory(prefix="svclink-bench-") as directory:
        return asyncio.run(run(Path(directory)))


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="nox -s bench --", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    add("--remotes", type=int, default=2, help="remote clusters")
    add("--services", type=int, default=1_000, help="Services in each cluster")
    add(
        "--endpoints",
        type=int,
        default=10,
        help="endpoints of each Service in each remote cluster",
    )
    add("--rounds", type=int, default=3, help="how often each subject is measured")
    add("--json", type=Path, help="write all figures to this file")
    add(
        "--compare",
        type=Path,
        metavar="FILE",
        help="print what got over 10%% worse than in this file of --json, as a ratio to native",
    )
    add(
        "--sizes",
        nargs="*",
        metavar="NAME",
        help="measure only svclink, at these sizes of sizes.py (default: all)",
    )
    add(
        "--hostile",
        nargs="*",
        metavar="NAME",
        help="measure svclink beside these hostile remotes of hostile_remotes.py (default: all),"
        " and 25 links after an outage",
    )
    add(
        "--policies",
        action="store_true",
        help="measure only svclink, with 2,000 Services that have a TrafficPolicy each",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
