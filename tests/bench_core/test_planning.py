"""The time of a plan, for everything and for one Service, and how it grows."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from statistics import linear_regression
from time import process_time
from typing import Final, TypeAlias

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from svclink_core import NamespacedName, Plan, Planner, Snapshot, plan, plan_service
from tests.bench_core.conftest import Report
from tests.bench_core.fleet import NOW, forgetful, fresh, key_of, settled

CLUSTERS: Final = 10
SERVICES: Final = 1_000
ENDPOINTS: Final = 100


@pytest.fixture(scope="module")
def everything() -> Snapshot:
    """A million endpoints, none of them mirrored."""
    return fresh(CLUSTERS, SERVICES, ENDPOINTS)


@pytest.fixture(scope="module")
def everything_mirrored(everything: Snapshot) -> Snapshot:
    """A million endpoints, all of them mirrored."""
    return settled(everything)


Arguments: TypeAlias = tuple[Snapshot, float] | tuple[Snapshot, NamespacedName, float]


def timed(
    benchmark: BenchmarkFixture,
    function: Callable[..., Plan],
    arguments: Callable[[], Arguments],
    rounds: int,
) -> Plan:
    """The plan of a function, timed over some rounds with new arguments for each."""

    def setup() -> tuple[Arguments, dict[str, object]]:
        made = arguments()
        gc.freeze()
        return made, {}

    decided: Plan = benchmark.pedantic(function, setup=setup, rounds=rounds)  # type: ignore[no-untyped-call]
    return decided


def test_from_nothing(benchmark: BenchmarkFixture, everything: Snapshot) -> None:
    """1 M endpoints, none mirrored, seen for the first time: everything is created."""
    decided = timed(benchmark, plan, lambda: (forgetful(everything), NOW), 7)
    assert len(decided.changes) == CLUSTERS * SERVICES


def test_nothing_changed_at_start(
    benchmark: BenchmarkFixture, everything_mirrored: Snapshot
) -> None:
    """1 M endpoints, all mirrored, seen for the first time: nothing is changed."""
    assert timed(benchmark, plan, lambda: (forgetful(everything_mirrored), NOW), 7).changes == ()


def test_nothing_changed(benchmark: BenchmarkFixture, everything_mirrored: Snapshot) -> None:
    """1 M endpoints, all mirrored, as at every resync: nothing is changed."""
    planner = Planner()
    planner.plan(everything_mirrored, NOW)
    assert timed(benchmark, planner.plan, lambda: (everything_mirrored, NOW), 7).changes == ()


def test_one_service(benchmark: BenchmarkFixture) -> None:
    """One Service with 10 x 100 endpoints, seen for the first time: everything is created."""
    found = fresh(CLUSTERS, 1, ENDPOINTS)
    decided = timed(benchmark, plan_service, lambda: (forgetful(found), key_of(0), NOW), 300)
    assert len(decided.changes) == CLUSTERS


def test_one_service_unchanged(benchmark: BenchmarkFixture) -> None:
    """One Service with 10 x 100 endpoints, all mirrored, seen for the first time: no change."""
    found = settled(fresh(CLUSTERS, 1, ENDPOINTS))
    assert (
        timed(benchmark, plan_service, lambda: (forgetful(found), key_of(0), NOW), 300).changes
        == ()
    )


def test_growth(report: Report, everything: Snapshot) -> None:
    """The exponent of the time of a plan over 10^3, 10^4, 10^5 and 10^6 endpoints: 1 is linear."""
    sizes = {
        1: fresh(CLUSTERS, 1, ENDPOINTS),
        10: fresh(CLUSTERS, 10, ENDPOINTS),
        100: fresh(CLUSTERS, 100, ENDPOINTS),
    }
    points = [
        (services * CLUSTERS * ENDPOINTS, min(seconds(found) for _ in range(7)))
        for services, found in {**sizes, SERVICES: everything}.items()
    ]
    slope, _ = linear_regression(
        [math.log(size) for size, _ in points], [math.log(time) for _, time in points]
    )
    for size, time in points:
        report(f"first plan of {size:,} endpoints", f"{time * 1e3:.2f} ms of CPU")
    report("exponent of the time over the number of endpoints", f"{slope:.2f}")
    assert len(points) == len(sizes) + 1


def seconds(found: Snapshot) -> float:
    """CPU seconds of a first plan."""
    anew = forgetful(found)
    gc.freeze()
    start = process_time()
    plan(anew, NOW)
    return process_time() - start


def test_collection(report: Report, everything_mirrored: Snapshot) -> None:
    """The pause of the garbage collector with and without `gc.freeze()`."""
    assert everything_mirrored.main.names
    gc.unfreeze()
    start = process_time()
    gc.collect()
    report(
        "garbage collection, 2 M endpoints in memory",
        f"{(process_time() - start) * 1e3:.0f} ms of CPU",
    )
    gc.freeze()
    start = process_time()
    gc.collect()
    report("the same after gc.freeze()", f"{(process_time() - start) * 1e3:.0f} ms of CPU")
