"""Storm: all Pods of many Services of one remote cluster roll at once."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from typing import Final

from .api import Object, slices_of
from .fleet import NAMESPACE, Fleet, all_of, slice_of
from .measures import Figures, Mirror, follow_mirrors

MOST_SERVICES: Final = 500
STORMS: Final = itertools.count(1)


class RollingMirror(Mirror):
    """The mirrored slices, and how many Pods of the current storm each of them had when.

    Args:
        storm: The second octet of the addresses of new Pods.
    """

    def __init__(self, storm: int) -> None:
        super().__init__()
        self.rolled: dict[str, list[tuple[float, int]]] = {}
        self.most: dict[str, int] = {}
        self._prefix = f"11.{storm}."

    def apply(self, item: Object, moment: float) -> None:
        addresses = [each["addresses"][0] for each in item["endpoints"]]
        count = sum(each.startswith(self._prefix) for each in addresses)
        name = item["metadata"]["name"]
        self.rolled.setdefault(name, []).append((moment, count))
        self.most[name] = max(self.most.get(name, 0), count)
        super().apply(item, moment)

    def has_rolled(self, name: str, count: int) -> bool:
        """Return whether a slice has had so many new Pods."""
        return self.most.get(name, 0) >= count

    def reached(self, name: str, count: int) -> float:
        """Return when a slice first had so many new Pods; infinite if it never had."""
        return min(
            (at for at, have in self.rolled.get(name, ()) if have >= count), default=math.inf
        )


async def storm(fleet: Fleet) -> Figures:
    """Replace the Pods of the Services one after the other, as fast as the API server takes it."""
    remote, number = next(iter(fleet.remotes)), next(STORMS) % 250
    services = range(min(MOST_SERVICES, fleet.services))
    changed: dict[tuple[str, int], float] = {}

    async def roll(service: int) -> None:
        """Replace one Pod at a time, each by one write as of the EndpointSlice controller."""
        slices = [slice_of(service, each) for each in _steps(service, number, fleet.endpoints)]
        for count, content in enumerate(slices, start=1):
            path = f"{slices_of(NAMESPACE)}/{content['metadata']['name']}"
            await fleet.remotes[remote].request("PUT", path, content)
            changed[f"s{service}-{remote}", count] = time.perf_counter()

    async with follow_mirrors(fleet, RollingMirror(number)) as mirror:
        assert isinstance(mirror, RollingMirror)
        writes = mirror.writes.total()
        await all_of(roll(service) for service in services)
        last = max(changed.values())
        names = [f"s{service}-{remote}" for service in services]
        await mirror.until(lambda: all(mirror.has_rolled(name, fleet.endpoints) for name in names))
        equal = max(mirror.reached(name, fleet.endpoints) for name in names)
        writes = mirror.writes.total() - writes
    delays = [
        max(0.0, mirror.reached(name, count) - at) * 1000 for (name, count), at in changed.items()
    ]
    cuts = statistics.quantiles(delays, n=100)
    return {
        "storm seconds until equal": max(0.0, equal - last),
        "storm p50 ms": cuts[49],
        "storm p99 ms": cuts[98],
        "storm writes a slice": writes / len(names),
    }


def _steps(service: int, storm: int, pods: int) -> list[list[Object]]:
    """Return the endpoints of a Service after each Pod was replaced."""
    old = [_endpoint(f"10.{service // 250}.{service % 250}.{pod}") for pod in range(pods)]
    last = pods * (service // 250)
    new = [_endpoint(f"11.{storm}.{service % 250}.{last + pod}") for pod in range(pods)]
    return [new[: count + 1] + old[count + 1 :] for count in range(pods)]


def _endpoint(address: str) -> Object:
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": "node-1",
        "zone": "zone-a",
    }
