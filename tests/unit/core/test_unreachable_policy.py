"""Unreachable policies, one fact in each test."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    Decision,
    Delete,
    EndpointConditions,
    EndpointHints,
    EndpointSlice,
    Outcome,
    Plan,
    Reason,
    RemoteCluster,
    Unreachable,
    UnreachablePolicy,
    Update,
    plan,
)
from svclink_core.ownership import is_ours
from svclink_core.svclink_v1alpha1 import UnreachableAction
from svclink_core.unreachable_policy import policy_deadline
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    endpoint,
    foreign_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
)
from tests.unit.core.world import NOW, main_slices, settled, with_link

LOST = Unreachable("2026-07-01T11:55:00Z", NOW - 300)
LOCAL = foreign_slice("web-local", labels={LABEL_SERVICE_NAME: "web"})


def lost(
    action: UnreachableAction,
    name: str = "c1",
    *,
    after: int = 300,
    force: bool = False,
    enabled: bool = True,
) -> RemoteCluster:
    """A cluster that has been unreachable for 300 seconds."""
    policy = UnreachablePolicy(action, after, force)
    return cluster(name, spec=ClusterLinkSpec(enabled=enabled, unreachable=policy), connection=LOST)


def reasons(decided: Plan) -> list[Reason]:
    return [each.reason for each in decided.decisions]


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        (lost("NotReady"), NOW),
        (lost("Remove", after=301), NOW + 1),
        (lost("Keep"), None),
        (lost("Remove", enabled=False), None),
        (evolve(lost("Remove"), link=evolve(lost("Remove").link, is_selected=False)), None),
        (evolve(lost("Remove"), connection=SYNCED), None),
        (evolve(lost("Remove"), connection=PENDING), None),
    ],
)
def test_a_policy_has_a_deadline(remote: RemoteCluster, expected: float | None) -> None:
    """The deadline is afterSeconds after the loss; policy Keep and unused links have none."""
    assert policy_deadline(remote) == expected


def test_not_ready_is_the_last_resort_of_kube_proxy() -> None:
    """NotReady sets ready false, serving true and terminating true, and removes the hints."""
    hinted = endpoint("10.0.0.1", zone="a", hints=EndpointHints(("a",)))
    old = evolve(mirrored_slice(), endpoints=(hinted, endpoint("10.0.0.2")))
    decided = plan(snapshot_of(lost("NotReady"), slices=[old, LOCAL]), NOW)
    assert decided.decisions == (
        Decision(WEB, "c1", Outcome.KEPT, Reason.UNREACHABLE_NOT_READY, 1, 2),
    )
    (change,) = decided.changes
    assert isinstance(change, Update)
    assert change.reason is Reason.UNREACHABLE_NOT_READY
    last_resort = EndpointConditions(ready=False, serving=True, terminating=True)
    assert change.endpoint_slice == evolve(
        old,
        metadata=change.endpoint_slice.metadata,
        endpoints=tuple(evolve(each, conditions=last_resort, hints=None) for each in old.endpoints),
    )


def test_not_ready_endpoints_can_conflict() -> None:
    """An address of an unreachable cluster that a local Pod also has is reported."""
    twin = mirrored_slice("web-c1", "10.9.9.9")
    findings = plan(snapshot_of(lost("NotReady"), slices=[twin, LOCAL]), NOW).findings
    assert [(each.cluster, each.reason) for each in findings] == [("c1", Reason.ADDRESS_CONFLICT)]


def test_remove_deletes() -> None:
    """Remove deletes the slices, with the policy as the reason."""
    decided = plan(snapshot_of(lost("Remove"), slices=[mirrored_slice(), LOCAL]), NOW)
    (change,) = decided.changes
    assert isinstance(change, Delete)
    assert change.reason is Reason.UNREACHABLE_REMOVED
    assert decided.decisions[0].outcome is Outcome.SKIPPED


@pytest.mark.parametrize("action", ["NotReady", "Remove"])
def test_policy_waits_while_the_main_service_is_undecodable(action: UnreachableAction) -> None:
    """Without the main Service nothing can prove that another endpoint is ready."""
    found = snapshot_of(lost(action), slices=[mirrored_slice(), LOCAL])
    found = evolve(found, main=evolve(found.main, undecodable=[WEB]))
    assert plan(found, NOW).changes == ()
    assert reasons(plan(found, NOW)) == [Reason.UNREACHABLE]


@pytest.mark.parametrize("action", ["NotReady", "Remove"])
def test_nothing_happens_before_the_deadline(action: UnreachableAction) -> None:
    """One second before the deadline the slices are kept."""
    found = snapshot_of(lost(action), slices=[mirrored_slice(), LOCAL])
    assert plan(found, NOW - 1).changes == ()
    assert reasons(plan(found, NOW - 1)) == [Reason.UNREACHABLE]


NOT_READY_LOCAL = evolve(
    LOCAL, endpoints=(endpoint("10.9.9.9", conditions=EndpointConditions(ready=False)),)
)
DYING_LOCAL = evolve(
    LOCAL, metadata=evolve(LOCAL.metadata, deletion_timestamp="2026-01-01T00:00:00Z")
)


@pytest.mark.parametrize("others", [[], [NOT_READY_LOCAL], [DYING_LOCAL]])
@pytest.mark.parametrize("action", ["NotReady", "Remove"])
def test_the_last_ready_endpoints_stay(
    action: UnreachableAction, others: list[EndpointSlice]
) -> None:
    """Without other ready endpoints, those of the unreachable cluster stay, unless forced."""
    decided = plan(snapshot_of(lost(action), slices=[mirrored_slice(), *others]), NOW)
    assert decided.changes == ()
    assert reasons(decided) == [Reason.LAST_ENDPOINTS]
    assert (
        len(
            plan(
                snapshot_of(lost(action, force=True), slices=[mirrored_slice(), *others]), NOW
            ).changes
        )
        == 1
    )


def test_two_lost_clusters_do_not_stand_in_for_each_other() -> None:
    """If the policies of two clusters apply, neither counts as ready for the other."""
    slices = [mirrored_slice("web-c1", cluster="c1"), mirrored_slice("web-c2", cluster="c2")]
    found = snapshot_of(lost("Remove", "c1"), lost("Remove", "c2"), slices=slices)
    assert reasons(plan(found, NOW)) == [Reason.LAST_ENDPOINTS] * 2


def test_cluster_before_its_deadline_counts_as_ready() -> None:
    """The slices of a cluster that was lost later still count as ready."""
    slices = [mirrored_slice("web-c1", cluster="c1"), mirrored_slice("web-c2", cluster="c2")]
    found = snapshot_of(lost("Remove", "c1"), lost("Remove", "c2", after=301), slices=slices)
    assert reasons(plan(found, NOW)) == [Reason.UNREACHABLE_REMOVED, Reason.UNREACHABLE]


def test_replacements_are_created_first() -> None:
    """Slices of another cluster are created before those of the unreachable one change."""
    found = snapshot_of(
        lost("NotReady", "c1"), cluster("c2", remote_slice()), slices=[mirrored_slice()]
    )
    assert [change.cluster for change in plan(found, NOW).changes] == ["c2", "c1"]


def test_slices_are_restored_when_the_cluster_returns() -> None:
    """When the cluster is reachable again, its slices match it again."""
    before = settled(snapshot_of(cluster("c1", remote_slice()), slices=[LOCAL]))
    marked = settled(with_link(before, "c1", lost("NotReady").link.spec, LOST))
    back = settled(with_link(marked, "c1", connection=SYNCED))
    assert [
        each.endpoints[0].conditions.ready for each in main_slices(marked) if is_ours(each)
    ] == [False]
    assert [each.endpoints for each in main_slices(back)] == [
        each.endpoints for each in main_slices(before)
    ]


def test_policy_ignores_deleted_services() -> None:
    """If the main Service is deleted, the policy does nothing."""
    for services in ([], [service(deleted_at="2026-01-01T00:00:00Z")]):
        decided = plan(
            snapshot_of(
                lost("Remove", force=True), services=services, slices=[mirrored_slice(), LOCAL]
            ),
            NOW,
        )
        assert decided.changes == ()
        assert reasons(decided) == [Reason.UNREACHABLE]
