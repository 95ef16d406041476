"""Unreachable policies, one fact in each test."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Decision,
    Delete,
    EndpointConditions,
    EndpointHints,
    EndpointSlice,
    Options,
    Outcome,
    Plan,
    Reason,
    RemoteCluster,
    Snapshot,
    Unreachable,
    UnreachablePolicy,
    Update,
    plan,
)
from svclink_core.discovery_v1 import WRITTEN_OUT
from svclink_core.ownership import is_ours
from svclink_core.snapshot import Connection
from svclink_core.svclink_v1alpha1 import UnreachableAction
from svclink_core.unreachable_policy import as_before_loss, as_last_resort, policy_deadline
from tests.builders.keys import WEB
from tests.builders.values import (
    NOT_READY,
    cluster,
    endpoint,
    link,
    local_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
)
from tests.unit.core.world import NOW, main_slices, settled, with_link, with_main

LOST = Unreachable("2026-07-01T11:55:00Z", NOW - 300)
LOCAL = local_slice()


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
        (evolve(lost("Remove"), connection=evolve(LOST, is_lost=False)), None),
    ],
)
def test_a_policy_has_a_deadline(remote: RemoteCluster, expected: float | None) -> None:
    """The deadline is afterSeconds after the loss; without a loss or a policy there is none."""
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
    assert change.endpoint_slice.is_marked_not_ready
    assert change.endpoint_slice == evolve(
        old,
        metadata=change.endpoint_slice.metadata,
        endpoints=tuple(evolve(each, conditions=last_resort, hints=None) for each in old.endpoints),
    )


@pytest.mark.parametrize("conditions", WRITTEN_OUT.values(), ids=str)
def test_broken_endpoint_never_becomes_usable(conditions: EndpointConditions) -> None:
    """Only ready endpoints become a last resort; those that already terminate become useless."""
    made = as_last_resort(mirrored_slice(endpoints=[endpoint(conditions=conditions)]))
    (after,) = (each.conditions for each in made.endpoints)
    if conditions.ready:
        assert after == EndpointConditions(ready=False, serving=True, terminating=True)
    elif conditions.terminating:
        assert after == EndpointConditions(ready=False, serving=False, terminating=True)
    else:
        assert after == conditions


@pytest.mark.parametrize("conditions", WRITTEN_OUT.values(), ids=str)
def test_not_ready_can_be_undone(conditions: EndpointConditions) -> None:
    """What was ready is ready again, what was not is not; marking a slice twice changes nothing."""
    before = mirrored_slice(endpoints=[endpoint(conditions=conditions)])
    marked = as_last_resort(before)
    after = as_before_loss(marked)
    assert as_last_resort(marked) == marked
    assert as_last_resort(after) == marked
    assert not after.is_marked_not_ready
    assert after.endpoints[0].conditions.ready is conditions.ready
    assert after.metadata.annotations == before.metadata.annotations


def test_slice_without_usable_endpoints_is_not_written() -> None:
    """A write that changes no endpoint would make every node sync for nothing."""
    broken = mirrored_slice(endpoints=[endpoint(conditions=NOT_READY)])
    assert plan(snapshot_of(lost("NotReady"), slices=[broken, LOCAL]), NOW).changes == ()


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
    assert reasons(plan(found, NOW)) == [Reason.MAIN_UNDECODABLE]


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


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("Keep", (Outcome.KEPT, Reason.UNREACHABLE)),
        ("NotReady", (Outcome.KEPT, Reason.UNREACHABLE)),
        ("Remove", (Outcome.SKIPPED, Reason.UNREACHABLE_REMOVED)),
    ],
)
@pytest.mark.parametrize("others", [[], [LOCAL]])
def test_cluster_without_mirrors_has_no_last_endpoints(
    action: UnreachableAction, expected: tuple[Outcome, Reason], others: list[EndpointSlice]
) -> None:
    """Nothing of a Service is called last or not ready where main has nothing of the cluster."""
    (decision,) = plan(snapshot_of(lost(action), slices=others), NOW).decisions
    assert (decision.outcome, decision.reason) == expected


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


def test_disabled_cluster_counts_as_ready() -> None:
    """The slices of a disabled link stay as they are, and its cluster is not known to be lost."""
    slices = [mirrored_slice("web-c1", cluster="c1"), mirrored_slice("web-c2", cluster="c2")]
    disabled = cluster("c2", spec=ClusterLinkSpec(enabled=False))
    found = snapshot_of(lost("Remove", "c1"), disabled, slices=slices)
    assert reasons(plan(found, NOW)) == [Reason.UNREACHABLE_REMOVED, Reason.FROZEN]


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


# What comes and goes while the cluster is away


def marked_by_policy(remote: RemoteCluster) -> Snapshot:
    """NotReady has been applied to the cluster, because a local endpoint was ready."""
    found = settled(snapshot_of(lost("NotReady"), slices=[mirrored_slice(), LOCAL]))
    assert [each.is_marked_not_ready for each in mirrors(found)] == [True]
    return evolve(found, remotes={"c1": remote})


def mirrors(found: Snapshot) -> list[EndpointSlice]:
    return [each for each in main_slices(found) if is_ours(each)]


def are_ready(found: Snapshot) -> list[bool | None]:
    """Whether the endpoints of c1 are ready once everything is done."""
    after = settled(found)
    return [each.conditions.ready for some in mirrors(after) for each in some.endpoints]


def test_endpoints_are_ready_again_when_nothing_else_is_left() -> None:
    """The local endpoint goes after the policy was applied, and comes back."""
    marked = marked_by_policy(lost("NotReady"))
    alone = with_main(marked, slices=mirrors(marked))
    (change,) = plan(alone, NOW).changes
    assert change.reason is Reason.RESTORED
    assert reasons(plan(alone, NOW)) == [Reason.LAST_ENDPOINTS]
    assert are_ready(alone) == [True]
    together = with_main(alone, slices=[*mirrors(settled(alone)), LOCAL])
    assert are_ready(together) == [False]


@pytest.mark.parametrize(
    "remote",
    [
        lost("Keep"),
        lost("NotReady", after=10_000),
        evolve(lost("NotReady"), connection=evolve(LOST, is_lost=False)),
        evolve(lost("Keep"), connection=PENDING),
    ],
    ids=["Keep", "later", "rejected", "pending"],
)
def test_endpoints_are_ready_again_when_the_policy_no_longer_applies(remote: RemoteCluster) -> None:
    """The policy is edited back, or the API server answers, for example with 401."""
    assert are_ready(marked_by_policy(remote)) == [True]


@pytest.mark.parametrize("action", ["NotReady", "Remove"])
@pytest.mark.parametrize("connection", [PENDING, Unreachable(LOST.since, NOW, never_reached=True)])
def test_restart_makes_no_endpoint_of_a_dead_cluster_ready(
    action: UnreachableAction, connection: Connection
) -> None:
    """After a start it is not known since when a cluster is lost; what is marked stays marked."""
    remote = evolve(lost(action), connection=connection)
    marked = marked_by_policy(remote)
    assert plan(marked, NOW).changes == ()
    assert are_ready(with_main(marked, slices=mirrors(marked))) == [True]
    fresh = snapshot_of(remote, slices=[mirrored_slice(), LOCAL])
    assert are_ready(fresh) == [True]


def test_restart_leaves_mirrors_alone_that_no_policy_changed() -> None:
    """Of two mirrors, only the one that was marked before the restart stays a last resort."""
    marked = marked_by_policy(evolve(lost("NotReady"), connection=PENDING))
    later = mirrored_slice("web-c1-later", source="later")
    found = with_main(marked, slices=[*main_slices(marked), later])
    assert plan(found, NOW).changes == ()
    assert {each.is_marked_not_ready for each in mirrors(settled(found))} == {True, False}


def test_endpoints_of_an_undecodable_service_stay_as_they_are() -> None:
    """What else the Service has is not known."""
    marked = marked_by_policy(lost("NotReady"))
    unknown = evolve(marked, main=evolve(marked.main, undecodable=[WEB]))
    assert plan(unknown, NOW).changes == ()


def test_endpoints_that_are_ready_again_have_hints() -> None:
    """Otherwise one endpoint without hints would end topology routing for the Service."""
    marked = marked_by_policy(lost("Keep"))
    near = with_main(marked, services=[service(traffic_distribution="PreferClose")])
    (mirror,) = mirrors(settled(near))
    assert all(each.hints for each in mirror.endpoints)


LOCAL_IPV6 = evolve(LOCAL, address_type="IPv6", endpoints=(endpoint("fd00::9"),))


@pytest.mark.parametrize("action", ["NotReady", "Remove"])
def test_last_endpoints_of_each_ip_family_stay(action: UnreachableAction) -> None:
    """A ready IPv6 endpoint cannot take over from the last one of IPv4."""
    slices = [
        mirrored_slice("web-4", "10.0.0.1"),
        mirrored_slice("web-6", "fd00::1", source="web-6", address_type="IPv6"),
        LOCAL_IPV6,
    ]
    decided = plan(snapshot_of(lost(action), slices=slices), NOW)
    assert [change.key.name for change in decided.changes] == ["web-6"]
    (decision,) = decided.decisions
    assert (decision.outcome, decision.reason) == (Outcome.KEPT, Reason.LAST_ENDPOINTS)
    assert decision.slices == (1 if action == "Remove" else 2)


@pytest.mark.parametrize("connected", [False, True])
def test_endpoints_of_another_controller_count_while_its_link_is_connected(
    *, connected: bool
) -> None:
    """Otherwise two controllers would each remove the endpoints that the other one counts on."""
    status = ClusterLinkStatus(connected=connected)
    other = evolve(cluster("c2"), link=link("c2", status=status, is_selected=False))
    slices = [mirrored_slice("web-c1", cluster="c1"), mirrored_slice("web-c2", cluster="c2")]
    decided = plan(snapshot_of(lost("Remove"), other, slices=slices), NOW)
    expected = Reason.UNREACHABLE_REMOVED if connected else Reason.LAST_ENDPOINTS
    assert reasons(decided) == [expected, Reason.NOT_SELECTED]


def test_what_the_operator_excludes_goes_whatever_the_policy_says() -> None:
    """An exclusion comes before the question whether the cluster is known."""
    remote = lost("Keep")
    spec = evolve(remote.link.spec, excluded_services=("default/web",))
    for action in ("Keep", "NotReady"):
        excluding = evolve(spec, unreachable=UnreachablePolicy(action))
        found = with_link(snapshot_of(remote, slices=[mirrored_slice()]), "c1", excluding)
        assert [each.reason for each in plan(found, NOW).changes] == [Reason.SERVICE_EXCLUDED]


def test_policy_ignores_deleted_services() -> None:
    """If the main Service is missing, nothing can take over, so the policy does nothing."""
    slices = [mirrored_slice(), LOCAL]
    found = snapshot_of(lost("Remove", force=True), services=[], slices=slices)
    assert plan(found, NOW).changes == ()
    found = evolve(found, options=Options(sync_services=True))
    assert plan(found, NOW).changes == ()
    assert reasons(plan(found, NOW)) == [Reason.UNREACHABLE]
