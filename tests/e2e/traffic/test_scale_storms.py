"""A local Deployment is scaled up and down at once, while a remote has a share."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pytest

from svclink_core.traffic_shares import WantedShare, share_numbers
from svclink_core.well_known import LABEL_CLUSTER, LABEL_SERVICE_NAME
from tests.builders.manifests import traffic_policy
from tests.e2e.api_client import Api
from tests.e2e.control_planes import CONTROLLER
from tests.e2e.polling import eventually
from tests.e2e.world import RecordMeasure

from .conftest import Draw
from .load import Load
from .shop import APP, OBSERVED_SECONDS, Shop, chi_square

FEW: Final = 3
MANY: Final = 60
REMOTE: Final = 10
PERCENT: Final = 10
LASTING_SECONDS: Final = 2.0
"""How long a number of local Pods must last until the share fits it."""

WATCHED_SECONDS: Final = LASTING_SECONDS + OBSERVED_SECONDS + 2
LIMIT: Final = 23.93
"""With one degree of freedom, a fair balance exceeds this limit in one of a million runs."""

MOST_STATUS_WRITES: Final = 3
"""The share becomes reachable and unreachable, and numbers are written once in half a minute."""


@dataclass(frozen=True)
class Sample:
    """How many local endpoints and active remote ones the Service had at a moment."""

    at: float
    local: int
    active: int


def wanted(local: int) -> int:
    """The number of active remote endpoints that comes nearest to the share."""
    return share_numbers(local, {"c1": WantedShare(PERCENT, REMOTE)})["c1"]


# It starts and stops 57 Pods, which takes a while on a busy machine.
@pytest.mark.timeout(240, func_only=True)
@pytest.mark.any_proxy_mode
def test_share_follows_a_scale_storm_with_few_writes(
    shop: Shop, draw: Draw, record_measure: RecordMeasure
) -> None:
    """From 3 local Pods to 60 and back, the share fits, and a slice is written once for each step.

    A step is a remote endpoint that becomes active or a standby, however many local Pods it takes.
    """
    shop.deploy({"main": FEW, "c1": REMOTE})
    key = f"{shop.world.namespace}/{APP}"
    shop.world.main.api.create(traffic_policy(key, {"name": "c1", "share": PERCENT}))
    eventually(lambda: assert_divided(shop, FEW))
    mark = shop.world.main.audit_mark()

    with watched(shop) as samples, shop.under_load() as load:
        start = time.time()
        kubelet, more = shop.kubelets["main"], [f"more-{number}" for number in range(MANY - FEW)]
        for pod in more:
            kubelet.run(pod, APP)
        eventually(lambda: assert_divided(shop, MANY))
        up = shop.await_ready_endpoints()
        time.sleep(WATCHED_SECONDS)  # Observe later requests.
        shrink = time.time()
        kubelet.terminate(*more)
        eventually(lambda: assert_divided(shop, FEW))
        down = shop.await_ready_endpoints()
        time.sleep(WATCHED_SECONDS)  # Observe later requests.

    draw(load, [(start, "to 60"), (up, "60"), (shrink, "to 3"), (down, "3")])
    assert not load.failures, load.table()
    assert misfits(samples) == []
    assert_balanced(load, up, shrink, MANY)
    assert_balanced(load, down, time.time(), FEW)
    writes = writes_since(shop, mark)
    for resource in sorted(writes):
        record_measure(f"writes to {resource}", writes[resource])
    assert writes["endpointslices"] <= 2 * (wanted(MANY) - wanted(FEW))
    assert writes["trafficpolicies/status"] <= MOST_STATUS_WRITES


def sample(api: Api, namespace: str) -> Sample:
    """What the Service has now."""
    at, counts = time.time(), Counter[bool]()
    for each in api.find("endpointslices", namespace, {LABEL_SERVICE_NAME: APP}):
        is_mirror = LABEL_CLUSTER in each["metadata"]["labels"]
        counts[is_mirror] += sum(
            member["conditions"]["ready"] for member in each["endpoints"] or ()
        )
    return Sample(at, counts[False], counts[True])


def assert_divided(shop: Shop, local: int) -> None:
    """Assert that the Service has this many local endpoints, and the share that fits."""
    now = sample(shop.world.main.api, shop.world.namespace)
    assert (now.local, now.active) == (local, wanted(local))


@contextmanager
def watched(shop: Shop) -> Iterator[list[Sample]]:
    """Sample the Service several times a second while the context is open."""
    api, samples, over = shop.world.main.new_api(), list[Sample](), threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            samples.append(sample(api, shop.world.namespace))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()
        api.close()


def misfits(samples: list[Sample]) -> list[Sample]:
    """The samples whose share fits none of the numbers of local endpoints shortly before."""
    found = []
    for number, each in enumerate(samples):
        earlier = samples[:number]
        recent = [other for other in earlier if other.at > each.at - LASTING_SECONDS]
        # What a number was before the first recent sample, it was at the sample before that.
        recent = [*earlier[: len(earlier) - len(recent)][-1:], *recent, each]
        numbers = [wanted(other.local) for other in recent]
        if not min(numbers) <= each.active <= max(numbers):
            found.append(each)
    return found


def assert_balanced(load: Load, start: float, end: float, local: int) -> None:
    """Assert that requests of a time were divided by this many local Pods and the share."""
    answered = Counter(str(each.cluster) for each in load.results if start < each.at < end)
    statistic = chi_square(answered, {"main": local, "c1": wanted(local)})
    assert statistic < LIMIT, f"{answered} beside {local} local Pods"


def writes_since(shop: Shop, mark: int) -> Counter[str]:
    """How often svclink wrote, by resource."""
    events = shop.world.main.audit_events(mark, CONTROLLER)
    return Counter(
        each.resource for each in events if each.writes and each.namespace == shop.world.namespace
    )
