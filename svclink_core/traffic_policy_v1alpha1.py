"""svclink.cloudpilot.ai/v1alpha1: TrafficPolicy, which divides a Service's traffic by cluster.

A policy attaches to its Service as policies of the Gateway API do (GEP-713): by `targetRef`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from attrs import frozen

from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.svclink_v1alpha1 import Condition

IPFamily = Literal["IPv4", "IPv6"]

KIND_SERVICE: Final = "Service"


@frozen
class TargetReference:
    """The object that a policy is for, in the policy's namespace."""

    name: str
    kind: str = KIND_SERVICE


@frozen
class ClusterTraffic:
    """How one cluster takes part in the traffic of a Service.

    Args:
        name: The name of its ClusterLink.
        share: Percentage of new connections, 0 to 100; None for as much as its endpoints get.
        tier: 0 for the tier of local endpoints. Later tiers are used when the earlier ones have
            too few.
        fallback: Whether inactive endpoints are kept on standby.
    """

    name: str
    share: int | None = None
    tier: int = 0
    fallback: bool = True


@frozen
class TrafficPolicySpec:
    """How a Service's traffic is shared between clusters.

    Args:
        target_ref: The Service.
        min_ready: A tier is used while all earlier tiers have fewer ready endpoints than this
            number.
        recovery_seconds: How long the earlier tiers must have had enough again before the tier
            is no longer used.
        clusters: The clusters with a rule. All others are of tier 0 and have no share.
    """

    target_ref: TargetReference
    min_ready: int = 1
    recovery_seconds: int = 30
    clusters: tuple[ClusterTraffic, ...] = ()


@frozen
class ActiveTier:
    """A tier after the first that is in use for one IP family. Times are RFC 3339.

    Args:
        tier: The number of the tier.
        ip_family: The IP family.
        since: When it became active.
        recovering_since: Since when the tiers before it have had enough ready endpoints again.
    """

    tier: int
    ip_family: IPFamily
    since: str
    recovering_since: str | None = None


@frozen
class ClusterTrafficStatus:
    """What one cluster contributes to a Service.

    Args:
        name: The name of its ClusterLink.
        tier: Its tier.
        endpoints: How many ready endpoints it has, of all IP families.
        active: How many of them are used.
        wanted_share: The share of the policy, in percent; None without one.
        reachable_share: The share that it gets, in percent, rounded; None if nothing is active.
    """

    name: str
    tier: int = 0
    endpoints: int = 0
    active: int = 0
    wanted_share: int | None = None
    reachable_share: int | None = None


@frozen
class TrafficPolicyStatus:
    """What a policy does. After a restart, its times and tiers decide when to stop using a tier.

    Args:
        active_tier: The last tier in use; None before the policy is first applied.
        active_tier_since: Since when, as RFC 3339.
        tiers: The tiers after the first that are in use, by IP family.
        clusters: What each cluster contributes, by name.
        conditions: `Accepted` and `Applied`.
        observed_generation: The generation of the policy that this describes.
    """

    active_tier: int | None = None
    active_tier_since: str | None = None
    tiers: tuple[ActiveTier, ...] = ()
    clusters: tuple[ClusterTrafficStatus, ...] = ()
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0


@frozen
class TrafficPolicy:
    """Shares one Service's traffic between clusters."""

    metadata: ObjectMeta
    spec: TrafficPolicySpec
    status: TrafficPolicyStatus = TrafficPolicyStatus()

    @property
    def service(self) -> NamespacedName:
        """The Service that the policy is for."""
        return NamespacedName(self.metadata.namespace, self.spec.target_ref.name)


def counting_policies(policies: Iterable[TrafficPolicy]) -> dict[NamespacedName, TrafficPolicy]:
    """Return the policy in effect for each Service: the oldest, and the first by name among equals.

    Source: GEP-713, "Conflict Resolution".
    """
    return {
        policy.service: policy
        for policy in sorted(policies, key=_seniority, reverse=True)
        if policy.spec.target_ref.kind == KIND_SERVICE
    }


def _seniority(policy: TrafficPolicy) -> tuple[bool, str, str]:
    """One without a creation time was not stored yet, and so is the youngest."""
    created = policy.metadata.creation_timestamp
    return created is None, created or "", policy.metadata.name
