"""Plans of Services with a TrafficPolicy or a drained cluster, one fact in each test."""

from __future__ import annotations

from typing import Final

import pytest
from attrs import evolve

from svclink_core import (
    PENDING,
    ClusterLinkSpec,
    ClusterTraffic,
    Create,
    EndpointConditions,
    EndpointSlice,
    Options,
    Plan,
    Planner,
    Reason,
    RemoteCluster,
    ServiceTraffic,
    Snapshot,
    TrafficPolicy,
    TrafficPolicyStatus,
    Unreachable,
    UnreachablePolicy,
    plan,
)
from svclink_core.discovery_v1 import CONDITIONS
from svclink_core.snapshot import Connection
from svclink_core.traffic_policy_v1alpha1 import ActiveTier
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    endpoint,
    leftover_slice,
    link,
    local_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
    traffic_policy,
)
from tests.unit.core.world import NOW, applied, main_slices, ours, settled, with_link, with_main

STANDBY: Final = CONDITIONS[False, True, True]
SYNCED_SPEC: Final = ClusterLinkSpec()
LATE: Final = ClusterTraffic("b", tier=1)
LOST: Final = Unreachable("2026-07-01T11:55:00Z", NOW - 300)


def local(number: int) -> EndpointSlice:
    return local_slice(*[f"10.9.0.{each}" for each in range(number)])


def remote(
    name: str, number: int, *, drained: bool = False, connection: Connection | None = None
) -> RemoteCluster:
    """A cluster with this many ready endpoints."""
    place = ord(name) - ord("a")
    addresses = [f"10.{place}.0.{each}" for each in range(number)]
    spec = ClusterLinkSpec(drained=drained)
    found = cluster(name, *([remote_slice(None, *addresses)] if number else []), spec=spec)
    return found if connection is None else evolve(found, connection=connection)


def found_with(
    policy: TrafficPolicy | None, *remotes: RemoteCluster, local_number: int = 2
) -> Snapshot:
    slices = [local(local_number)] if local_number else []
    found = snapshot_of(*remotes, slices=slices)
    return found if policy is None else with_policy(found, policy)


def with_policy(found: Snapshot, policy: TrafficPolicy | None) -> Snapshot:
    policies = {} if policy is None else {WEB: policy}
    return evolve(found, main=evolve(found.main, traffic_policies=policies))


def without_local(found: Snapshot) -> Snapshot:
    return with_main(found, slices=ours(found))


def ready(found: Snapshot) -> dict[str, list[bool | None]]:
    """The condition `ready` of all mirrored endpoints, by name of the slice."""
    return {
        each.metadata.name: [one.conditions.ready for one in each.endpoints] for each in ours(found)
    }


def traffic_of(decided: Plan) -> ServiceTraffic:
    (traffic,) = decided.traffic
    return traffic


def reasons(decided: Plan) -> list[Reason]:
    return [each.reason for each in decided.changes]


def test_without_policy_and_drained_link_there_is_no_traffic_to_decide() -> None:
    """All endpoints are ready, as the remote cluster says (law L16)."""
    found = found_with(None, remote("b", 2))
    assert plan(found, NOW).traffic == ()
    assert ready(settled(found)) == {"web-b": [True, True]}


def test_standby_is_created_at_once() -> None:
    """There is one write for each slice, also when it is new."""
    found = found_with(traffic_policy(LATE), remote("b", 2))
    (change,) = plan(found, NOW).changes
    assert isinstance(change, Create)
    assert [each.conditions for each in change.endpoint_slice.endpoints] == [STANDBY] * 2
    after = applied(found, [change])
    assert plan(after, NOW).changes == ()
    assert traffic_of(plan(after, NOW)) == traffic_of(plan(found, NOW))


