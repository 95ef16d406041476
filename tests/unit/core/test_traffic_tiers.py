"""Which tiers are in use, one fact in each test."""

from __future__ import annotations

from svclink_core import ClusterTraffic, TrafficPolicySpec
from svclink_core.traffic_policy_v1alpha1 import ActiveTier, TargetReference
from svclink_core.traffic_tiers import TiersInUse, tiers_in_use

NOON = 1_782_907_200.0
TIMES = {0: "2026-07-01T12:00:00Z", 10: "2026-07-01T12:00:10Z", 30: "2026-07-01T12:00:30Z"}
SPEC = TrafficPolicySpec(
    TargetReference("web"),
    min_ready=2,
    clusters=(ClusterTraffic("c", tier=2), ClusterTraffic("b", tier=1)),
)


def in_use(
    ready: dict[int, int], *remembered: ActiveTier, at: float = 0, spec: TrafficPolicySpec = SPEC
) -> TiersInUse:
    return tiers_in_use(spec, "IPv4", ready, remembered, NOON + at)


def test_first_tier_alone_is_in_use_while_it_has_enough() -> None:
    """Nothing has to be remembered then."""
    assert in_use({0: 2, 1: 5, 2: 5}) == TiersInUse(0)


def test_next_tier_is_in_use_while_those_before_have_too_few() -> None:
    """The second tier fills up the first one; the third is not needed."""
    found = in_use({0: 1, 1: 5, 2: 5})
    assert found == TiersInUse(1, (ActiveTier(1, "IPv4", TIMES[0]),))


def test_tiers_before_count_together() -> None:
    """One endpoint in each of two tiers makes two."""
    assert in_use({0: 1, 1: 1, 2: 5}).last == 1
    assert in_use({0: 1, 1: 0, 2: 5}).last == 2


def test_tier_stays_until_those_before_have_recovered_for_long_enough() -> None:
    """Since when they have is remembered, and tells when to plan again."""
    known = ActiveTier(1, "IPv4", TIMES[0])
    recovering = in_use({0: 2}, known)
    assert recovering.last == 1
    assert recovering.remembered == (ActiveTier(1, "IPv4", TIMES[0], TIMES[0]),)
    assert recovering.again_at == NOON + 30
    later = in_use({0: 2}, *recovering.remembered, at=29.9)
    assert later == recovering
    assert in_use({0: 2}, *recovering.remembered, at=30) == TiersInUse(0)


def test_recovery_begins_anew_when_endpoints_are_lost_again() -> None:
    """Each time, the tiers before must have enough for the whole time."""
    known = ActiveTier(1, "IPv4", TIMES[0], TIMES[0])
    lost = in_use({0: 1, 1: 5}, known, at=10)
    assert lost.remembered == (ActiveTier(1, "IPv4", TIMES[0]),)
    assert in_use({0: 2}, *lost.remembered, at=30).again_at == NOON + 60


def test_each_tier_recovers_for_itself() -> None:
    """The third tier is left before the second one."""
    known = (ActiveTier(1, "IPv4", TIMES[0], TIMES[10]), ActiveTier(2, "IPv4", TIMES[0], TIMES[0]))
    found = in_use({0: 2}, *known, at=30)
    assert found.last == 1
    assert found.again_at == NOON + 40


def test_recovery_of_no_seconds_is_over_at_once() -> None:
    """The tier is left in the same plan."""
    spec = TrafficPolicySpec(SPEC.target_ref, 2, 0, SPEC.clusters)
    assert in_use({0: 2}, ActiveTier(1, "IPv4", TIMES[0]), spec=spec) == TiersInUse(0)


def test_tiers_of_another_ip_family_are_remembered_apart() -> None:
    """A Service may have failed over for IPv6 only."""
    assert in_use({0: 2}, ActiveTier(1, "IPv6", TIMES[0])) == TiersInUse(0)


def test_time_that_cannot_be_true_is_replaced() -> None:
    """A clock that was set back must not make a tier stay for a year."""
    for since in ("2027-07-01T12:00:00Z", "soon"):
        found = in_use({0: 2}, ActiveTier(1, "IPv4", TIMES[0], since))
        assert found.again_at == NOON + 30


def test_time_of_the_current_second_is_possible() -> None:
    """Times are rounded up to whole seconds when they are remembered."""
    known = ActiveTier(1, "IPv4", TIMES[0], TIMES[0])
    assert in_use({0: 2}, known, at=-0.5).remembered == (known,)


def test_tier_that_a_policy_dropped_is_forgotten() -> None:
    """What is remembered of it does not matter any more."""
    spec = TrafficPolicySpec(SPEC.target_ref, 2, 30, SPEC.clusters[1:])
    assert in_use({0: 2}, ActiveTier(2, "IPv4", TIMES[0]), spec=spec) == TiersInUse(0)


def test_tiers_before_a_tier_in_use_are_in_use() -> None:
    """A policy that gets another tier in between while the later one recovers uses both."""
    found = in_use({0: 2}, ActiveTier(2, "IPv4", TIMES[0], TIMES[0]), at=10)
    assert [each.tier for each in found.remembered] == [1, 2]


def test_a_minimum_below_one_counts_as_one() -> None:
    """Otherwise a tier would not be used although those before are empty (law L17)."""
    spec = TrafficPolicySpec(SPEC.target_ref, 0, 30, SPEC.clusters)
    assert in_use({1: 3}, spec=spec).last == 1
