"""TrafficPolicies, with and without a status that an earlier plan left.

Valid policies: names once, shares of at most 100 together, only one of a share and a later tier.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from svclink_core import (
    ClusterTraffic,
    NamespacedName,
    ObjectMeta,
    TrafficPolicy,
    TrafficPolicySpec,
    TrafficPolicyStatus,
)
from svclink_core.traffic_policy_v1alpha1 import (
    ActiveTier,
    ClusterTrafficStatus,
    TargetReference,
)
from tests.unit.core.strategies.drawing import mostly, mostly_true, pick
from tests.unit.core.strategies.names import EARLIER, LATER, Universe, cluster_names, keys
from tests.unit.core.strategies.statuses import link_conditions

TODAY: Final = ("2026-07-01T11:59:40Z", "2026-07-01T11:59:20Z", "2026-07-01T11:59:30Z")
"""Times shortly before `world.NOW`, so that a recovery is over or not."""

_times = st.sampled_from((EARLIER, LATER, *TODAY))
_shares = st.sampled_from((None, None, 0, 10, 25, 50, 90, 100))
_active_tiers = st.builds(
    ActiveTier,
    st.sampled_from((1, 2)),
    st.sampled_from(("IPv4", "IPv6")),
    _times,
    st.none() | _times,
)
_cluster_statuses = st.builds(
    ClusterTrafficStatus,
    cluster_names,
    st.integers(0, 2),
    st.integers(0, 9),
    st.integers(0, 9),
    st.none() | st.integers(0, 100),
    st.none() | st.integers(0, 100),
)
policy_statuses = st.builds(
    TrafficPolicyStatus,
    active_tier=st.sampled_from((None, 0, 1, 2)),
    active_tier_since=st.none() | _times,
    tiers=st.lists(
        _active_tiers, max_size=3, unique_by=lambda each: (each.tier, each.ip_family)
    ).map(tuple),
    clusters=st.lists(_cluster_statuses, max_size=2).map(tuple),
    conditions=st.lists(link_conditions, max_size=2).map(tuple),
    observed_generation=st.integers(0, 5),
)


@st.composite
def _rules(draw: DrawFn, clusters: tuple[str, ...]) -> tuple[ClusterTraffic, ...]:
    """One rule for each of these clusters, as the API server accepts them."""
    left, rules = 100, []
    for name in clusters:
        share = draw(_shares)
        if share is not None and share <= left and draw(mostly_true):
            left -= share
            rules.append(ClusterTraffic(name, share, 0, draw(mostly_true)))
        else:
            rules.append(ClusterTraffic(name, None, draw(pick((0, 1, 1, 2))), draw(mostly_true)))
    return tuple(rules)


@cache
def traffic_policies(
    key: NamespacedName, clusters: tuple[str, ...]
) -> SearchStrategy[TrafficPolicy]:
    """A policy for one Service with rules for some of these clusters."""
    return st.builds(
        TrafficPolicy,
        st.builds(
            ObjectMeta,
            st.sampled_from(("web", "other")),
            st.just(key.namespace),
            uid=st.just("uid-of-policy"),
            generation=st.integers(0, 5),
            creation_timestamp=st.none() | st.sampled_from((EARLIER, LATER)),
        ),
        st.builds(
            TrafficPolicySpec,
            st.just(TargetReference(key.name)),
            st.sampled_from((1, 1, 2, 3)),
            st.sampled_from((30, 30, 0)),
            st.sampled_from((clusters, clusters[:1], clusters[::-1], ())).flatmap(_rules),
        ),
        st.just(TrafficPolicyStatus()) | policy_statuses,
    )


@cache
def some_policies(
    universe: Universe,
) -> SearchStrategy[dict[NamespacedName, TrafficPolicy]]:
    """The policies that count: mostly none, else one for one of the Services."""
    one = pick(universe.keys).flatmap(lambda key: traffic_policies(key, universe.clusters))
    return mostly(st.just({}), one.map(lambda policy: {policy.service: policy}), odds=2)


any_policies = st.tuples(keys, cluster_names, cluster_names).flatmap(
    lambda drawn: traffic_policies(drawn[0], tuple(dict.fromkeys(drawn[1:])))
)
