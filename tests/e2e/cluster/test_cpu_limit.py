"""svclink with very little CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import pytest

from tests.e2e.polling import eventually
from tests.e2e.world import Kubectl, RecordMeasure

from .cgroups import throttled_periods
from .probe import Probe
from .shop import SVCLINK_NAMESPACE, Shop

CHANGES = 20


@pytest.fixture
def limited(shop: Shop, kubectl: Kubectl, record_measure: RecordMeasure) -> Iterator[Shop]:
    """The Pods of svclink may use a fifth of a CPU each."""
    deployment = ("deployment/svclink", "--namespace", SVCLINK_NAMESPACE)
    start = time.monotonic()
    kubectl("set", "resources", *deployment, "--limits=cpu=200m,memory=512Mi")
    shop.await_svclink()
    record_measure("seconds until both Pods with 200m CPU were ready", time.monotonic() - start)
    yield shop
    kubectl("rollout", "undo", *deployment)
    shop.await_svclink()


def test_leader_with_a_fifth_of_a_cpu_keeps_the_lease(
    limited: Shop, probe: Probe, record_measure: RecordMeasure
) -> None:
    """svclink is throttled, and yet it starts, mirrors changes, and the leader keeps the Lease."""
    leader, containers = eventually(limited.leader), limited.svclink_containers()
    probe.await_mirrored(probe.change())

    lags = []
    for _ in range(CHANGES):
        start = time.monotonic()
        probe.await_mirrored(probe.change())
        lags.append(time.monotonic() - start)

    median = statistics.median(lags)
    record_measure("median seconds from a change to its mirror with 200m CPU", median)
    record_measure("the longest of these", max(lags))
    assert throttled_periods(containers[leader]) > 0
    assert limited.svclink_containers() == containers
    assert limited.leader() == leader