def test_tier_is_used_when_local_endpoints_are_gone() -> None:
    """And its update says why."""
    found = without_local(settled(found_with(traffic_policy(LATE), remote("b", 2))))
    assert reasons(plan(found, NOW)) == [Reason.ACTIVATED]
    assert ready(settled(found)) == {"web-b": [True, True]}
    assert traffic_of(plan(found, NOW)).last_tier == 1


def test_tier_is_left_after_the_recovery() -> None:
    """The status of the policy says when it began; then the plan is made again."""
    tier = ActiveTier(1, "IPv4", "2026-07-01T11:00:00Z")
    policy = traffic_policy(LATE, status=TrafficPolicyStatus(1, tiers=(tier,)))
    failed_over = without_local(settled(found_with(policy, remote("b", 2))))
    back = with_main(settled(failed_over), slices=[*ours(settled(failed_over)), local(2)])
    waiting = plan(back, NOW)
    assert (waiting.changes, waiting.again_at) == ((), NOW + 30)
    remembered = TrafficPolicyStatus(1, tiers=traffic_of(waiting).remembered)
    later = with_policy(back, evolve(policy, status=remembered))
    assert plan(later, NOW + 29) == waiting
    assert reasons(plan(later, NOW + 30)) == [Reason.STANDBY]


def test_times_of_statuses_are_those_of_the_wall_clock() -> None:
    """The clock of plans begins anywhere; the epoch says where."""
    tier = ActiveTier(1, "IPv4", "2026-07-01T11:00:00Z", "2026-07-01T12:00:00Z")
    policy = traffic_policy(LATE, status=TrafficPolicyStatus(1, tiers=(tier,)))
    found = evolve(found_with(policy, remote("b", 2)), epoch=NOW - 1000)
    assert plan(found, 1010).again_at == 1030
    assert plan(found, 1031).again_at is None


def test_endpoints_without_fallback_are_left_out_and_not_counted() -> None:
    """The slice stays, so nothing is deleted, and the decision counts what it has."""
    found = found_with(traffic_policy(evolve(LATE, fallback=False)), remote("b", 2))
    assert ready(settled(found)) == {"web-b": []}
    (decision,) = plan(settled(found), NOW).decisions
    assert (decision.slices, decision.endpoints) == (1, 0)
    assert ready(settled(without_local(settled(found)))) == {"web-b": [True, True]}


def test_policy_that_is_gone_is_undone() -> None:
    """The endpoints are as the remote cluster says."""
    steered = settled(found_with(traffic_policy(LATE), remote("b", 2)))
    assert ready(settled(with_policy(steered, None))) == {"web-b": [True, True]}
    assert ours(settled(with_policy(steered, None)))[0].standby is None


def test_drained_link_makes_all_its_endpoints_a_standby() -> None:
    """With and without a policy; it is used where nothing else is ready."""
    found = settled(found_with(None, remote("b", 2, drained=True)))
    assert ready(found) == {"web-b": [False, False]}
    assert not traffic_of(plan(found, NOW)).needs("b")
    alone = without_local(found)
    assert ready(settled(alone)) == {"web-b": [True, True]}
    assert traffic_of(plan(alone, NOW)).needs("b")
    both = found_with(traffic_policy(ClusterTraffic("b", 50)), remote("b", 2, drained=True))
    assert ready(settled(both)) == {"web-b": [False, False]}


def test_drained_link_of_other_services_is_not_looked_at() -> None:
    """A Service of which the cluster has nothing is planned as without it."""
    found = found_with(None, remote("b", 2), remote("c", 0, drained=True))
    assert plan(found, NOW).traffic == ()


def test_slices_of_a_disabled_link_stay_as_they_are() -> None:
    """Frozen comes first: a standby stays one, and does not count as ready."""
    steered = settled(found_with(traffic_policy(LATE), remote("b", 2)))
    frozen = with_link(without_local(steered), "b", ClusterLinkSpec(enabled=False))
    assert plan(frozen, NOW).changes == ()
    assert [each.active for each in traffic_of(plan(frozen, NOW)).families] == []


