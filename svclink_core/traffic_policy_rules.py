"""What the CRD of TrafficPolicies refuses, for policies that no API server has seen yet.

tests/unit/controller/test_crd.py compares the limits with those of the CRD.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from svclink_core.api_rules import DNS_LABEL_RULE, is_dns_label
from svclink_core.traffic_policy_v1alpha1 import KIND_SERVICE, ClusterTraffic, TrafficPolicySpec

MAX_CLUSTERS: Final = 128
"""Clusters with a rule in one policy."""

POLICY_RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "minReady": (1, 100_000),
    "recoverySeconds": (0, 86_400),
    "share": (0, 100),
    "tier": (0, 127),
}
"""The least and the greatest value of each number in a policy, by its JSON name."""

MOST_PERCENT: Final = POLICY_RANGES["share"][1]


def why_policy_refused(spec: TrafficPolicySpec) -> str | None:
    """The first field that the CRD refuses, and the fix; None if it accepts the policy."""
    return next(_refusals(spec), None)


def why_clusters_refused(clusters: tuple[ClusterTraffic, ...]) -> str | None:
    """The first field of the rules for clusters that the CRD refuses; None if it accepts them."""
    return next(_refused_clusters(clusters), None)


def _refusals(spec: TrafficPolicySpec) -> Iterator[str]:
    target = spec.target_ref
    if target.kind != KIND_SERVICE:
        yield f"spec.targetRef.kind: must be {KIND_SERVICE}, the only kind that a policy can target"
    if not is_dns_label(target.name):
        yield f"spec.targetRef.name: {target.name!r} is not a valid Service name: {DNS_LABEL_RULE}"
    yield from _out_of_range("spec", "minReady", spec.min_ready)
    yield from _out_of_range("spec", "recoverySeconds", spec.recovery_seconds)
    yield from _refused_clusters(spec.clusters)


def _refused_clusters(clusters: tuple[ClusterTraffic, ...]) -> Iterator[str]:
    if len(clusters) > MAX_CLUSTERS:
        yield f"spec.clusters: there are {len(clusters)} entries: use at most {MAX_CLUSTERS}"
    seen = set()
    for index, each in enumerate(clusters):
        yield from _refused_cluster(f"spec.clusters[{index}]", each)
        if each.name in seen:
            yield f"spec.clusters[{index}].name: {each.name} is listed twice: use one entry for it"
        seen.add(each.name)
    yield from _too_much(clusters)


def _refused_cluster(path: str, rule: ClusterTraffic) -> Iterator[str]:
    if not is_dns_label(rule.name):
        yield f"{path}.name: {rule.name!r} is not a valid ClusterLink name: {DNS_LABEL_RULE}"
    yield from _out_of_range(path, "tier", rule.tier)
    if rule.share is not None:
        yield from _out_of_range(path, "share", rule.share)
        if rule.tier > 0:
            yield (
                f"{path}: {rule.name} has tier {rule.tier}, but only clusters in tier 0 can"
                " have a share: remove its tier or its share"
            )


def _too_much(clusters: tuple[ClusterTraffic, ...]) -> Iterator[str]:
    shares = {each.name: each.share for each in clusters if each.share is not None}
    if (total := sum(shares.values())) > MOST_PERCENT:
        parts = ", ".join(f"{name}={share}" for name, share in shares.items())
        yield (
            f"spec.clusters: the shares add up to {total} ({parts}), but the limit is"
            f" {MOST_PERCENT}: lower one of them"
        )


def _out_of_range(path: str, name: str, value: int) -> Iterator[str]:
    least, most = POLICY_RANGES[name]
    if not least <= value <= most:
        yield f"{path}.{name}: {value} is out of range: use a whole number from {least} to {most}"
