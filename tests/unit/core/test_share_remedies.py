"""What makes a missed share possible: examples, and a property against what is then active."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from svclink_core import ClusterTraffic, TrafficPolicySpec
from svclink_core.service_traffic import EndpointUse, FamilyTraffic
from svclink_core.share_remedies import Remedies, share_remedies
from svclink_core.traffic import Offer, divide
from svclink_core.traffic_policy_v1alpha1 import TargetReference
from svclink_core.traffic_shares import Obstacle
from svclink_core.well_known import MAIN
from tests.builders.keys import WEB

NOON: Final = 1_782_907_200.0
TOO_MANY, TOO_FEW = Obstacle.TOO_MANY_OTHERS, Obstacle.TOO_FEW_OTHERS


def offer(name: str, number: int, share: int | None = None, tier: int = 0) -> Offer:
    addresses = frozenset(f"{name}-{each}" for each in range(number))
    return Offer(ClusterTraffic(name, share, tier), addresses, is_fixed=name == MAIN)


def divided(offers: Sequence[Offer]) -> FamilyTraffic:
    rules = tuple(each.rule for each in offers if each.cluster != MAIN)
    spec = TrafficPolicySpec(TargetReference("web"), clusters=rules)
    return divide(WEB, spec, "IPv4", offers, (), NOON).traffic


def use_of(name: str, family: FamilyTraffic) -> EndpointUse:
    return next(each for each in family.uses if each.cluster == name)


def remedies(*offers: Offer, name: str = "b") -> Remedies:
    family = divided(offers)
    return share_remedies(use_of(name, family), family)


def test_one_more_endpoint_in_the_cluster_or_one_fewer_elsewhere() -> None:
    """4 of 8 are 50%, and so are 3 of 6."""
    found = remedies(offer(MAIN, 1), offer("a", 3), offer("b", 3, 50))
    assert found == Remedies(more=1, fewer_elsewhere=1)


def test_other_shares_grow_with_the_cluster() -> None:
    """Of the wanted total of 40, b has 20 and c 10: with 14 of b, c would have 8 rather than 4."""
    found = remedies(offer(MAIN, 10), offer("b", 3, 50), offer("c", 12, 25))
    assert found.more == 17


def test_only_an_end_of_all_others_makes_a_share_of_everything_possible() -> None:
    """No number of endpoints of the cluster is enough."""
    found = remedies(offer(MAIN, 5), offer("b", 10, 100))
    assert found == Remedies(fewer_elsewhere=5)


def test_endpoints_of_a_cluster_with_a_share_cannot_make_another_share_possible() -> None:
    """Without any other endpoint, the shares hold among each other, however many there are."""
    found = remedies(offer(MAIN, 0), offer("b", 9, 50), offer("c", 3, 25))
    assert found == Remedies(more_elsewhere=1)


def test_fewer_endpoints_elsewhere_are_not_a_remedy_if_another_tier_would_be_used() -> None:
    """Then the endpoints of that tier take their place."""
    found = remedies(offer(MAIN, 4), offer("b", 3, 50), offer("z", 4, tier=1))
    assert found == Remedies(more=1)


def test_a_share_is_lowered_to_the_wanted_one_where_it_can_be() -> None:
    """1 of 10 is 10%, and 1 of 6 would count as near; of 42%, one of two is the nearest."""
    assert remedies(offer(MAIN, 2), offer("b", 5, 10)) == Remedies(more_elsewhere=7)
    assert remedies(offer(MAIN, 0), offer("b", 1, 42)) == Remedies(more_elsewhere=1)


@st.composite
def missed_shares(draw: DrawFn) -> list[Offer]:
    """Local endpoints, a cluster without a share, two with one, and a later tier."""
    few = st.integers(0, 12)
    first = draw(st.integers(1, 100))
    second = draw(st.integers(0, 110 - first) | st.just(100 - first))
    return [
        offer(MAIN, draw(few)),
        offer("a", draw(few)),
        offer("b", draw(few), first),
        offer("c", draw(few), second),
        offer("z", draw(st.integers(0, 1)), tier=1),
    ]


def grown(offers: Sequence[Offer], name: str, number: int) -> list[Offer]:
    """The offers with more endpoints of one cluster, or with fewer."""

    return [
        offer(name, len(each.addresses) + number, each.rule.share) if each.cluster == name else each
        for each in offers
    ]


@given(missed_shares())
def test_each_remedy_makes_the_share_possible(offers: list[Offer]) -> None:
    """A share that is missed is not missed after the change."""
    family = divided(offers)
    for use in family.uses:
        if use.miss not in (TOO_MANY, TOO_FEW):
            continue
        name, found = use.cluster, share_remedies(use, family)
        is_beside_others = any(each.active for each in family.uses if each.wanted_share is None)
        if is_beside_others and sum([each.wanted_share or 0 for each in family.uses]) < 100:
            assert found.more or found.more_elsewhere
        if found.more:
            assert use_of(name, divided(grown(offers, name, found.more))).miss is None
        for place in (MAIN, "a"):
            if found.more_elsewhere:
                after = divided(grown(offers, place, found.more_elsewhere))
                assert use_of(name, after).miss is None
            if 0 < found.fewer_elsewhere <= use_of(place, family).active:
                after = divided(grown(offers, place, -found.fewer_elsewhere))
                assert use_of(name, after).miss is None
