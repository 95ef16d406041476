"""Takeover: the leader of two replicas ends, and the other one goes on."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from . import measures
from .fleet import Fleet
from .measures import Figures
from .subjects import SVCLINK, Subject, started

CHANGE_PAUSE: Final = 0.05


async def takeovers(fleet: Fleet, log: Path) -> Figures:
    """Measure the longest time without mirroring, after SIGTERM and after SIGKILL of the leader."""
    return {
        "takeover seconds, graceful": await _takeover(fleet, log, Subject.terminate, 6),
        "takeover seconds, killed": await _takeover(fleet, log, Subject.kill, 20),
    }


async def _takeover(
    fleet: Fleet, log: Path, end: Callable[[Subject], None], seconds: float
) -> float:
    """Return the longest time from a change to its mirror, while one change follows the other."""
    port = measures.free_port()
    with started(SVCLINK, fleet, log, "--leader-elect") as leader:
        await measures.until_followed(fleet)
        flags = ("--leader-elect", "--listen-address", f"127.0.0.1:{port}")
        with started(SVCLINK, fleet, log, *flags):
            await measures.until_ready(port)
            await asyncio.sleep(2)
            async with measures.follow_mirrors(fleet) as mirror:
                end(leader)
                written = await _changes(fleet, seconds)
                await mirror.until_all_seen(set(written))
    return max(mirror.seen[address] - moment for address, moment in written.items())


async def _changes(fleet: Fleet, seconds: float) -> dict[str, float]:
    """Change each slice at most once, for some time; returns when each address was written."""
    written: dict[str, float] = {}
    pause = max(CHANGE_PAUSE, seconds / fleet.slices)
    end = time.perf_counter() + seconds
    for service, remote in itertools.product(range(fleet.services), fleet.remotes):
        if time.perf_counter() > end:
            break
        address = await fleet.change(remote, service)
        written[address] = time.perf_counter()
        await asyncio.sleep(pause)
    return written
