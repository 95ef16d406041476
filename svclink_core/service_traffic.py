"""What becomes of the traffic of a Service: which endpoints are active, and why.

A plan carries it, so that status, commands and metrics do not find it out again.
"""

from __future__ import annotations

from attrs import frozen

from svclink_core.explained import Explained
from svclink_core.meta_v1 import NamespacedName
from svclink_core.traffic_policy_v1alpha1 import ActiveTier, IPFamily
from svclink_core.traffic_shares import Obstacle


class TrafficReason(Explained):
    """Why this number of a cluster's ready endpoints is active: a code and a sentence."""

    LOCAL = ("Local", "svclink never changes local endpoints")
    FROZEN = ("Frozen", "the ClusterLink is disabled and its EndpointSlices stay unchanged")
    IN_USE = ("InUse", "all ready endpoints are active")
    SHARE = ("Share", "this number of active endpoints comes closest to the wanted share")
    NO_SHARE = ("NoShare", "the cluster's share is 0")
    TIER_WAITING = ("TierWaiting", "the earlier tiers have enough ready endpoints")
    DRAINED = ("Drained", "the ClusterLink is drained")
    LAST_READY = ("LastReady", "the Service has no other ready endpoint")
    NOTHING_READY = ("NothingReady", "the cluster has no ready endpoints")


@frozen
class EndpointUse:
    """How many endpoints of one cluster and IP family are used.

    Args:
        cluster: The name of the cluster; `MAIN` for local endpoints.
        tier: Its tier.
        ready: How many ready endpoints it has. Each address counts once, for one cluster.
        active: How many of them are active. The others are on standby or left out.
        reason: Why.
        wanted_share: The share that it should get, in percent, or None.
        miss: Why it cannot get that share, or None.
    """

    cluster: str
    tier: int
    ready: int
    active: int
    reason: TrafficReason
    wanted_share: int | None = None
    miss: Obstacle | None = None


@frozen
class FamilyTraffic:
    """The traffic of one IP family.

    Args:
        ip_family: The IP family.
        last_tier: The last tier that is in use.
        uses: How many endpoints of each cluster are used: local ones, then by name.
    """

    ip_family: IPFamily
    last_tier: int
    uses: tuple[EndpointUse, ...]

    @property
    def active(self) -> int:
        """How many endpoints are active. A cluster's share is its fraction of them."""
        return sum([each.active for each in self.uses])


@frozen
class ServiceTraffic:
    """What happens to the traffic of a Service that has a policy or uses a drained cluster.

    Args:
        service: The Service.
        policy: The name of its TrafficPolicy in the same namespace, or None.
        families: The IP families that have endpoints.
        remembered: The tiers after the first that are in use, for the status of the policy.
        unknown_clusters: Clusters that the policy names but that have no ClusterLink.
        disabled_clusters: Clusters with a disabled ClusterLink that the policy names or that have
            EndpointSlices of the Service.
        is_topology_aware: Whether kube-proxy prefers nearby endpoints, so that shares hold
            only across all nodes combined.
    """

    service: NamespacedName
    policy: str | None = None
    families: tuple[FamilyTraffic, ...] = ()
    remembered: tuple[ActiveTier, ...] = ()
    unknown_clusters: tuple[str, ...] = ()
    disabled_clusters: tuple[str, ...] = ()
    is_topology_aware: bool = False

    @property
    def last_tier(self) -> int:
        """The last tier that is in use for any IP family."""
        found = [each.last_tier for each in self.families]
        return max(found or [each.tier for each in self.remembered], default=0)

    def needs(self, cluster: str) -> bool:
        """Whether a drained cluster is still used because nothing else is ready."""
        return any(
            use.cluster == cluster and use.reason is TrafficReason.LAST_READY and use.active > 0
            for family in self.families
            for use in family.uses
        )


def rule_without_policy(traffic: ServiceTraffic | None) -> str:
    """How the traffic of a Service without a policy is divided, in words.

    Args:
        traffic: What happens to it; None if no cluster that has the Service is drained.
    """
    uses = [] if traffic is None else [use for each in traffic.families for use in each.uses]
    drained = sorted({each.cluster for each in uses if each.reason is TrafficReason.DRAINED})
    rule = "all ready endpoints get an equal share"
    if not drained:
        return rule
    return (
        f"{rule}, except that {', '.join(drained)} {'is' if len(drained) == 1 else 'are'} drained"
    )
