"""The measurements. Times are wall-clock seconds, taken outside the measured process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from .api import Object, slices_of
from .fleet import MANAGED_SELECTOR, NAMESPACE, Fleet
from .subjects import SVCLINK, Subject, started

Figures = dict[str, float]
CHANGES: Final = 300
FIRST_CHANGES: Final = 100
CHANGE_PAUSE: Final = 0.03
IDLE_SECONDS: Final = 60
"""A multiple of the resync interval: every period has the same number of resyncs."""
BURST_SLICES: Final = 200
BURST_CHANGES: Final = 2_000
BURST_SECONDS: Final = 10
TIMEOUT_SECONDS: Final = 180


class Mirror:
    """The mirrored slices in main, followed by a watch.

    Attributes:
        first: The first address of each slice, by name.
        seen: When each first address was seen first.
        writes: The writes of each slice, by name.
    """

    def __init__(self) -> None:
        self.first: dict[str, str] = {}
        self.seen: dict[str, float] = {}
        self.writes: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def apply(self, item: Object, moment: float) -> None:
        name = item["metadata"]["name"]
        address = item["endpoints"][0]["addresses"][0]
        self.first[name] = address
        self.seen.setdefault(address, moment)
        self.writes[name] += 1
        self._changed.set()

    def remove(self, item: Object) -> None:
        self.first.pop(item["metadata"]["name"], None)
        self._changed.set()

    async def until_count(self, count: int) -> float:
        """Wait until there are this many slices; returns the time."""
        await self.until(lambda: len(self.first) == count)
        return time.perf_counter()

    async def until_all_seen(self, addresses: set[str]) -> None:
        """Wait until each address has been the first one of a slice."""
        await self.until(lambda: addresses <= self.seen.keys())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the mirrored slices fulfil a condition."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def follow_mirrors(fleet: Fleet, mirror: Mirror | None = None) -> AsyncIterator[Mirror]:
    """Follow the mirrored slices of main while the context is active."""
    mirror, path = mirror or Mirror(), slices_of(NAMESPACE)
    listing = await fleet.main.request("GET", path, labelSelector=MANAGED_SELECTOR)
    for item in listing["items"]:
        mirror.apply(item, time.perf_counter())
    version = listing["metadata"]["resourceVersion"]

    async def follow() -> None:
        async for event in fleet.main.watch(
            path, labelSelector=MANAGED_SELECTOR, resourceVersion=version
        ):
            if event["type"] == "DELETED":
                mirror.remove(event["object"])
            else:
                mirror.apply(event["object"], time.perf_counter())

    task = asyncio.create_task(follow())
    try:
        yield mirror
    finally:
        task.cancel()
        await asyncio.wait({task})


async def converge(name: str, fleet: Fleet, log: Path) -> Figures:
    """Measure a new process: from its start until main has all slices, and then some changes."""
    await fleet.clear()
    async with follow_mirrors(fleet) as mirror:
        await mirror.until_count(0)
        start = time.perf_counter()
        with started(name, fleet, log) as subject:
            done = await mirror.until_count(fleet.slices)
            spent = subject.cpu()
            await asyncio.sleep(2)
            peak, steady = subject.memory()
            await propagate(fleet, subject, FIRST_CHANGES)
            total = subject.cpu()
    return {
        "convergence seconds": done - start,
        "convergence CPU seconds": spent,
        "run CPU seconds": total,
        "peak MB": peak,
        "steady MB": steady,
    }


async def until_followed(fleet: Fleet) -> None:
    """Wait until the subject mirrors changes of each remote cluster."""
    async with follow_mirrors(fleet) as mirror, asyncio.timeout(TIMEOUT_SECONDS):
        for remote in fleet.remotes:
            is_followed = False
            while not is_followed:
                address = await fleet.change(remote, 0)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await mirror.until_all_seen({address})
                is_followed = address in mirror.seen


async def propagate(fleet: Fleet, subject: Subject, changes: int = CHANGES) -> Figures:
    """Measure the time from a PUT in a remote cluster until a watch of main sees the change."""
    async with follow_mirrors(fleet) as mirror:
        written = {}
        before = subject.cpu()
        # Each slice changes once: svclink may combine two changes of one slice into one write.
        slices = list(itertools.product(fleet.remotes, range(fleet.services)))
        for remote, service in random.sample(slices, min(changes, len(slices))):
            address = await fleet.change(remote, service)
            written[address] = time.perf_counter()
            await asyncio.sleep(CHANGE_PAUSE)
        await mirror.until_all_seen(set(written))
        spent = subject.cpu() - before
        delays = sorted(
            max(0.0, mirror.seen[address] - moment) * 1000 for address, moment in written.items()
        )
    cuts = statistics.quantiles(delays, n=100)
    return {
        "propagation p50 ms": cuts[49],
        "propagation p90 ms": cuts[89],
        "propagation p99 ms": cuts[98],
        "propagation CPU ms a change": spent / len(written) * 1000,
    }


async def idle(fleet: Fleet, subject: Subject) -> Figures:
    """Measure CPU time and requests while no object changes."""
    await asyncio.sleep(5)
    marks = {name: cluster.audit_mark() for name, cluster in fleet.clusters.items()}
    before = subject.cpu()
    await asyncio.sleep(IDLE_SECONDS)
    events = fleet.clusters["main"].audit_events(marks["main"], "svclink")
    return {
        "idle CPU % of a core": (subject.cpu() - before) / IDLE_SECONDS * 100,
        "idle writes": sum(event.writes for event in events),
        "idle lists": sum(event.verb == "list" for event in events),
    }


async def burst(fleet: Fleet) -> Figures:
    """Change a few slices often; measure the writes and the time to the final state."""
    expected: dict[tuple[str, int], str] = {}
    async with follow_mirrors(fleet) as mirror:
        before = mirror.writes.copy()
        start = time.perf_counter()
        for i in range(BURST_CHANGES):
            remote = random.choice(list(fleet.remotes))  # noqa: S311
            number = random.randrange(min(BURST_SLICES, fleet.services))  # noqa: S311
            key = remote, number
            expected[key] = await fleet.change(*key)
            await asyncio.sleep(
                max(0.0, start + (i + 1) * BURST_SECONDS / BURST_CHANGES - time.perf_counter())
            )
        last = time.perf_counter()
        await mirror.until_all_seen(set(expected.values()))
        end = max(mirror.seen[address] for address in expected.values())
        await asyncio.sleep(2)
        final = set(mirror.first.values())
        writes = mirror.writes - before
    seconds = last - start
    return {
        "burst writes": sum(writes.values()),
        "burst seconds to the final state": max(0.0, end - last),
        "burst most writes a second of a slice": max(writes.values()) / seconds,
        "burst slices wrong in the end": len(set(expected.values()) - final),
    }


async def restart(fleet: Fleet, log: Path) -> Figures:
    """Measure the writes, and the time until ready, of a start with everything mirrored."""
    mark = fleet.clusters["main"].audit_mark()
    start = time.perf_counter()
    port = free_port()
    with started(SVCLINK, fleet, log, "--listen-address", f"127.0.0.1:{port}"):
        ready = await until_ready(port) - start
        await asyncio.sleep(3)
    events = fleet.clusters["main"].audit_events(mark, "svclink")
    writes = sum(event.writes and event.resource == "endpointslices" for event in events)
    return {"restart seconds until ready": ready, "restart writes": writes}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def until_ready(port: int) -> float:
    """Wait until /readyz succeeds; returns the time."""
    async with asyncio.timeout(TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                    if response.status == 200:
                        return time.perf_counter()
            await asyncio.sleep(0.02)


async def longest_stall(port: int) -> Figures:
    """Return the longest event loop lag that the subject has measured itself."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as response,
    ):
        lines = (await response.text()).splitlines()
    (value,) = (
        line.split()[1]
        for line in lines
        if line.startswith("svclink_event_loop_lag_longest_seconds ")
    )
    return {"longest loop stall ms": float(value) * 1000}
