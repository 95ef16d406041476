"""Target ports that differ between clusters, one fact in each test."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import (
    CreateService,
    EndpointPort,
    EndpointSlice,
    Finding,
    NamespacedName,
    Options,
    Reason,
    Snapshot,
    main_cluster,
    plan,
    plan_service,
)
from svclink_core.target_ports import target_port_findings
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    foreign_slice,
    leftover_slice,
    local_slice,
    mirrored_slice,
    namespace,
    remote_slice,
    snapshot_of,
)
from tests.unit.core.world import NOW, settled


def http(number: int | None, name: str = "http") -> tuple[EndpointPort, ...]:
    return (EndpointPort(name, port=number),)


def remote(number: int, name: str = "http") -> EndpointSlice:
    return remote_slice(ports=http(number, name))


LOCAL = local_slice()
"""A Pod of the main cluster at port 8080."""


def found_in(found: Snapshot) -> list[tuple[str, tuple[str, ...]]]:
    """The clusters with other target ports, before and after the plan was applied."""
    before = target_port_findings(found, plan(found, NOW))
    after = settled(found)
    assert target_port_findings(after, plan(after, NOW)) == before
    assert {each.reason for each in before} <= {Reason.TARGET_PORTS_DIFFER}
    assert {each.service for each in before} <= {WEB}
    return [(each.cluster, each.details) for each in before]


def test_port_that_differs_from_that_of_main_is_found() -> None:
    """The Pods of the main cluster say which number is right, before anything is mirrored."""
    found = snapshot_of(cluster("c1", remote(9090)), cluster("c2", remote(8080)), slices=[LOCAL])
    assert found_in(found) == [("c1", ("http/TCP: 9090 instead of 8080",))]


def test_lowest_port_counts_where_main_has_none() -> None:
    """As in OVN-Kubernetes."""
    found = snapshot_of(cluster("c1", remote(9090)), cluster("c2", remote(8080)))
    assert found_in(found) == [("c1", ("http/TCP: 9090 instead of 8080",))]


def test_several_ports_of_one_cluster_are_found() -> None:
    """Pods of one Service may have a named target port with different numbers."""
    two = [remote(8080), remote_slice("web-def", "10.0.0.2", ports=http(9090))]
    found = snapshot_of(cluster("c1", *two), slices=[LOCAL])
    assert found_in(found) == [("c1", ("http/TCP: 9090 instead of 8080",))]


@pytest.mark.parametrize("others", [[], [LOCAL], [leftover_slice(cluster="c1")]])
def test_equal_ports_are_no_finding(others: list[EndpointSlice]) -> None:
    """With one target port there is nothing to say."""
    found = snapshot_of(cluster("c1", remote(8080)), slices=others)
    assert found_in(found) == []


def test_other_names_are_other_ports() -> None:
    """What differs in name or protocol is another port of the Service."""
    admin = foreign_slice("web-admin", labels={LABEL_SERVICE_NAME: "web"})
    found = snapshot_of(cluster("c1", remote(9090)), slices=[admin])
    unnamed = snapshot_of(
        slices=[
            mirrored_slice(None, "10.0.0.1", ports=http(1, "")),
            mirrored_slice("web-2", "10.0.0.2", ports=http(2, ""), source="b"),
            mirrored_slice("web-3", "10.0.0.3", ports=http(None, ""), source="c"),
            mirrored_slice("web-4", endpoints=(), ports=http(3, ""), source="d"),
        ]
    )
    assert found_in(found) == [("c1", ("http/TCP: 9090 instead of 8080",))]
    nothing = plan(snapshot_of(), NOW)
    assert target_port_findings(unnamed, nothing) == ()
    assert target_port_findings(unnamed, plan(snapshot_of(cluster()), NOW)) == (
        Finding(WEB, "c1", Reason.TARGET_PORTS_DIFFER, ("(unnamed)/TCP: 2 instead of 1",)),
    )


def test_mirrors_that_go_do_not_count() -> None:
    """A deletion of the plan is taken into account."""
    old = mirrored_slice(ports=http(9090))
    assert found_in(snapshot_of(cluster("c1", services=[]), slices=[old, LOCAL])) == []


def test_only_services_of_the_plan_are_looked_at() -> None:
    """The plan may be that of one Service."""
    found = settled(snapshot_of(cluster("c1", remote(9090)), slices=[LOCAL]))
    assert target_port_findings(found, plan_service(found, NamespacedName("a", "b"), NOW)) == ()


def test_services_that_are_created_have_no_ports_yet() -> None:
    """A plan may hold other changes than those of EndpointSlices."""
    creating = Options(sync_services=True)
    found = evolve(
        snapshot_of(cluster("c1", remote(9090)), options=creating),
        main=main_cluster((), (), [namespace()]),
    )
    planned = plan(found, NOW)
    assert isinstance(planned.changes[0], CreateService)
    assert target_port_findings(found, planned) == ()
