"""The status of a TrafficPolicy, one fact in each test."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import ClusterTraffic, Condition, NamespacedName, TrafficPolicy
from svclink_core.service_traffic import (
    EndpointUse,
    FamilyTraffic,
    ServiceTraffic,
    TrafficReason,
)
from svclink_core.traffic_policy_v1alpha1 import (
    ActiveTier,
    ClusterTrafficStatus,
    TrafficPolicyStatus,
)
from svclink_core.traffic_shares import Obstacle
from svclink_core.traffic_status import PolicyReason, traffic_status
from svclink_core.well_known import MAIN
from tests.builders.keys import WEB
from tests.builders.values import service, traffic_policy

NOW, BEFORE = "2026-07-01T12:00:00Z", "2026-07-01T11:00:00Z"
POLICY = traffic_policy(ClusterTraffic("b", 10), ClusterTraffic("c", tier=1))
LOCAL = EndpointUse(MAIN, 0, 10, 10, TrafficReason.LOCAL)
B = EndpointUse("b", 0, 5, 1, TrafficReason.SHARE, 10)
C = EndpointUse("c", 1, 3, 0, TrafficReason.TIER_WAITING)


def traffic(*uses: EndpointUse, last_tier: int = 0) -> ServiceTraffic:
    return ServiceTraffic(WEB, "web", (FamilyTraffic("IPv4", last_tier, uses),))


HEALTHY = traffic(LOCAL, B, C)


def status(
    found: ServiceTraffic | None, policy: TrafficPolicy = POLICY, now: str = NOW
) -> TrafficPolicyStatus:
    return traffic_status(policy, policy, service(), found, now)


def applied(found: ServiceTraffic) -> tuple[str, str, str]:
    (_, condition) = status(found).conditions
    assert condition.type == "Applied"
    return condition.status, condition.reason, condition.message


def test_status_of_a_policy_that_is_applied() -> None:
    """What each remote cluster contributes, and both conditions."""
    found = status(HEALTHY)
    assert (found.active_tier, found.active_tier_since, found.observed_generation) == (0, NOW, 1)
    assert found.clusters == (
        ClusterTrafficStatus("b", 0, 5, 1, 10, 9),
        ClusterTrafficStatus("c", 1, 3, 0, None, 0),
    )
    accepted, condition = found.conditions
    assert accepted == Condition(
        "Accepted", "True", "Accepted", "the policy is in effect for its Service", NOW, 1
    )
    assert (condition.status, condition.reason) == ("True", "Applied")


def test_policy_is_not_applied_while_its_slices_cannot_be_written() -> None:
    """What the plan says is not what the main cluster has; the message says why."""
    found = traffic_status(POLICY, POLICY, service(), HEALTHY, NOW, write_failure="quota exceeded")
    (_, condition) = found.conditions
    assert (condition.status, condition.reason) == ("False", "WriteFailed")
    assert condition.message == "quota exceeded"


def test_clusters_without_rule_and_endpoints_are_not_listed() -> None:
    """A fleet of 100 clusters has 100 that do not matter to a Service."""
    empty = EndpointUse("z", 0, 0, 0, TrafficReason.NOTHING_READY)
    listed = evolve(B, ready=0, active=0)
    found = status(traffic(LOCAL, listed, empty))
    assert [each.name for each in found.clusters] == ["b"]


def test_numbers_of_ip_families_are_added_up() -> None:
    """The share is that over all of them."""
    four, six = FamilyTraffic("IPv4", 0, (LOCAL, B)), FamilyTraffic("IPv6", 0, (LOCAL, B))
    found = status(ServiceTraffic(WEB, "web", (four, six)))
    assert found.clusters == (ClusterTrafficStatus("b", 0, 10, 2, 10, 9),)


def test_status_is_quiet() -> None:
    """Equal facts give an equal status, at any time (law L9)."""
    written = status(HEALTHY, now=BEFORE)
    assert status(HEALTHY, evolve(POLICY, status=written)) == written


def test_times_move_at_transitions_only() -> None:
    """That of the tier, and that of each condition."""
    written = status(HEALTHY, now=BEFORE)
    over = traffic(LOCAL, B, C, last_tier=1)
    after = status(over, evolve(POLICY, status=written))
    assert (after.active_tier, after.active_tier_since) == (1, NOW)
    assert [each.last_transition_time for each in after.conditions] == [BEFORE, BEFORE]
    dark = status(traffic(), evolve(POLICY, status=written))
    assert [each.last_transition_time for each in dark.conditions] == [BEFORE, NOW]


def test_tiers_in_use_are_remembered() -> None:
    """They decide when a tier is left."""
    tier = ActiveTier(1, "IPv4", BEFORE)
    assert status(evolve(HEALTHY, remembered=(tier,))).tiers == (tier,)


def test_failover_is_applied() -> None:
    """It is what the policy asks for."""
    outcome, reason, message = applied(traffic(LOCAL, B, C, last_tier=1))
    assert (outcome, reason) == ("True", "FailedOver")
    assert message.startswith("tier 1 is in use: ")


def test_nothing_ready() -> None:
    """What may be used is gone."""
    assert applied(traffic(evolve(LOCAL, ready=0, active=0)))[:2] == ("False", "NothingReady")
    assert applied(ServiceTraffic(WEB, "web"))[:2] == ("False", "NothingReady")


def test_unknown_clusters() -> None:
    """A typing error in the policy, or a link that is still to come."""
    outcome, reason, message = applied(evolve(HEALTHY, unknown_clusters=("x", "y")))
    assert (outcome, reason) == ("False", "ClusterNotFound")
    assert message.startswith("there are no ClusterLinks named x, y: ")


def test_disabled_cluster_that_gets_traffic() -> None:
    """Its endpoints are those from before it was disabled, and their Pods may be gone."""
    kept = evolve(C, tier=0, active=3, reason=TrafficReason.FROZEN)
    outcome, reason, message = applied(traffic(LOCAL, B, kept))
    assert (outcome, reason) == ("False", "ClusterDisabled")
    assert message == (
        "ClusterLink c is disabled: mirrored EndpointSlices stay unchanged and may be out of date"
    )


def test_disabled_cluster_whose_tier_is_in_use() -> None:
    """Its standby endpoints cannot become active; while its tier waits, none should."""
    kept = evolve(C, ready=0, reason=TrafficReason.FROZEN)
    assert applied(traffic(LOCAL, B, kept))[:2] == ("True", "Applied")
    outcome, reason, message = applied(traffic(LOCAL, B, kept, last_tier=1))
    assert (outcome, reason) == ("False", "FailedOver")
    assert "; ClusterDisabled: ClusterLink c is disabled: " in message


def test_disabled_cluster_is_named_once() -> None:
    """Not a second time where it is why the cluster misses its share, or for each IP family."""
    missed = evolve(B, active=0, reason=TrafficReason.FROZEN, miss=Obstacle.FROZEN)
    assert "ClusterDisabled" not in applied(traffic(LOCAL, missed))[2]
    kept = evolve(C, tier=0, active=3, reason=TrafficReason.FROZEN)
    four, six = FamilyTraffic("IPv4", 0, (LOCAL, kept)), FamilyTraffic("IPv6", 0, (LOCAL, kept))
    assert applied(ServiceTraffic(WEB, "web", (four, six)))[2].startswith("ClusterLink c is")


def test_disabled_clusters_while_nothing_is_ready() -> None:
    """Enabling one of them may bring the Service back, so all are named."""
    dark = evolve(ServiceTraffic(WEB, "web"), disabled_clusters=("b", "c"))
    outcome, reason, message = applied(dark)
    assert (outcome, reason) == ("False", "NothingReady")
    assert "; ClusterDisabled: ClusterLinks b, c are disabled: " in message
    assert "ClusterDisabled" not in applied(evolve(HEALTHY, disabled_clusters=("b",)))[2]


MISSED = "b gets 33% rather than 50%, because its wanted share requires "


def test_missed_share() -> None:
    """What makes it possible: Pods in the cluster, or fewer local ones or of other clusters."""
    many = evolve(B, active=5, wanted_share=50, miss=Obstacle.TOO_MANY_OTHERS)
    outcome, reason, message = applied(traffic(LOCAL, many, C))
    assert (outcome, reason) == ("False", "ShareUnreachable")
    assert message.startswith(f"{MISSED}5 more ready endpoints in the cluster: ")
    assert applied(traffic(LOCAL, many))[2].startswith(
        f"{MISSED}5 more ready endpoints in the cluster, or 5 fewer local Pods: "
    )
    main, a = evolve(LOCAL, ready=1, active=1), EndpointUse("a", 0, 9, 9, TrafficReason.IN_USE)
    assert applied(traffic(main, a, many))[2].startswith(
        f"{MISSED}5 more ready endpoints in the cluster, or 5 fewer active endpoints in the main"
        " cluster or another cluster without a share: "
    )


def test_missed_share_that_needs_endpoints_elsewhere() -> None:
    """A cluster with a share always has an active endpoint."""
    two = evolve(LOCAL, ready=2, active=2)
    few = evolve(B, miss=Obstacle.TOO_FEW_OTHERS)
    assert applied(traffic(two, few))[2].startswith(
        "b gets 33% rather than 10%, because its wanted share requires 7 more ready endpoints in"
        " the main cluster or another cluster without a share: "
    )
    alone = evolve(B, ready=1, wanted_share=59, miss=Obstacle.TOO_FEW_OTHERS)
    assert (
        "because its wanted share requires more ready endpoints in the main cluster or"
        in (applied(traffic(alone))[2])
    )


def test_missed_share_that_no_number_of_endpoints_makes_possible() -> None:
    """Shares of more than everything, which only a file may ask for, or frozen endpoints."""
    frozen = EndpointUse("a", 0, 9, 9, TrafficReason.FROZEN)
    all_of_it = evolve(B, active=5, wanted_share=100, miss=Obstacle.TOO_MANY_OTHERS)
    assert (
        "because too many endpoints are active in other clusters"
        in (applied(traffic(frozen, all_of_it))[2])
    )


@pytest.mark.parametrize(
    ("obstacle", "sentence"),
    [
        (Obstacle.NOTHING_READY, "it has no ready endpoint"),
        (Obstacle.NOTHING_ELSE_READY, "the Service has no other ready endpoint"),
        (Obstacle.DRAINED, "its ClusterLink is drained"),
        (
            Obstacle.FROZEN,
            "its ClusterLink is disabled and its EndpointSlices stay unchanged",
        ),
    ],
)
def test_share_missed_for_another_reason_than_numbers(obstacle: Obstacle, sentence: str) -> None:
    """Nothing says that local Pods should go."""
    missed = evolve(B, active=0, miss=obstacle)
    outcome, reason, message = applied(traffic(LOCAL, missed, C))
    assert (outcome, reason) == ("False", "ShareUnreachable")
    assert message.startswith(f"b gets 0% rather than 10%, because {sentence}: ")


def test_missed_share_of_one_ip_family() -> None:
    """It is named where the Service has several."""
    missed = evolve(B, miss=Obstacle.TOO_FEW_OTHERS)
    four, six = FamilyTraffic("IPv4", 0, (LOCAL, B)), FamilyTraffic("IPv6", 0, (missed,))
    message = applied(ServiceTraffic(WEB, "web", (four, six)))[2]
    assert message.startswith("b gets 100% of IPv6 connections rather than 10%, ")


def test_missed_shares_of_several_clusters() -> None:
    """Each cluster has its own clause, because a clause has commas itself."""
    first, second = (evolve(each, active=0, miss=Obstacle.DRAINED) for each in (B, C))
    message = applied(traffic(LOCAL, first, evolve(second, wanted_share=5)))[2]
    assert message.startswith(
        "b gets 0% rather than 10%, because its ClusterLink is drained; "
        "c gets 0% rather than 5%, because its ClusterLink is drained: "
    )


def test_topology_concerns_shares_only() -> None:
    """Tiers and draining hold for every node."""
    found = evolve(HEALTHY, is_topology_aware=True)
    assert applied(found)[:2] == ("False", "TopologyRouting")
    assert applied(evolve(traffic(LOCAL, C), is_topology_aware=True))[1] == "Applied"


def test_failover_is_the_reason_whatever_else_is_wrong() -> None:
    """But the condition is False then, and the message has the rest."""
    missed = evolve(B, active=0, miss=Obstacle.NOTHING_READY)
    found = evolve(traffic(LOCAL, missed, C, last_tier=1), unknown_clusters=("x",))
    outcome, reason, message = applied(found)
    assert (outcome, reason) == ("False", "FailedOver")
    assert message.startswith("tier 1 is in use: ")
    assert "; ClusterNotFound: there is no ClusterLink x: " in message
    assert "; ShareUnreachable: b gets 0% rather than 10%, " in message


def test_failure_to_write_comes_before_the_failover() -> None:
    """The later tier is not in use before it is written."""
    over = traffic(LOCAL, B, C, last_tier=1)
    found = traffic_status(POLICY, POLICY, service(), over, NOW, write_failure="quota exceeded")
    assert found.conditions[1].reason == "WriteFailed"
    assert found.conditions[1].message.startswith("quota exceeded; FailedOver: ")


def test_message_has_all_problems() -> None:
    """The first one gives the reason: nothing is in use where nothing is ready."""
    found = evolve(traffic(last_tier=1), unknown_clusters=("x",))
    outcome, reason, message = applied(found)
    assert (outcome, reason) == ("False", "NothingReady")
    assert "; ClusterNotFound: " in message
    assert "; FailedOver: " in message


def test_younger_of_two_policies_conflicts() -> None:
    """It names the one that is in effect; both conditions say so."""
    younger = traffic_policy(name="younger")
    found = traffic_status(younger, POLICY, service(), HEALTHY, NOW)
    assert [(each.type, each.status, each.reason) for each in found.conditions] == [
        ("Accepted", "False", "Conflicted"),
        ("Applied", "False", "Conflicted"),
    ]
    assert found.conditions[0].message.startswith("TrafficPolicy web also targets default/web: ")
    assert found.clusters == ()


def test_target_that_is_missing() -> None:
    """The Service may be created later."""
    found = traffic_status(POLICY, POLICY, None, None, NOW)
    assert [each.reason for each in found.conditions] == ["TargetNotFound", "TargetNotFound"]
    assert found.conditions[0].message.startswith("there is no Service default/web: ")


def test_status_stays_while_nothing_is_known() -> None:
    """An object of the Service could not be decoded."""
    written = status(HEALTHY)
    assert status(None, evolve(POLICY, status=written)) == written


def test_policy_of_another_service() -> None:
    """A policy is for the Service that it names, in its own namespace."""
    assert POLICY.service == WEB
    assert traffic_policy(key=NamespacedName("shop", "api")).service.namespace == "shop"


def test_reasons_are_printed_as_their_codes() -> None:
    """Scripts match them."""
    assert str(PolicyReason.SHARE_UNREACHABLE) == "ShareUnreachable"
    assert str(TrafficReason.TIER_WAITING) == "TierWaiting"