def test_disabled_clusters_that_concern_a_service() -> None:
    """Those that its policy names, or that have endpoints of it: they stay as they are."""
    found = found_with(traffic_policy(LATE), remote("b", 0), remote("c", 2), remote("d", 0))
    found = settled(found)
    assert traffic_of(plan(found, NOW)).disabled_clusters == ()
    for name in ("d", "c", "b"):
        found = with_link(found, name, ClusterLinkSpec(enabled=False))
    assert traffic_of(plan(found, NOW)).disabled_clusters == ("b", "c")


def test_slices_of_another_controller_count_but_are_not_touched() -> None:
    """Both controllers decide the same from what the mirrors say."""
    steered = settled(found_with(traffic_policy(LATE), remote("b", 2)))
    theirs = with_link(without_local(steered), "b", is_selected=False)
    assert plan(theirs, NOW).changes == ()
    assert [each.active for each in traffic_of(plan(theirs, NOW)).families] == [2]


def test_slices_of_a_service_that_cannot_be_decoded_stay_as_they_are() -> None:
    """What else the Service has is not known."""
    steered = without_local(settled(found_with(traffic_policy(LATE), remote("b", 2))))
    unknown = evolve(steered, main=evolve(steered.main, undecodable=[WEB]))
    decided = plan(unknown, NOW)
    assert (decided.changes, decided.traffic) == ((), ())


def test_policy_without_its_service_decides_nothing() -> None:
    """Its mirrors go as without it."""
    found = with_main(found_with(traffic_policy(LATE), remote("b", 2)), services=[])
    assert plan(found, NOW).traffic == ()


@pytest.mark.parametrize("connection", [PENDING, evolve(LOST, is_lost=False)])
def test_restart_while_a_cluster_is_away(connection: Connection) -> None:
    """The mirror alone tells which endpoints were ready: the policy can activate them."""
    steered = settled(found_with(traffic_policy(LATE), remote("b", 2)))
    away = with_link(without_local(steered), "b", connection=connection)
    assert ready(settled(away)) == {"web-b": [True, True]}
    assert ready(settled(with_policy(away, None))) == {"web-b": [True, True]}


def test_terminating_endpoints_stay_so_while_a_cluster_is_away() -> None:
    """They look like a standby, and are not activated."""
    terminating = endpoint("10.1.0.9", conditions=EndpointConditions(False, True, True))  # noqa: FBT003
    source = remote_slice(endpoints=[endpoint("10.1.0.1"), terminating])
    steered = settled(found_with(traffic_policy(LATE), cluster("b", source)))
    away = with_link(without_local(steered), "b", connection=PENDING)
    assert ready(settled(away)) == {"web-b": [True, False]}


def test_unreachable_policy_comes_before_tiers() -> None:
    """A lost cluster counts as ready until then; afterwards the next tier is used."""
    policy = traffic_policy(ClusterTraffic("b"), ClusterTraffic("c", tier=1))
    spec = ClusterLinkSpec(unreachable=UnreachablePolicy("NotReady", 400))
    found = settled(found_with(policy, remote("b", 1), remote("c", 1), local_number=0))
    assert ready(found) == {"web-b": [True], "web-c": [False]}
    waiting = with_link(found, "b", spec, LOST)
    assert plan(waiting, NOW).changes == ()
    over = with_link(found, "b", evolve(spec, unreachable=UnreachablePolicy("NotReady")), LOST)
    assert reasons(plan(over, NOW)) == [Reason.ACTIVATED, Reason.UNREACHABLE_NOT_READY]
    assert ready(settled(over)) == {"web-b": [False], "web-c": [True]}


