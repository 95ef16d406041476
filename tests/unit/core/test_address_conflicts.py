"""Addresses that two clusters claim: one fact a test."""

from __future__ import annotations

import pytest

from svclink_core import EndpointSlice, Finding, Reason, Service, Snapshot, plan
from svclink_core.well_known import LABEL_GO_CLUSTER, LABEL_SERVICE_NAME
from tests.builders.keys import WEB
from tests.builders.values import cluster, foreign_slice, remote_slice, service, snapshot_of
from tests.unit.core.world import NOW


def test_two_clusters() -> None:
    """An address that two clusters have is told to both of them."""
    one = cluster("c1", remote_slice("w", "10.0.0.1", "10.0.0.2"))
    found = snapshot_of(one, cluster("c2", remote_slice("w", "10.0.0.2")))
    assert plan(found, NOW).findings == (
        Finding(WEB, "c1", Reason.ADDRESS_CONFLICT, ("10.0.0.2 (c2)",)),
        Finding(WEB, "c2", Reason.ADDRESS_CONFLICT, ("10.0.0.2 (c1)",)),
    )


def test_a_local_pod() -> None:
    """An address that a local Pod has is told to the cluster."""
    local = foreign_slice("web-local", labels={LABEL_SERVICE_NAME: "web"})
    found = snapshot_of(cluster("c1", remote_slice("w", "10.9.9.9")), slices=[local])
    assert plan(found, NOW).findings == (
        Finding(WEB, "c1", Reason.ADDRESS_CONFLICT, ("10.9.9.9 (the main cluster)",)),
    )


def test_no_conflict() -> None:
    """Neither a cluster's own two slices nor what the Go release left of it are a conflict."""
    leftover = foreign_slice("web-old", labels={LABEL_SERVICE_NAME: "web", LABEL_GO_CLUSTER: "c1"})
    slices = [remote_slice("w1", "10.9.9.9"), remote_slice("w2", "10.9.9.9")]
    found = snapshot_of(
        cluster("c1", *slices), cluster("c2", remote_slice("w", "10.0.0.2")), slices=[leftover]
    )
    assert plan(found, NOW).findings == ()


def two(main: Service, first: EndpointSlice, *second: EndpointSlice) -> Snapshot:
    """Two clusters, and a main Service that remembers what was found of it before."""
    return snapshot_of(cluster("c1", first), cluster("c2", *second), services=[main])


def test_what_is_known_is_of_these_endpoints_only() -> None:
    """That a Service once had no conflict hides none that comes later, and one that is over is not told again."""
    main, first = service(), remote_slice("w", "10.0.0.1")
    other, same = remote_slice("w", "10.0.0.2"), remote_slice("w", "10.0.0.1")
    pairs = [
        (first, other),
        (first, other),
        (first, same),
        (first, other),
        (same, remote_slice("w", "10.0.0.1")),
    ]
    found = [plan(two(main, *pair), NOW).findings for pair in pairs]
    assert [len(each) for each in found] == [0, 0, 2, 0, 2]


def test_distinct_endpoints_are_remembered_while_they_are() -> None:
    """A Service knows the endpoints it has, and holds none in memory that conflict or are alone."""
    main, first, second = service(), remote_slice("w", "10.0.0.1"), remote_slice("w", "10.0.0.2")
    plan(two(main, first, second), NOW)
    assert [endpoints for (endpoints,) in main.known_distinct] == [
        *first.endpoints,
        *second.endpoints,
    ]
    plan(two(main, first), NOW)
    assert main.known_distinct == []
    plan(two(main, first, second), NOW)
    plan(two(main, first, first), NOW)
    assert main.known_distinct == []


@pytest.mark.parametrize(("distribution", "count"), [(None, 2), ("PreferClose", 0)])
def test_endpoints_with_hints_are_not_remembered(distribution: str | None, count: int) -> None:
    """They are made anew for every plan, so none of them would be met again."""
    main = service(traffic_distribution=distribution)
    assert (
        plan(two(main, remote_slice("w", "10.0.0.1"), remote_slice("w", "10.0.0.2")), NOW).findings
        == ()
    )
    assert len(main.known_distinct) == count
