"""Measure what hostile remotes cost the others, and how many links return from an outage.

python -m tests.bench --hostile
"""

from __future__ import annotations

import asyncio
import base64
import math
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.e2e.fault_proxy import FaultProxy
from tests.e2e.faults import Refusing
from tests.e2e.hostile_remotes import HOSTILE, included_namespaces
from tests.e2e.served_remotes import RemoteServer, ServedRemote, serving_remotes

from . import measures, report
from .api import Object
from .busy_remote import BusyRemote
from .fleet import LINKS, NAMESPACE, Fleet, cluster_link
from .measures import Figures
from .subjects import SVCLINK, started

SIZE: Final = {"remotes": 2, "services": 200, "endpoints": 10}
KEY: Final = f"{NAMESPACE}/s0"
HOSTILE_LINK: Final = "hostile"
REMOTES: Final[Mapping[str, type[ServedRemote]]] = {**HOSTILE, "busy": BusyRemote}
ALONE: Final = "no hostile remote"
OUTAGE: Final = "25 links after an outage"
RETURNING: Final = tuple(f"r{number:02}" for number in range(25))
OUTAGE_SECONDS: Final = 4
LIST_SECONDS: Final = 0.5
SETTLING_SECONDS: Final = 5
"""A start takes a second, whether a remote is hostile or not; and a burst may take another."""
P99: Final = "propagation p99 ms"
MEMORY: Final = "peak MB"
# The limits of ratios to the run without a hostile remote, of added memory, and of a return.
MOST_P99_RATIO: Final = 2.0
MOST_MEGABYTES: Final = 100.0
MOST_RETURN_RATIO: Final = 1.3
MOST_LISTS: Final = 1.0

Rows = list[tuple[str, str, float, float | None]]
"""Scenario, figure, value, and the limit of the value."""


async def measure(fleet: Fleet, names: list[str], rounds: int, log: Path) -> Rows:
    """Measure these scenarios, or all."""
    alone = await _medians(rounds, lambda: _propagate(fleet, log))
    rows: Rows = [(ALONE, figure, value, None) for figure, value in alone.items()]
    for name, kind in REMOTES.items():
        if names and name not in names:
            continue
        with _serving_apart(name) as kubeconfig:
            spec = {"includedNamespaces": included_namespaces(kind(HOSTILE_LINK, KEY))}
            async with _linked(fleet, {HOSTILE_LINK: kubeconfig}, spec):
                figures = await _medians(rounds, lambda: _propagate(fleet, log))
        rows += [(name, figure, value, None) for figure, value in figures.items()]
        # The changes of a busy remote are wanted, and written: the main cluster is busy then too.
        most = None if kind is BusyRemote else MOST_P99_RATIO
        rows.append((name, "p99 / p99 alone", figures[P99] / alone[P99], most))
        rows.append((name, "added peak MB", figures[MEMORY] - alone[MEMORY], MOST_MEGABYTES))
    if not names or OUTAGE in names:
        figures = await _medians(rounds, lambda: _return_from_outage(fleet, log))
        rows += [(OUTAGE, figure, value, _limit(figure)) for figure, value in figures.items()]
    return rows


def _limit(figure: str) -> float | None:
    limits = {"return / first start": MOST_RETURN_RATIO, "most lists of a kind": MOST_LISTS}
    return limits.get(figure)


async def _medians(rounds: int, once: Callable[[], Awaitable[Figures]]) -> Figures:
    return report.medians([await once() for _ in range(rounds)])


async def _propagate(fleet: Fleet, log: Path) -> Figures:
    """Propagation of the healthy remotes; infinite if svclink does not mirror them at all."""
    port = measures.free_port()
    with started(SVCLINK, fleet, log, "--listen-address", f"127.0.0.1:{port}") as subject:
        try:
            await measures.until_followed(fleet)
            await asyncio.sleep(SETTLING_SECONDS)
            figures = await measures.propagate(fleet, subject)
        except TimeoutError:
            return {P99: math.inf, MEMORY: math.inf}
        return figures | {MEMORY: subject.memory()[0]}


async def _return_from_outage(fleet: Fleet, log: Path) -> Figures:
    """The first start of many links, and their return from a common outage."""
    remotes = [
        ServedRemote(name, KEY, address, LIST_SECONDS) for name, address in _addresses(1).items()
    ]
    with serving_remotes(remotes) as server:
        proxy = FaultProxy(server.url)
        try:
            kubeconfigs = {name: server.kubeconfig(name, proxy.url) for name in RETURNING}
            async with _linked(fleet, kubeconfigs, {}):
                return await _lose_and_return(fleet, server, proxy, log)
        finally:
            proxy.close()


async def _lose_and_return(
    fleet: Fleet, server: RemoteServer, proxy: FaultProxy, log: Path
) -> Figures:
    async with measures.follow_mirrors(fleet) as mirror:
        start = time.perf_counter()
        with started(SVCLINK, fleet, log):
            await mirror.until_all_seen(set(_addresses(1).values()))
            first = time.perf_counter() - start
            await asyncio.sleep(5)
            proxy.fail(Refusing())
            proxy.reset_connections()
            await asyncio.sleep(OUTAGE_SECONDS)
            for name, address in _addresses(2).items():
                server.remotes[name].lists.clear()
                server.change(name, address)
            start = time.perf_counter()
            proxy.heal()
            await mirror.until_all_seen(set(_addresses(2).values()))
            back = time.perf_counter() - start
    return {
        "seconds of the first start": first,
        "seconds of the return": back,
        "return / first start": back / first,
        "most lists of a kind": max(
            max(remote.lists.values(), default=0) for remote in server.remotes.values()
        ),
    }


def _addresses(generation: int) -> dict[str, str]:
    return {name: f"10.77.{generation}.{number + 1}" for number, name in enumerate(RETURNING)}


@contextmanager
def _serving_apart(name: str) -> Iterator[str]:
    """Serve a hostile remote in another process, which does not slow down the clocks of this one.

    Yields the kubeconfig of a link to it.
    """
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_serve, args=(name, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


def _serve(name: str, parent: Connection) -> None:
    with serving_remotes([REMOTES[name](HOSTILE_LINK, KEY)]) as server:
        parent.send(server.kubeconfig(HOSTILE_LINK))
        parent.recv()


@asynccontextmanager
async def _linked(
    fleet: Fleet, kubeconfigs: Mapping[str, str], spec: Object
) -> AsyncIterator[None]:
    """A link for each kubeconfig, with these fields; they are deleted with their mirrors."""
    for name, kubeconfig in kubeconfigs.items():
        link = cluster_link(name, base64.b64encode(kubeconfig.encode()).decode())
        link["spec"] |= spec
        await fleet.main.request("POST", LINKS, link)
    yield
    for name in kubeconfigs:
        await fleet.main.request("DELETE", f"{LINKS}/{name}")
    await fleet.clear()


def show(rows: Rows) -> bool:
    """Print all figures; returns whether all limits are met."""
    table = Table("scenario", "figure", "value", "limit", "")
    all_met = True
    for scenario, figure, value, limit in rows:
        is_met = limit is None or value <= limit
        all_met &= is_met
        columns = ("", "")
        if limit is not None:
            columns = (f"{limit:g}", "ok" if is_met else "MISSED")
        table.add_row(scenario, figure, f"{value:.4g}", *columns)
    Console(width=120).print(table)
    return all_met
