"""What the CRD of TrafficPolicies refuses is refused before it is sent, with the same limits.

Real: the core. Substituted: nothing.
"""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svclink_core.traffic_policy_rules import why_clusters_refused, why_policy_refused
from svclink_core.traffic_policy_v1alpha1 import (
    ClusterTraffic,
    TargetReference,
    TrafficPolicySpec,
)

SPEC = TrafficPolicySpec(TargetReference("web"), 1, 30, (ClusterTraffic("c1", 10),))


def test_extreme_values_are_accepted() -> None:
    """The limits themselves are valid, as are a share with tier 0 and a tier without share."""
    clusters = (ClusterTraffic("c1", 100), ClusterTraffic("c2", 0), ClusterTraffic("c3", tier=127))
    assert why_policy_refused(evolve(SPEC, min_ready=100_000, clusters=clusters)) is None
    assert why_policy_refused(evolve(SPEC, recovery_seconds=0, clusters=())) is None


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            TargetReference("web", "Deployment"),
            "spec.targetRef.kind: must be Service, the only kind that a policy can target",
        ),
        (
            TargetReference("Web"),
            (
                "spec.targetRef.name: 'Web' is not a valid Service name: use at most 63 lowercase"
                " letters, digits and '-', with no '-' at either end"
            ),
        ),
    ],
)
def test_target_is_refused(target: TargetReference, text: str) -> None:
    """The sentence names the field and the fix."""
    assert why_policy_refused(evolve(SPEC, target_ref=target)) == text


def test_numbers_are_refused() -> None:
    """Both ends of each range are named."""
    assert why_policy_refused(evolve(SPEC, min_ready=0)) == (
        "spec.minReady: 0 is out of range: use a whole number from 1 to 100000"
    )
    assert why_policy_refused(evolve(SPEC, recovery_seconds=86_401)) == (
        "spec.recoverySeconds: 86401 is out of range: use a whole number from 0 to 86400"
    )


@pytest.mark.parametrize(
    ("clusters", "text"),
    [
        (
            (ClusterTraffic("c1"), ClusterTraffic("c2", 130)),
            "spec.clusters[1].share: 130 is out of range: use a whole number from 0 to 100",
        ),
        (
            (ClusterTraffic("c1", -1),),
            "spec.clusters[0].share: -1 is out of range: use a whole number from 0 to 100",
        ),
        (
            (ClusterTraffic("c1", tier=128),),
            "spec.clusters[0].tier: 128 is out of range: use a whole number from 0 to 127",
        ),
        (
            (ClusterTraffic("c1", 10, tier=1),),
            (
                "spec.clusters[0]: c1 has tier 1, but only clusters in tier 0 can have"
                " a share: remove its tier or its share"
            ),
        ),
        (
            (ClusterTraffic("c1", 80), ClusterTraffic("c2", 80)),
            (
                "spec.clusters: the shares add up to 160 (c1=80, c2=80), but the limit"
                " is 100: lower one of them"
            ),
        ),
        (
            (ClusterTraffic("c1", 80), ClusterTraffic("c1", tier=1)),
            "spec.clusters[1].name: c1 is listed twice: use one entry for it",
        ),
        (
            (ClusterTraffic("-c1"),),
            (
                "spec.clusters[0].name: '-c1' is not a valid ClusterLink name: use at most 63"
                " lowercase letters, digits and '-', with no '-' at either end"
            ),
        ),
        (
            tuple(ClusterTraffic(f"c{number}") for number in range(129)),
            "spec.clusters: there are 129 entries: use at most 128",
        ),
    ],
)
def test_rules_of_clusters_are_refused(clusters: tuple[ClusterTraffic, ...], text: str) -> None:
    """The sentence names the entry by its place, and the fix."""
    assert why_clusters_refused(clusters) == text
    assert why_policy_refused(evolve(SPEC, clusters=clusters)) == text


@given(
    st.lists(
        st.builds(
            ClusterTraffic,
            st.sampled_from("abc"),
            st.none() | st.integers(-1, 101),
            st.integers(-1, 1),
        ),
        max_size=4,
    ).map(tuple)
)
def test_what_is_accepted_obeys_every_rule(clusters: tuple[ClusterTraffic, ...]) -> None:
    """Order does not matter, and nothing else is refused."""
    shares = [each.share for each in clusters if each.share is not None]
    is_valid = (
        len({each.name for each in clusters}) == len(clusters)
        and all(0 <= share <= 100 for share in shares)
        and all(each.tier >= 0 for each in clusters)
        and all(each.share is None or each.tier == 0 for each in clusters)
        and sum(shares) <= 100
    )
    assert (why_clusters_refused(clusters) is None) == is_valid
    assert (why_clusters_refused(clusters[::-1]) is None) == is_valid
