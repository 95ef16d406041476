"""Which endpoints are active, of one IP family: one fact in each test."""

from __future__ import annotations

from collections.abc import Collection

from svclink_core import ClusterTraffic, NamespacedName, TrafficPolicySpec
from svclink_core.service_traffic import ServiceTraffic, TrafficReason, rule_without_policy
from svclink_core.traffic import Division, Offer, divide, first_addresses, may_be_used
from svclink_core.traffic_policy_v1alpha1 import TargetReference
from svclink_core.traffic_shares import Obstacle
from svclink_core.well_known import MAIN
from tests.builders.keys import WEB

NOON = 1_782_907_200.0


def offer(
    rule: ClusterTraffic, number: int, *, fixed: bool = False, drained: bool = False
) -> Offer:
    addresses = frozenset(f"{rule.name}-{each}" for each in range(number))
    return Offer(rule, addresses, is_fixed=fixed or rule.name == MAIN, is_drained=drained)


def local(number: int) -> Offer:
    return offer(ClusterTraffic(MAIN), number)


def divided(*offers: Offer, min_ready: int = 1) -> Division:
    rules = tuple(each.rule for each in offers if each.cluster != MAIN)
    spec = TrafficPolicySpec(TargetReference("web"), min_ready, clusters=rules)
    return divide(WEB, spec, "IPv4", offers, (), NOON)


def numbers(division: Division) -> dict[str, int]:
    return {each.cluster: each.active for each in division.traffic.uses}


def reasons(division: Division) -> dict[str, TrafficReason]:
    return {each.cluster: each.reason for each in division.traffic.uses}


def miss(division: Division) -> Obstacle | None:
    """That of the second offer."""
    return division.traffic.uses[1].miss


def test_all_endpoints_are_active_without_rules() -> None:
    """Those of clusters without a share, and local ones."""
    found = divided(local(2), offer(ClusterTraffic("b"), 3), offer(ClusterTraffic("c"), 0))
    assert numbers(found) == {MAIN: 2, "b": 3, "c": 0}
    assert [*reasons(found).values()] == [
        TrafficReason.LOCAL,
        TrafficReason.IN_USE,
        TrafficReason.NOTHING_READY,
    ]
    assert found.traffic.active == len(found.active) == 5


def test_share() -> None:
    """As many as bring the share nearest, and a miss where that is not near."""
    found = divided(local(6), offer(ClusterTraffic("c"), 3), offer(ClusterTraffic("b", 10), 5))
    assert numbers(found) == {MAIN: 6, "c": 3, "b": 1}
    assert reasons(found)["b"] is TrafficReason.SHARE
    assert found.traffic.uses[2].miss is None
    missed = divided(local(10), offer(ClusterTraffic("b", 50), 5))
    assert missed.traffic.uses[1].miss == Obstacle.TOO_MANY_OTHERS


def test_share_of_a_cluster_without_endpoints_is_missed() -> None:
    """Whatever the others have, and however small it is: no local Pod is too many."""
    for share in (1, 50, 100):
        found = divided(local(10), offer(ClusterTraffic("b", share), 0))
        assert miss(found) == Obstacle.NOTHING_READY
    drained = offer(ClusterTraffic("b", 50), 0, drained=True)
    assert miss(divided(local(10), drained)) == Obstacle.NOTHING_READY


def test_share_of_nothing_is_missed_where_nothing_else_is_ready() -> None:
    """All traffic is not what the policy asks for."""
    none = offer(ClusterTraffic("b", 0), 5)
    assert miss(divided(local(1), none)) is None
    assert miss(divided(local(0), none)) == Obstacle.NOTHING_ELSE_READY
    assert miss(divided(local(0), offer(ClusterTraffic("b", -1), 5))) is not None


def test_share_of_a_drained_cluster_is_missed() -> None:
    """Draining comes before shares; a share of 0 is what it gets."""
    drained = offer(ClusterTraffic("b", 50), 5, drained=True)
    assert miss(divided(local(1), drained)) == Obstacle.DRAINED
    assert miss(divided(local(1), offer(ClusterTraffic("b", 0), 5, drained=True))) is None
    assert miss(divided(local(0), drained)) == Obstacle.NOTHING_ELSE_READY
    assert miss(divided(local(0), offer(ClusterTraffic("b", 100), 5, drained=True))) is None


def test_share_of_a_disabled_link_is_missed_unless_it_happens_to_hold() -> None:
    """Its EndpointSlices stay as they are."""
    assert miss(divided(local(5), offer(ClusterTraffic("b", 50), 5, fixed=True))) is None
    for share in (0, 10, 90):
        frozen = offer(ClusterTraffic("b", share), 5, fixed=True)
        assert miss(divided(local(5), frozen)) == Obstacle.FROZEN


