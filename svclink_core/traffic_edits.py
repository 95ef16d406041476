"""Changes of traffic that are only proposed: shares of a policy, and snapshots in which they hold.

A command plans with them before it writes anything, so what it shows is what svclink will do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

from attrs import evolve

from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.snapshot import Snapshot
from svclink_core.traffic_policy_rules import why_clusters_refused
from svclink_core.traffic_policy_v1alpha1 import (
    ClusterTraffic,
    TargetReference,
    TrafficPolicy,
    TrafficPolicySpec,
    counting_policies,
)

Shares: TypeAlias = Mapping[str, int | None]
"""Shares in percent by the name of the cluster; None removes the share of a cluster."""


def share_of(policy: TrafficPolicy | None, cluster: str) -> int | None:
    """The share that a policy gives to a cluster; None without one."""
    rules = () if policy is None else policy.spec.clusters
    return next((each.share for each in rules if each.name == cluster), None)


def why_not_set(
    policy: TrafficPolicy | None, shares: Shares, linked: Collection[str]
) -> str | None:
    """The field of a policy that forbids some shares, and the fix; None if they can be set.

    Args:
        policy: The policy that counts for the Service; None without one.
        shares: The shares to set.
        linked: The names of all ClusterLinks.
    """
    unknown = sorted(
        name for name, each in shares.items() if each is not None if name not in linked
    )
    if unknown:
        fix = (
            f"use one of {', '.join(sorted(linked))}" if linked else "create the ClusterLink first"
        )
        return f"there is no ClusterLink {unknown[0]}: {fix}"
    return why_clusters_refused(with_shares(() if policy is None else policy.spec.clusters, shares))


def with_shares(clusters: tuple[ClusterTraffic, ...], shares: Shares) -> tuple[ClusterTraffic, ...]:
    """The rules of a policy with other shares; everything else in them stays.

    A rule that says nothing once its share is removed is left out.
    """
    edited = [
        evolve(each, share=shares[each.name]) if each.name in shares else each for each in clusters
    ]
    known = {each.name for each in clusters}
    added = [ClusterTraffic(name, share) for name, share in shares.items() if name not in known]
    return tuple(
        [
            each
            for each in (*edited, *added)
            if each.name not in shares or each != ClusterTraffic(each.name)
        ]
    )


def edited_policy(
    policy: TrafficPolicy | None, service: NamespacedName, shares: Shares
) -> TrafficPolicy:
    """The policy of a Service with other shares; without a policy, a new one named like it."""
    before = policy or TrafficPolicy(
        ObjectMeta(service.name, service.namespace),
        TrafficPolicySpec(TargetReference(service.name)),
    )
    clusters = with_shares(before.spec.clusters, shares)
    return evolve(before, spec=evolve(before.spec, clusters=clusters))


def has_to_be_written(before: TrafficPolicy | None, after: TrafficPolicy) -> bool:
    """Whether an edited policy differs from the one before; without rules none is created."""
    return bool(after.spec.clusters) if before is None else after != before


def with_policy(found: Snapshot, policy: TrafficPolicy) -> Snapshot:
    """The snapshot as it would be after a policy was created or changed.

    It keeps the age and status of one that exists. Of two policies for a Service the older counts.
    """
    current = found.main.traffic_policies
    before = {each.metadata.key: each for each in current.values()}.get(policy.metadata.key)
    changed = policy if before is None else evolve(before, spec=policy.spec)
    others = [each for each in current.values() if each is not before]
    policies = counting_policies([*others, changed])
    return evolve(found, main=evolve(found.main, traffic_policies=policies))


def with_drained(found: Snapshot, cluster: str) -> Snapshot:
    """The snapshot as it would be after the link of a cluster was drained."""
    remote = found.remotes[cluster]
    link = evolve(remote.link, spec=evolve(remote.link.spec, drained=True))
    return evolve(found, remotes={**found.remotes, cluster: evolve(remote, link=link)})
