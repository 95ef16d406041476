"""Which endpoints of a Service are active, of one IP family.

In this order: what svclink may not change is active. Of the rest, drained clusters are not, later
tiers only if those before have too few ready endpoints, and clusters with a share as far as it
goes. Where this leaves nothing, everything that may be used is (law L17).

Source: docs/how-to/traffic-policies.md, "Active and standby".
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

from attrs import frozen

from svclink_core.meta_v1 import NamespacedName
from svclink_core.service_traffic import EndpointUse, FamilyTraffic, TrafficReason
from svclink_core.traffic_policy_v1alpha1 import (
    ActiveTier,
    ClusterTraffic,
    IPFamily,
    TrafficPolicySpec,
)
from svclink_core.traffic_shares import Obstacle, WantedShare, share_numbers, why_missed
from svclink_core.traffic_tiers import TiersInUse, tiers_in_use
from svclink_core.well_known import MAIN


@frozen
class Offer:
    """The ready endpoints of one cluster.

    Args:
        rule: What the policy says about the cluster, `MAIN` for local endpoints.
        addresses: Their addresses. None is in two offers.
        is_fixed: Whether svclink may not change them.
        is_drained: Whether the ClusterLink is drained.
    """

    rule: ClusterTraffic
    addresses: frozenset[str]
    is_fixed: bool = False
    is_drained: bool = False

    @property
    def cluster(self) -> str:
        """The name of the cluster."""
        return self.rule.name

    @property
    def is_usable(self) -> bool:
        """Whether it gets traffic once its tier is in use."""
        return not (self.is_fixed or self.is_drained or has_no_share(self.rule))


@frozen
class Division:
    """Which endpoints of one IP family are active.

    Args:
        traffic: How many of each cluster, and why.
        active: Their addresses.
        tiers: The tiers that are in use.
    """

    traffic: FamilyTraffic
    active: frozenset[str]
    tiers: TiersInUse


def divide(
    service: NamespacedName,
    spec: TrafficPolicySpec,
    ip_family: IPFamily,
    offers: Sequence[Offer],
    remembered: Collection[ActiveTier],
    now: float,
) -> Division:
    """Which endpoints of a Service are active, of one IP family.

    Args:
        service: The Service.
        spec: Its policy.
        ip_family: The IP family.
        offers: The ready endpoints of each cluster, local ones first.
        remembered: The tiers that were in use, as the status of the policy has them.
        now: POSIX time.
    """
    ready: dict[int, int] = {}
    for each in offers:
        if each.is_fixed or each.is_usable:
            ready[each.rule.tier] = ready.get(each.rule.tier, 0) + len(each.addresses)
    tiers = tiers_in_use(spec, ip_family, ready, remembered, now)
    fixed = {each.cluster: each.addresses for each in offers if each.is_fixed}
    in_use = [each for each in offers if each.is_usable and each.rule.tier <= tiers.last]
    chosen = fixed | _chosen(service, in_use, sum(map(len, fixed.values())))
    if not any(chosen.values()):
        chosen = _last_ready(offers)
    uses = [_use(each, chosen, tiers.last) for each in offers]
    traffic = FamilyTraffic(ip_family, tiers.last, tuple(uses))
    return Division(traffic, frozenset().union(*chosen.values()), tiers)


def has_no_share(rule: ClusterTraffic) -> bool:
    """Whether a cluster gets no traffic while anything else is ready."""
    return rule.share is not None and rule.share <= 0


def may_be_used(rule: ClusterTraffic) -> bool:
    """Whether there is a state in which a cluster gets traffic."""
    return rule.fallback or not has_no_share(rule)


def first_addresses(
    service: NamespacedName, addresses: Collection[str], number: int
) -> frozenset[str]:
    """The first of the addresses of a cluster, in the order of a hash of Service and address.

    More of them only add to fewer, and an address that comes or goes moves at most one other
    (rendezvous hashing).
    """

    def place(address: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{service}/{address}".encode()).digest(), address

    return frozenset(sorted(addresses, key=place)[:number])


def _chosen(
    service: NamespacedName, in_use: Sequence[Offer], fixed: int
) -> dict[str, frozenset[str]]:
    """The active endpoints of clusters whose tiers are in use."""
    whole = {each.cluster: each.addresses for each in in_use if each.rule.share is None}
    shared = {
        each.cluster: WantedShare(each.rule.share, len(each.addresses))
        for each in in_use
        if each.rule.share is not None and each.addresses
    }
    numbers = share_numbers(fixed + sum(map(len, whole.values())), shared)
    parts = {
        each.cluster: first_addresses(service, each.addresses, numbers[each.cluster])
        for each in in_use
        if each.cluster in numbers
    }
    return whole | parts


def _last_ready(offers: Sequence[Offer]) -> dict[str, frozenset[str]]:
    """What is used where nothing else is ready: clusters without a share, then drained ones."""
    usable = [each for each in offers if not each.is_fixed and may_be_used(each.rule)]
    for is_drained in (False, True):
        found = {each.cluster: each.addresses for each in usable if each.is_drained is is_drained}
        if any(found.values()):
            return found
    return {}


def _use(offer: Offer, chosen: Mapping[str, frozenset[str]], last_tier: int) -> EndpointUse:
    """How an offer is used, after its active endpoints were chosen."""
    rule, active = offer.rule, len(chosen.get(offer.cluster, ()))
    others = sum(map(len, chosen.values())) - active
    return EndpointUse(
        offer.cluster,
        rule.tier,
        len(offer.addresses),
        active,
        _why_used(offer, active, last_tier),
        rule.share,
        _miss(offer, active, others) if rule.tier <= last_tier else None,
    )


def _miss(offer: Offer, active: int, others: int) -> Obstacle | None:
    """Why the cluster of an offer does not get its share. Rules that come before shares say why."""
    if offer.rule.share is None:
        return None
    miss = why_missed(active, others, max(offer.rule.share, 0))
    if miss is None or offer.is_usable or not offer.addresses:
        return miss
    if offer.is_fixed:
        return Obstacle.FROZEN
    return Obstacle.NOTHING_ELSE_READY if active else Obstacle.DRAINED


def _why_used(offer: Offer, active: int, last_tier: int) -> TrafficReason:
    """The first rule that decides how many endpoints of an offer are active."""
    rules = (
        (offer.cluster == MAIN, TrafficReason.LOCAL),
        (offer.is_fixed, TrafficReason.FROZEN),
        (not offer.addresses, TrafficReason.NOTHING_READY),
        (active > 0 and not offer.is_usable, TrafficReason.LAST_READY),
        (offer.is_drained, TrafficReason.DRAINED),
        (has_no_share(offer.rule), TrafficReason.NO_SHARE),
        (offer.rule.tier > last_tier, TrafficReason.TIER_WAITING),
        (offer.rule.share is not None, TrafficReason.SHARE),
    )
    return next((reason for holds, reason in rules if holds), TrafficReason.IN_USE)