def test_rule_of_a_service_without_a_policy() -> None:
    """Drained clusters get nothing, unless nothing else is ready."""
    b, c = (offer(ClusterTraffic(name), 3, drained=True) for name in "bc")

    def rule(*offers: Offer) -> str:
        return rule_without_policy(ServiceTraffic(WEB, None, (divided(*offers).traffic,)))

    equal = "all ready endpoints get an equal share"
    assert rule_without_policy(None) == rule(local(2)) == rule(local(0), b, c) == equal
    assert rule(local(2), b) == f"{equal}, except that b is drained"
    assert rule(local(2), b, c) == f"{equal}, except that b, c are drained"


def test_share_of_nothing_keeps_a_cluster_as_a_standby() -> None:
    """It is used where nothing else is ready."""
    assert numbers(divided(local(1), offer(ClusterTraffic("b", 0), 5))) == {MAIN: 1, "b": 0}
    alone = divided(local(0), offer(ClusterTraffic("b", 0), 5))
    assert numbers(alone) == {MAIN: 0, "b": 5}
    assert reasons(alone)["b"] is TrafficReason.LAST_READY


def test_share_of_nothing_without_fallback_is_never_used() -> None:
    """The owner of the Service excluded the cluster."""
    never = ClusterTraffic("b", 0, fallback=False)
    assert numbers(divided(local(0), offer(never, 5))) == {MAIN: 0, "b": 0}
    assert numbers(divided(local(0), offer(never, 5, drained=True))) == {MAIN: 0, "b": 0}
    assert not may_be_used(never)


def test_share_of_nothing_does_not_count_for_its_tier() -> None:
    """Endpoints that get no traffic do not keep a later tier out."""
    found = divided(
        local(0), offer(ClusterTraffic("b", 0), 5), offer(ClusterTraffic("c", tier=1), 2)
    )
    assert numbers(found) == {MAIN: 0, "b": 0, "c": 2}
    assert reasons(found)["b"] is TrafficReason.NO_SHARE


def test_later_tier_waits() -> None:
    """Also with `fallback: false`: what is left out is decided elsewhere."""
    tiers = (ClusterTraffic("b", tier=1), ClusterTraffic("c", tier=2, fallback=False))
    found = divided(local(1), *[offer(each, 4) for each in tiers])
    assert numbers(found) == {MAIN: 1, "b": 0, "c": 0}
    assert reasons(found)["c"] is TrafficReason.TIER_WAITING
    assert numbers(divided(local(0), *[offer(each, 4) for each in tiers])) == {
        MAIN: 0, "b": 4, "c": 0,
    }  # fmt: skip
    everything = divided(local(1), *[offer(each, 4) for each in tiers], min_ready=6)
    assert numbers(everything) == {MAIN: 1, "b": 4, "c": 4}
    assert everything.traffic.last_tier == 2
    assert everything.tiers.last == 2


def test_share_in_a_tier_that_waits_is_not_missed() -> None:
    """The API server refuses that, but a file may have it."""
    found = divided(local(1), offer(ClusterTraffic("b", 50, 1), 1))
    assert found.traffic.uses[1].miss is None


def test_drained_cluster_is_used_last() -> None:
    """Not even its tier counts; a cluster whose share is 0 is used before it."""
    drained = offer(ClusterTraffic("b"), 3, drained=True)
    waiting = offer(ClusterTraffic("c", tier=1), 2)
    found = divided(local(0), drained, waiting)
    assert numbers(found) == {MAIN: 0, "b": 0, "c": 2}
    assert reasons(found)["b"] is TrafficReason.DRAINED
    assert numbers(divided(local(0), drained, offer(ClusterTraffic("c", 0), 2))) == {
        MAIN: 0, "b": 0, "c": 2,
    }  # fmt: skip
    alone = divided(local(0), drained)
    assert numbers(alone) == {MAIN: 0, "b": 3}
    assert reasons(alone)["b"] is TrafficReason.LAST_READY


def test_endpoints_of_a_disabled_link_stay_active() -> None:
    """Whatever the policy says of it; they count for its tier."""
    frozen = offer(ClusterTraffic("b", tier=1), 3, fixed=True)
    found = divided(local(1), frozen, offer(ClusterTraffic("c", tier=2), 2), min_ready=4)
    assert numbers(found) == {MAIN: 1, "b": 3, "c": 0}
    assert reasons(found)["b"] is TrafficReason.FROZEN


def test_nothing_is_active_where_nothing_is_ready() -> None:
    """The shares are not missed then: there is nothing to share."""
    found = divided(local(0), offer(ClusterTraffic("b", 10), 0))
    assert found.active == frozenset()
    assert found.traffic.uses[1].miss is None


def test_active_endpoints_are_chosen_by_a_hash() -> None:
    """More of them add to fewer; another Service chooses others."""
    addresses = {f"10.0.0.{each}" for each in range(20)}

    def chosen(number: int, among: Collection[str] = addresses) -> frozenset[str]:
        return first_addresses(WEB, among, number)

    assert chosen(3) < chosen(4) < chosen(20) == addresses
    assert first_addresses(NamespacedName("default", "api"), addresses, 5) != chosen(5)
    (last,) = chosen(4) - chosen(3)
    assert chosen(3, addresses - {last}) == chosen(3)
    gone = min(chosen(3))
    assert chosen(3, addresses - {gone}) == chosen(4) - {gone}