def test_drained_cluster_takes_over_from_a_lost_one() -> None:
    """Nothing else is ready once the policy of the lost one says so."""
    spec = ClusterLinkSpec(unreachable=UnreachablePolicy("Remove"))
    both = found_with(None, remote("b", 1), remote("c", 1, drained=True), local_number=0)
    before = settled(both)
    assert ready(before) == {"web-b": [True], "web-c": [False]}
    assert ready(settled(with_link(before, "b", spec, LOST))) == {"web-c": [True]}


def test_standby_of_a_lost_cluster_becomes_a_last_resort() -> None:
    """The standby is undone first, so that the endpoints can be ready again later."""
    spec = ClusterLinkSpec(unreachable=UnreachablePolicy("NotReady"))
    steered = settled(found_with(traffic_policy(LATE), remote("b", 2)))
    marked = settled(with_link(steered, "b", spec, LOST))
    (mirror,) = ours(marked)
    assert (mirror.is_marked_not_ready, mirror.standby) == (True, None)
    assert ready(settled(without_local(marked))) == {"web-b": [True, True]}


@pytest.mark.parametrize(("fallback", "is_removed"), [(True, True), (False, False)])
def test_unreachable_policy_does_not_count_on_what_is_never_used(
    *, fallback: bool, is_removed: bool
) -> None:
    """A cluster with a share of 0 can take over only if it is a fallback."""
    policy = traffic_policy(ClusterTraffic("c", 0, fallback=fallback))
    spec = ClusterLinkSpec(unreachable=UnreachablePolicy("Remove"))
    both = settled(found_with(policy, remote("b", 1), remote("c", 1), local_number=0))
    lost = settled(with_link(both, "b", spec, LOST))
    assert ("web-b" in ready(lost)) is not is_removed
    assert ready(lost)["web-c"] == ([True] if fallback else [])


def test_uncovered_standby_of_a_lost_cluster_counts_as_ready_elsewhere() -> None:
    """Of two mirrors of a cluster, a restart left one marked, and the other one a standby."""
    spec = ClusterLinkSpec(unreachable=UnreachablePolicy("NotReady"))
    steered = settled(found_with(traffic_policy(LATE), remote("b", 1)))
    marked = settled(with_link(steered, "b", spec, LOST))
    later = mirrored_slice("web-later", "10.1.1.1", cluster="b", source="later")
    pending = with_link(marked, "b", connection=PENDING)
    both = without_local(with_main(pending, slices=[*main_slices(pending), later]))
    assert ready(settled(both)) == {"web-b": [False], "web-later": [True]}


def test_updates_that_only_take_endpoints_away_come_last() -> None:
    """So that no moment has fewer active endpoints than before and after."""
    policy = traffic_policy(ClusterTraffic("c", 0))
    before = settled(found_with(policy, remote("b", 2), remote("c", 2)))
    after = with_policy(before, traffic_policy(ClusterTraffic("b", 0)))
    changes = plan(after, NOW).changes
    assert [(each.key.name, each.reason) for each in changes] == [
        ("web-c", Reason.ACTIVATED),
        ("web-b", Reason.STANDBY),
    ]


def test_update_with_other_news_keeps_its_reason_and_its_place() -> None:
    """The remote cluster has another endpoint, and the policy takes all away."""
    before = settled(found_with(None, remote("b", 2), remote("c", 2)))
    more = with_policy(before, traffic_policy(ClusterTraffic("b", 0)))
    news = evolve(more, remotes={**more.remotes, "b": remote("b", 3), "c": remote("c", 3)})
    changes = plan(news, NOW).changes
    assert [(each.key.name, each.reason) for each in changes] == [
        ("web-c", Reason.CONTENT_CHANGED),
        ("web-b", Reason.CONTENT_CHANGED),
    ]


def test_deletions_stay() -> None:
    """What no cluster has any more goes, whatever a policy says."""
    before = settled(found_with(traffic_policy(LATE), remote("b", 2)))
    gone = evolve(before, remotes={"b": cluster("b")})
    assert [each.key.name for each in plan(gone, NOW).changes] == ["web-b"]
    nowhere = evolve(before, remotes={})
    assert [each.key.name for each in plan(nowhere, NOW).changes] == ["web-b"]
    assert traffic_of(plan(nowhere, NOW)).unknown_clusters == ("b",)


