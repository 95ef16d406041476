"""What is measured of a subject. Times are seconds of the wall clock, taken outside of the subject."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from .api import Object
from .fleet import MANAGED, NAMESPACE, Fleet, slices_of
from .subjects import SVCLINK, Subject, started

Figures = dict[str, float]
CHANGES: Final = 300
CHANGE_PAUSE: Final = 0.03
IDLE_SECONDS: Final = 30
BURST_SLICES: Final = 200
BURST_CHANGES: Final = 2_000
BURST_SECONDS: Final = 10
PATIENCE_SECONDS: Final = 180


class Mirror:
    """What the main cluster has, followed by a watch: the first address of each mirrored slice, and when it came."""

    def __init__(self) -> None:
        self.first: dict[str, str] = {}
        self.seen: dict[str, float] = {}
        self.writes: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def take(self, item: Object, moment: float) -> None:
        name = item["metadata"]["name"]
        address = item["endpoints"][0]["addresses"][0]
        self.first[name] = address
        self.seen.setdefault(address, moment)
        self.writes[name] += 1
        self._changed.set()

    def drop(self, item: Object) -> None:
        self.first.pop(item["metadata"]["name"], None)
        self._changed.set()

    async def until_count(self, count: int) -> float:
        """When there were so many slices."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.first) != count:
                self._changed.clear()
                await self._changed.wait()
        return time.perf_counter()

    async def until_all_seen(self, addresses: set[str]) -> None:
        """Return when each of these addresses was in some slice."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not addresses <= self.seen.keys():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def followed(fleet: Fleet) -> AsyncIterator[Mirror]:
    """The mirrored slices of the main cluster."""
    mirror, path = Mirror(), slices_of(NAMESPACE)
    listing = await fleet.main.request("GET", path, labelSelector=MANAGED)
    for item in listing["items"]:
        mirror.take(item, time.perf_counter())
    version = listing["metadata"]["resourceVersion"]

    async def follow() -> None:
        async for event in fleet.main.watch(path, labelSelector=MANAGED, resourceVersion=version):
            if event["type"] == "DELETED":
                mirror.drop(event["object"])
            else:
                mirror.take(event["object"], time.perf_counter())

    task = asyncio.create_task(follow())
    try:
        yield mirror
    finally:
        task.cancel()
        await asyncio.wait({task})


async def converge(name: str, fleet: Fleet, log: Path) -> Figures:
    """From the start of the process until every slice is in main."""
    await fleet.clear()
    async with followed(fleet) as mirror:
        await mirror.until_count(0)
        start = time.perf_counter()
        with started(name, fleet, log) as subject:
            done = await mirror.until_count(fleet.slices)
            await asyncio.sleep(2)
            peak, steady = subject.memory()
    return {"convergence seconds": done - start, "peak MB": peak, "steady MB": steady}


async def propagate(fleet: Fleet, subject: Subject) -> Figures:
    """From the answer to a PUT in a remote until the change arrives on a watch of main, for random changes."""
    async with followed(fleet) as mirror:
        answered = {}
        before = subject.cpu()
        # No slice twice: of two changes at short intervals svclink may show the later alone.
        for remote, service in random.sample(
            list(itertools.product(fleet.remotes, range(fleet.services))), CHANGES
        ):
            address = await fleet.change(remote, service)
            answered[address] = time.perf_counter()
            await asyncio.sleep(CHANGE_PAUSE)
        await mirror.until_all_seen(set(answered))
        spent = subject.cpu() - before
        delays = sorted(
            max(0.0, mirror.seen[address] - moment) * 1000 for address, moment in answered.items()
        )
    cuts = statistics.quantiles(delays, n=100)
    return {
        "propagation p50 ms": cuts[49],
        "propagation p90 ms": cuts[89],
        "propagation p99 ms": cuts[98],
        "propagation CPU ms a change": spent / CHANGES * 1000,
    }


async def idle(fleet: Fleet, subject: Subject) -> Figures:
    """What it does while nothing happens."""
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
    """Many changes of few slices: writes made, and the time from the last change to the final state."""
    wanted: dict[tuple[str, int], str] = {}
    async with followed(fleet) as mirror:
        before = mirror.writes.copy()
        start = time.perf_counter()
        for i in range(BURST_CHANGES):
            remote = random.choice(list(fleet.remotes))  # noqa: S311
            number = random.randrange(min(BURST_SLICES, fleet.services))  # noqa: S311
            key = remote, number
            wanted[key] = await fleet.change(*key)
            await asyncio.sleep(
                max(0.0, start + (i + 1) * BURST_SECONDS / BURST_CHANGES - time.perf_counter())
            )
        last = time.perf_counter()
        await mirror.until_all_seen(set(wanted.values()))
        end = max(mirror.seen[address] for address in wanted.values())
        await asyncio.sleep(2)
        final = set(mirror.first.values())
        writes = mirror.writes - before
    seconds = last - start
    return {
        "burst writes": sum(writes.values()),
        "burst seconds to the final state": max(0.0, end - last),
        "burst most writes a second of a slice": max(writes.values()) / seconds,
        "burst slices wrong in the end": len(set(wanted.values()) - final),
    }


async def restart(fleet: Fleet, log: Path) -> Figures:
    """A start with everything mirrored already: writes made, and the time until it says that it is ready."""
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
    """When /readyz said yes."""
    async with asyncio.timeout(PATIENCE_SECONDS), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                    if response.status == 200:
                        return time.perf_counter()
            await asyncio.sleep(0.02)


async def longest_stall(port: int) -> Figures:
    """The longest time its event loop was not serviced, as it measures that itself."""
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
