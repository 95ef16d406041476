"""Addresses that several clusters claim, one fact in each test."""

from __future__ import annotations

from attrs import evolve

from svclink_core import Endpoint, Finding, Planner, Reason, plan
from svclink_core.well_known import LABEL_GO_CLUSTER, LABEL_SERVICE_NAME
from tests.builders.keys import WEB
from tests.builders.values import cluster, foreign_slice, local_slice, remote_slice, snapshot_of
from tests.unit.core.world import NOW


def test_address_of_two_clusters_is_reported_to_both() -> None:
    """Both clusters get a finding that names the address and the other cluster."""
    one = cluster("c1", remote_slice("w", "10.0.0.1", "10.0.0.2"))
    found = snapshot_of(one, cluster("c2", remote_slice("w", "10.0.0.2")))
    assert plan(found, NOW).findings == (
        Finding(WEB, "c1", Reason.ADDRESS_CONFLICT, ("10.0.0.2 (c2)",)),
        Finding(WEB, "c2", Reason.ADDRESS_CONFLICT, ("10.0.0.2 (c1)",)),
    )


def test_address_of_a_local_pod_is_reported() -> None:
    """The finding of the remote cluster names the main cluster."""
    local = local_slice()
    found = snapshot_of(cluster("c1", remote_slice("w", "10.9.9.9")), slices=[local])
    assert plan(found, NOW).findings == (
        Finding(WEB, "c1", Reason.ADDRESS_CONFLICT, ("10.9.9.9 (the main cluster)",)),
    )


def test_slices_of_one_cluster_do_not_conflict() -> None:
    """Neither two slices of one cluster nor a leftover of the same cluster is a conflict."""
    leftover = foreign_slice("web-old", labels={LABEL_SERVICE_NAME: "web", LABEL_GO_CLUSTER: "c1"})
    slices = [remote_slice("w1", "10.9.9.9"), remote_slice("w2", "10.9.9.9")]
    found = snapshot_of(
        cluster("c1", *slices), cluster("c2", remote_slice("w", "10.0.0.2")), slices=[leftover]
    )
    assert plan(found, NOW).findings == ()


def test_endpoint_without_address_conflicts_with_nothing() -> None:
    """The API server accepts no such endpoint, but a file may hold one."""
    local = local_slice()
    local = evolve(local, endpoints=(Endpoint(()), *local.endpoints))
    for address, expected in (("10.0.0.1", ()), ("10.9.9.9", ("10.9.9.9 (the main cluster)",))):
        found = snapshot_of(cluster("c1", remote_slice("w", address)), slices=[local])
        decided = plan(found, NOW)
        assert tuple(each.details for each in decided.findings) == ((expected,) if expected else ())
        assert Planner().plan(found, NOW) == decided