def test_slice_that_is_being_deleted_does_not_count() -> None:
    """Neither a local one nor a mirror."""
    mirror = mirrored_slice(cluster="b", deleted_at="2026-01-01T00:00:00Z")
    metadata = evolve(local(2).metadata, deletion_timestamp="2026-01-01T00:00:00Z")
    away = remote("b", 0, connection=PENDING)
    slices = [evolve(local(2), metadata=metadata), mirror]
    found = with_policy(snapshot_of(away, slices=slices), traffic_policy(LATE))
    assert traffic_of(plan(found, NOW)).families == ()


def test_slices_of_the_go_release_count_as_local() -> None:
    """kube-proxy uses them until they are deleted."""
    found = with_policy(
        snapshot_of(remote("b", 2), slices=[leftover_slice(None, "10.8.0.1", cluster="gone")]),
        traffic_policy(LATE),
    )
    assert ready(settled(found)) == {"web-b": [False, False]}


LEFTOVER: Final = leftover_slice(None, "10.8.0.1", cluster="b")


@pytest.mark.parametrize(
    ("rule", "standby", "reason"),
    [
        (LATE, [False, False], Reason.ACTIVATED),
        # Nothing says that a slice without endpoints once had some.
        (evolve(LATE, fallback=False), [], Reason.CONTENT_CHANGED),
    ],
)
def test_standby_replaces_a_slice_of_the_go_release(
    rule: ClusterTraffic, standby: list[bool], reason: Reason
) -> None:
    """The mirrors take over in the plan that deletes it, so the Service always has an endpoint."""
    policy = traffic_policy(rule)
    found = with_policy(snapshot_of(remote("b", 2), slices=[LEFTOVER]), policy)
    (created,) = plan(found, NOW).changes
    assert isinstance(created, Create)
    after = applied(found, [created])
    assert ready(after) == {"web-b": standby}
    assert reasons(plan(after, NOW)) == [reason, Reason.LEFTOVER_REPLACED]
    assert ready(settled(after)) == {"web-b": [True, True]}
    assert len(main_slices(settled(after))) == 1


@pytest.mark.parametrize(
    "rule", [LATE, ClusterTraffic("b", share=20), evolve(LATE, fallback=False)]
)
def test_mirrors_with_standby_endpoints_replace_slices_of_the_go_release(
    rule: ClusterTraffic,
) -> None:
    """Beside local endpoints, the mirrors are right with standby endpoints."""
    found = with_policy(
        snapshot_of(remote("b", 4), slices=[local(4), LEFTOVER]), traffic_policy(rule)
    )
    assert LEFTOVER.metadata.name not in [
        each.metadata.name for each in main_slices(settled(found))
    ]


def test_slices_of_the_go_release_stay_while_their_cluster_is_not_known() -> None:
    """Whatever a policy says."""
    found = with_policy(snapshot_of(remote("b", 2), slices=[LEFTOVER]), traffic_policy(LATE))
    mirrored = applied(found, plan(found, NOW).changes)
    pending = evolve(mirrored, remotes={"b": remote("b", 0, connection=PENDING)})
    assert plan(pending, NOW).changes == ()


def test_address_in_two_clusters_counts_once() -> None:
    """For what is used most readily; kube-proxy knows it once too."""
    same = remote_slice(None, "10.9.0.1", "10.1.0.1")
    found = found_with(traffic_policy(LATE), cluster("b", same))
    (family,) = traffic_of(plan(found, NOW)).families
    assert [(each.ready, each.active) for each in family.uses] == [(2, 2), (1, 0)]
    assert ready(settled(found)) == {"web-b": [False, True]}


