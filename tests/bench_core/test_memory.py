"""The memory of endpoints."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Final, TypeVar

from svclink_core import plan
from tests.bench_core.conftest import Report
from tests.bench_core.fleet import NOW, fresh, settled

CLUSTERS: Final = 10
SERVICES: Final = 100
ENDPOINTS: Final = 100

T = TypeVar("T")


def traced(make: Callable[[], T]) -> tuple[T, float]:
    """The result of a function, and the heap that it keeps, in bytes for each endpoint."""
    before, _ = tracemalloc.get_traced_memory()
    made = make()
    after, _ = tracemalloc.get_traced_memory()
    return made, (after - before) / (CLUSTERS * SERVICES * ENDPOINTS)


def test_memory(report: Report) -> None:
    """Heap for each endpoint of a remote cluster, of its plan, and of its stored mirror."""
    tracemalloc.start()
    try:
        found, known = traced(lambda: fresh(CLUSTERS, SERVICES, ENDPOINTS))
        decided, planned = traced(lambda: plan(found, NOW))
        mirrored, stored = traced(lambda: settled(found))
        again, kept = traced(lambda: plan(mirrored, NOW))
    finally:
        tracemalloc.stop()
    assert len(decided.changes) == CLUSTERS * SERVICES
    assert again.changes == ()
    report("heap of a remote endpoint, with its share of all objects", f"{known:.0f} bytes")
    report("more while it is planned from nothing, and kept", f"{planned:.0f} bytes")
    report("heap of its mirror, as read back", f"{stored:.0f} bytes")
    report("more for the plan that nothing changed", f"{kept:.1f} bytes")
