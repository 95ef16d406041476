"""Which tiers of clusters are in use: ordered failover, of one IP family.

A tier is in use while all tiers before it have fewer ready endpoints than the policy's `minReady`,
and for `recoverySeconds` after. The policy's status remembers since when they have had enough
again, so that a restart of svclink makes no tier stay longer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import evolve, frozen

from svclink_core.timestamps import posix_seconds, timestamp_of
from svclink_core.traffic_policy_v1alpha1 import ActiveTier, IPFamily, TrafficPolicySpec


@frozen
class TiersInUse:
    """The tiers of one IP family that are in use.

    Args:
        last: The last tier in use. All tiers before it are in use as well.
        remembered: What the status has to remember: an entry for each of them after tier 0.
        again_at: When a tier is left although nothing happens, as POSIX time; None if none is.
    """

    last: int
    remembered: tuple[ActiveTier, ...] = ()
    again_at: float | None = None


def tiers_in_use(
    spec: TrafficPolicySpec,
    ip_family: IPFamily,
    ready: Mapping[int, int],
    remembered: Collection[ActiveTier],
    now: float,
) -> TiersInUse:
    """Which tiers of one IP family are in use.

    Args:
        spec: The policy.
        ip_family: The IP family.
        ready: How many ready endpoints each tier has; 0 if it is not in it.
        remembered: The tiers that were in use, of any IP family, as the status has them.
        now: POSIX time.
    """
    tiers = sorted({each.tier for each in spec.clusters if each.tier > 0})
    known = {each.tier: each for each in remembered if each.ip_family == ip_family}
    found = [
        _entry(spec, ip_family, tier, _before(tier, ready), known.get(tier), now) for tier in tiers
    ]
    last = max([each.tier for each in found if each is not None], default=0)
    kept = [
        each or ActiveTier(tier, ip_family, timestamp_of(now))
        for tier, each in zip(tiers, found, strict=True)
        if tier <= last
    ]
    ends = [
        _recovered_at(spec, each.recovering_since)
        for each in kept
        if each.recovering_since is not None
    ]
    return TiersInUse(last, tuple(kept), min(ends, default=None))


def _before(tier: int, ready: Mapping[int, int]) -> int:
    """How many ready endpoints the tiers before one have."""
    return sum([count for other, count in ready.items() if other < tier])


def _entry(
    spec: TrafficPolicySpec,
    ip_family: IPFamily,
    tier: int,
    before: int,
    known: ActiveTier | None,
    now: float,
) -> ActiveTier | None:
    """The entry of a tier that is in use, or None. `minReady` is at least 1."""
    if before < max(spec.min_ready, 1):
        return evolve(
            known or ActiveTier(tier, ip_family, timestamp_of(now)), recovering_since=None
        )
    if known is None:
        return None
    since = _valid_since(known.recovering_since, now)
    is_over = now >= _recovered_at(spec, since)
    return None if is_over else evolve(known, recovering_since=since)


def _valid_since(since: str | None, now: float) -> str:
    """Since when the earlier tiers have had enough, as remembered; `now` if that cannot be true."""
    current = timestamp_of(now)
    at = None if since is None else posix_seconds(since)
    is_possible = at is not None and at <= now + 1  # Times of statuses are rounded up.
    return since if since is not None and is_possible else current


def _recovered_at(spec: TrafficPolicySpec, since: str) -> float:
    return (posix_seconds(since) or 0) + max(spec.recovery_seconds, 0)
