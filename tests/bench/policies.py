"""Services with a TrafficPolicy each, whose local Pods scale."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from pathlib import Path
from typing import Any, Final

from .api import Object, slices_of
from .fleet import NAMESPACE, Fleet, all_of, endpoint, slice_of
from .measures import Figures, Mirror, follow_mirrors
from .subjects import SVCLINK, started

SIZE: Final = {"remotes": 2, "services": 2_000, "endpoints": 10}
SHARE: Final = 10
FEW: Final = 10
MANY: Final = 50
"""Local endpoints. With these, a share of 10% of the first remote is 2 and 7 of its endpoints."""

CHANGES: Final = 300
CHANGE_PAUSE: Final = 0.03
POLICIES: Final = f"/apis/svclink.cloudpilot.ai/v1alpha1/namespaces/{NAMESPACE}/trafficpolicies"


class SharedMirror(Mirror):
    """The mirrored slices, and when each of them got another number of active endpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.active: dict[str, int] = {}
        self.changed: dict[str, float] = {}

    def apply(self, item: Object, moment: float) -> None:
        name = item["metadata"]["name"]
        active = sum(each["conditions"]["ready"] for each in item["endpoints"])
        if self.active.get(name) != active:
            self.active[name], self.changed[name] = active, moment
        super().apply(item, moment)


async def measure(fleet: Fleet, log: Path) -> Figures:
    """Measure a start in which all shares are applied, and changes of the local endpoints."""
    remote = next(iter(fleet.remotes))
    await _create_policies(fleet, remote)
    names = [f"s{number}-{remote}" for number in range(fleet.services)]
    start = time.perf_counter()
    with started(SVCLINK, fleet, log) as subject:
        async with follow_mirrors(fleet, SharedMirror()) as mirror:
            assert isinstance(mirror, SharedMirror)
            await mirror.until_count(fleet.slices)
            await mirror.until(lambda: all(mirror.active[name] == 2 for name in names))
            shared = max(mirror.changed[name] for name in names) - start
            await asyncio.sleep(5)
            spent = subject.cpu()
            delays = await _scale(fleet, mirror, remote)
            spent = subject.cpu() - spent
            peak, _ = subject.memory()
    cuts = statistics.quantiles(delays, n=100)
    return {
        "seconds until all shares are applied": shared,
        "share p50 ms": cuts[49],
        "share p99 ms": cuts[98],
        "CPU ms a change": spent / len(delays) * 1000,
        "peak MB": peak,
    }


async def _scale(fleet: Fleet, mirror: SharedMirror, remote: str) -> list[float]:
    """Scale local Pods of random Services; returns the milliseconds until the share follows."""
    written: dict[str, float] = {}
    for number in random.sample(range(fleet.services), CHANGES):
        path = f"{slices_of(NAMESPACE)}/s{number}-x7k2p"
        await fleet.main.request("PUT", path, _local(number, MANY))
        written[f"s{number}-{remote}"] = time.perf_counter()
        await asyncio.sleep(CHANGE_PAUSE)
    await mirror.until(lambda: all(mirror.active[name] == 7 for name in written))
    return [max(0.0, mirror.changed[name] - moment) * 1000 for name, moment in written.items()]


async def _create_policies(fleet: Fleet, remote: str) -> None:
    numbers = range(fleet.services)
    await all_of(
        fleet.main.request("POST", slices_of(NAMESPACE), _local(number, FEW)) for number in numbers
    )
    await all_of(
        fleet.main.request("POST", POLICIES, _policy(number, remote)) for number in numbers
    )


def _local(number: int, endpoints: int) -> Object:
    return slice_of(number, [endpoint() for _ in range(endpoints)])


def _policy(number: int, remote: str) -> dict[str, Any]:
    target = {"kind": "Service", "name": f"s{number}"}
    return {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": f"s{number}", "namespace": NAMESPACE},
        "spec": {"targetRef": target, "clusters": [{"name": remote, "share": SHARE}]},
    }
