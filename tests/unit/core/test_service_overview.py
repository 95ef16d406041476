"""What a table shows of one Service."""

from __future__ import annotations

from attrs import evolve

from svclink_core import (
    PENDING,
    ClusterLinkSpec,
    ClusterTraffic,
    NamespacedName,
    Outcome,
    Reason,
    Snapshot,
    plan_service,
)
from svclink_core.levels import Level
from svclink_core.service_overview import (
    ClusterCell,
    EndpointCounts,
    ServiceOverview,
    service_overview,
)
from svclink_core.snapshot import main_cluster
from svclink_core.standby import with_standby
from svclink_core.unreachable_policy import as_last_resort
from tests.builders.keys import WEB
from tests.builders.values import (
    NOT_READY,
    cluster,
    endpoint,
    leftover_slice,
    local_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
    traffic_policy,
)


def overview(snapshot: Snapshot, key: NamespacedName = WEB) -> ServiceOverview | None:
    return service_overview(snapshot, key, plan_service(snapshot, key, 0))


def cell(snapshot: Snapshot) -> ClusterCell:
    found = overview(snapshot)
    assert found is not None
    (only,) = found.cells
    return only


def test_mirrored_service() -> None:
    """A cell has the decision of the plan, and the endpoints that the main cluster has."""
    own = local_slice()
    snapshot = snapshot_of(cluster("c1", remote_slice()), slices=[mirrored_slice(), own])
    found = overview(snapshot)
    mirrored = ClusterCell("c1", Outcome.MIRRORED, Reason.MIRRORED, EndpointCounts(active=1))
    assert found == ServiceOverview(WEB, EndpointCounts(active=1), cells=(mirrored,))
    assert found.level is Level.OK


def test_counts_are_added_and_subtracted() -> None:
    """Each role by itself."""
    assert EndpointCounts(1, 2, 3).plus(EndpointCounts(1, 1, 1)) == EndpointCounts(2, 3, 4)
    assert EndpointCounts(1, 2, 3).plus(EndpointCounts(1, 1, 1), -1) == EndpointCounts(0, 1, 2)


def test_cell_has_the_level_of_its_reason() -> None:
    """One that is lost needs attention."""
    assert cell(_with(mirrored_slice())).level is Level.WAITING


def test_planned_changes_are_counted() -> None:
    """What a plan would do now is no endpoint yet."""
    found = cell(snapshot_of(cluster("c1", remote_slice())))
    assert (found.changes, found.endpoints.total) == (1, 0)


def test_endpoints_are_counted_by_what_kube_proxy_does_with_them() -> None:
    """A standby is neither active nor broken, whether a policy or an outage made it one."""
    endpoints = [
        endpoint("10.0.0.1"),
        endpoint("10.0.0.2"),
        endpoint("10.0.0.3", conditions=NOT_READY),
    ]
    mirror = mirrored_slice(endpoints=endpoints)
    standby = with_standby(mirror, {"10.0.0.1"}, is_fallback=True)
    assert cell(_with(standby)).endpoints == EndpointCounts(1, 1, 1)
    assert cell(_with(as_last_resort(mirror))).endpoints == EndpointCounts(0, 2, 1)


def _with(*slices: object) -> Snapshot:
    return snapshot_of(cluster("c1", connection=PENDING), slices=slices)  # type: ignore[arg-type]


def test_leftovers_of_the_go_release_are_endpoints_of_their_cluster() -> None:
    """They are in use until they are replaced."""
    assert cell(_with(leftover_slice())).endpoints.active == 1


def test_findings_make_a_mirrored_service_need_attention() -> None:
    """Both clusters have the same address, so that one of them gets no traffic."""
    remotes = [cluster(name, remote_slice()) for name in ("c1", "c2")]
    found = overview(snapshot_of(*remotes))
    assert found is not None
    assert ("c2", Reason.ADDRESS_CONFLICT) in found.findings
    assert found.level is Level.WARNING


def test_service_that_one_cluster_skips_is_in_order() -> None:
    """It is mirrored from the other. Where no cluster's is mirrored, the level says so."""
    skipping = cluster("c2", spec=ClusterLinkSpec(excluded_service_names=("web",)))
    found = overview(snapshot_of(cluster("c1", remote_slice()), skipping))
    assert found is not None
    assert found.level is Level.OK
    alone = overview(snapshot_of(skipping))
    assert alone is not None
    assert alone.level is Level.SKIPPED


def test_policy_and_tier() -> None:
    """The policy that counts, and the last tier that is in use."""
    snapshot = snapshot_of(cluster("c1", remote_slice()))
    policy = traffic_policy(ClusterTraffic("c1", tier=1))
    main = evolve(snapshot.main, traffic_policies={WEB: policy})
    found = overview(evolve(snapshot, main=main))
    assert found is not None
    assert (found.policy, found.tier) == ("web", 1)


def test_service_of_a_remote_cluster_alone() -> None:
    """It has no local endpoints, which differs from none that are ready."""
    found = overview(snapshot_of(cluster("c1", remote_slice()), services=[]))
    assert found is not None
    assert found.local is None


def test_mirrors_of_a_link_that_is_gone() -> None:
    """A Service is shown as long as anything of it is left."""
    found = overview(snapshot_of(services=[], slices=[mirrored_slice()]))
    assert found is not None
    assert [each.reason for each in found.cells] == [Reason.LINK_GONE]


def test_service_that_no_cluster_has() -> None:
    """There is nothing to show."""
    empty = Snapshot(main_cluster([], []), snapshot_of(cluster("c1", services=[])).remotes)
    assert overview(empty) is None
    assert overview(snapshot_of(services=[service()])) is not None