def test_ip_families_are_decided_apart() -> None:
    """A Service without local IPv6 endpoints has failed over for IPv6 only."""
    six = remote_slice("web-six", "fd00::1", address_type="IPv6")
    found = found_with(traffic_policy(LATE), cluster("b", remote_slice(None, "10.1.0.1"), six))
    decided = traffic_of(plan(found, NOW))
    assert [(each.ip_family, each.last_tier) for each in decided.families] == [
        ("IPv4", 0),
        ("IPv6", 1),
    ]
    assert sorted(ready(settled(found)).values()) == [[False], [True]]


def test_memory_of_an_ip_family_without_endpoints_stays() -> None:
    """Otherwise the next endpoint would end a failover without a recovery."""
    tier = ActiveTier(1, "IPv4", "2026-07-01T11:00:00Z")
    policy = traffic_policy(LATE, status=TrafficPolicyStatus(1, tiers=(tier,)))
    decided = traffic_of(plan(found_with(policy, remote("b", 0), local_number=0), NOW))
    assert (decided.families, decided.remembered, decided.last_tier) == ((), (tier,), 1)


def test_topology_gives_hints_to_active_endpoints_only() -> None:
    """kube-proxy looks at the hints of ready endpoints only."""
    source = remote_slice(endpoints=[endpoint(f"10.1.0.{each}", zone="z") for each in range(4)])
    found = with_main(
        found_with(traffic_policy(ClusterTraffic("b", 50)), cluster("b", source)),
        services=[service(traffic_distribution="PreferClose")],
    )
    (mirror,) = ours(settled(found))
    assert [each.hints is not None for each in mirror.endpoints] == [
        each.conditions.ready for each in mirror.endpoints
    ]
    assert traffic_of(plan(found, NOW)).is_topology_aware
    more = with_policy(settled(found), traffic_policy(ClusterTraffic("b", 20)))
    assert reasons(plan(more, NOW)) == [Reason.STANDBY]


def test_split_slices_share_one_number() -> None:
    """The 1,100 endpoints of one remote slice are in two mirrors."""
    many = [f"10.1.{each // 250}.{each % 250}" for each in range(1100)]
    source = remote_slice(None, *many)
    after = settled(found_with(traffic_policy(ClusterTraffic("b", 50)), cluster("b", source)))
    assert [len(each) for each in ready(after).values()] == [1000, 100]
    assert sum(map(sum, ready(after).values())) == 2  # type: ignore[arg-type]  # none is unset


def test_planner_gives_the_same_plans() -> None:
    """It remembers nothing of traffic: what a policy says is decided in every plan."""
    remembering = Planner()
    found = found_with(None, remote("b", 2))
    for policy in (None, traffic_policy(LATE), traffic_policy(ClusterTraffic("b", 50)), None):
        found = with_policy(found, policy)
        for _ in range(2):
            assert remembering.plan(found, NOW) == plan(found, NOW)
            found = applied(found, remembering.plan(found, NOW).changes)
        assert plan(found, NOW).changes == ()


def test_created_service_gets_its_policy() -> None:
    """The policy may be there before the Service."""
    found = evolve(
        with_policy(
            snapshot_of(remote("b", 2), services=[], options=Options(sync_services=True)),
            traffic_policy(ClusterTraffic("b", 0, fallback=False)),
        )
    )
    found = evolve(found, main=evolve(found.main, namespaces=("default",)))
    assert ready(settled(found)) == {"web-b": []}


def test_link_gets_its_policy_when_it_is_created() -> None:
    """A cluster that the policy names may be linked later."""
    found = found_with(traffic_policy(LATE))
    assert traffic_of(plan(found, NOW)).unknown_clusters == ("b",)
    linked = evolve(found, remotes={"b": evolve(remote("b", 2), link=link("b"))})
    assert ready(settled(linked)) == {"web-b": [False, False]}
