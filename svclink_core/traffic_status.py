"""The status of a TrafficPolicy, made from what plans say. Time only sets the times of transitions.

| condition | True | False |
|---|---|---|
| Accepted | `Accepted` | `TargetNotFound`, `Conflicted` |
| Applied | `Applied`, `FailedOver` | `WriteFailed`, `NothingReady`, `FailedOver`,            |
|         |                         | `ClusterNotFound`, `ClusterDisabled`,                   |
|         |                         | `ShareUnreachable`, `TopologyRouting`,                  |
|         |                         | or why it is not accepted                               |

A failover alone is what the policy asks for. It comes before what else is wrong, so that it is seen
in any case: only a Service that is not served as planned, or not at all, is worse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from attrs import evolve

from svclink_core.conditions import ConditionState, condition_of, dated, plain_condition
from svclink_core.core_v1 import Service
from svclink_core.explained import Explained, counted, joined
from svclink_core.service_traffic import (
    EndpointUse,
    FamilyTraffic,
    ServiceTraffic,
    TrafficReason,
)
from svclink_core.share_remedies import share_remedies
from svclink_core.svclink_v1alpha1 import Condition
from svclink_core.traffic_policy_v1alpha1 import (
    ClusterTrafficStatus,
    TrafficPolicy,
    TrafficPolicyStatus,
)
from svclink_core.traffic_shares import Obstacle, percent_of
from svclink_core.well_known import MAIN


class PolicyReason(Explained):
    """The reason of a TrafficPolicy's condition: a CamelCase code and a sentence."""

    ACCEPTED = ("Accepted", "the policy is in effect for its Service")
    TARGET_NOT_FOUND = ("TargetNotFound", "create the Service, or correct spec.targetRef")
    CONFLICTED = ("Conflicted", "delete one of the two policies; the older one is in effect")
    APPLIED = ("Applied", "traffic is distributed as the policy specifies")
    FAILED_OVER = ("FailedOver", "the earlier tiers have fewer ready endpoints than spec.minReady")
    WRITE_FAILED = ("WriteFailed", "an EndpointSlice of the Service could not be written")
    NOTHING_READY = ("NothingReady", "the Service has no ready endpoint that the policy allows")
    CLUSTER_NOT_FOUND = (
        "ClusterNotFound",
        "create each missing ClusterLink, or correct spec.clusters",
    )
    CLUSTER_DISABLED = (
        "ClusterDisabled",
        "mirrored EndpointSlices stay unchanged and may be out of date",
    )
    SHARE_UNREACHABLE = ("ShareUnreachable", "svclink uses the closest possible share instead")
    TOPOLOGY_ROUTING = (
        "TopologyRouting",
        "the Service prefers nearby endpoints, so shares hold only across all nodes combined",
    )


def traffic_status(
    policy: TrafficPolicy,
    counting: TrafficPolicy,
    service: Service | None,
    traffic: ServiceTraffic | None,
    now: str,
    write_failure: str | None = None,
) -> TrafficPolicyStatus:
    """Return the status that a policy should have.

    Args:
        policy: The policy, with the status it has.
        counting: The policy in effect for the same Service; see `counting_policies`.
        service: The Service in the main cluster; None if it has none.
        traffic: What the Service's plan says; None if an object of the Service
            could not be decoded, so that the status stays unchanged.
        now: RFC 3339; used only as the time of transitions.
        write_failure: Why an EndpointSlice of the Service could not be written; None if all were.
    """
    old, generation = policy.status, policy.metadata.generation
    if (refused := _refused(policy, counting, service)) is not None:
        refusals = (refused, evolve(refused, type="Applied"))
        conditions = tuple([_condition(state, old, generation, now) for state in refusals])
        return TrafficPolicyStatus(conditions=conditions, observed_generation=generation)
    if traffic is None:
        return old
    states = (_ACCEPTED, _applied(traffic, write_failure))
    is_same_tier = old.active_tier == traffic.last_tier and old.active_tier_since is not None
    return TrafficPolicyStatus(
        active_tier=traffic.last_tier,
        active_tier_since=old.active_tier_since if is_same_tier else now,
        tiers=traffic.remembered,
        clusters=_clusters(policy, traffic),
        conditions=tuple([_condition(state, old, generation, now) for state in states]),
        observed_generation=generation,
    )


_ACCEPTED: Final = plain_condition("Accepted", "True", PolicyReason.ACCEPTED)


def _refused(
    policy: TrafficPolicy, counting: TrafficPolicy, service: Service | None
) -> ConditionState | None:
    """Why a policy does not count, or None if it does."""
    if counting.metadata.name != policy.metadata.name:
        reason = PolicyReason.CONFLICTED
        other = f"TrafficPolicy {counting.metadata.name} also targets {policy.service}"
        return ConditionState("Accepted", "False", reason, f"{other}: {reason.sentence}")
    if service is None:
        reason = PolicyReason.TARGET_NOT_FOUND
        message = f"there is no Service {policy.service}: {reason.sentence}"
        return ConditionState("Accepted", "False", reason, message)
    return None


def _applied(traffic: ServiceTraffic, write_failure: str | None) -> ConditionState:
    """The first remark gives the reason; the message has all. All but a failover are obstacles."""
    found = [*_remarks(traffic, write_failure)]
    if not found:
        return plain_condition("Applied", "True", PolicyReason.APPLIED)
    is_applied = all(reason is PolicyReason.FAILED_OVER for reason, _ in found)
    return ConditionState("Applied", "True" if is_applied else "False", *joined(found))


def _remarks(
    traffic: ServiceTraffic, write_failure: str | None
) -> Iterator[tuple[PolicyReason, str]]:
    """What is not as the policy says, and what it does; the most important first."""
    if write_failure is not None:
        yield PolicyReason.WRITE_FAILED, write_failure
    if not any(each.active for each in traffic.families):
        yield PolicyReason.NOTHING_READY, PolicyReason.NOTHING_READY.sentence
    if traffic.last_tier > 0:
        reason = PolicyReason.FAILED_OVER
        yield reason, f"tier {traffic.last_tier} is in use: {reason.sentence}"
    if traffic.unknown_clusters:
        reason, names = PolicyReason.CLUSTER_NOT_FOUND, ", ".join(traffic.unknown_clusters)
        is_one = len(traffic.unknown_clusters) == 1
        missing = f"is no ClusterLink {names}" if is_one else f"are no ClusterLinks named {names}"
        yield reason, f"there {missing}: {reason.sentence}"
    if disabled := _disabled_clusters(traffic):
        reason, names = PolicyReason.CLUSTER_DISABLED, ", ".join(disabled)
        links = f"ClusterLink {names} is" if len(disabled) == 1 else f"ClusterLinks {names} are"
        yield reason, f"{links} disabled: {reason.sentence}"
    if missed := [*_missed_shares(traffic)]:
        reason = PolicyReason.SHARE_UNREACHABLE
        yield reason, f"{'; '.join(missed)}: {reason.sentence}"
    uses = [use for each in traffic.families for use in each.uses]
    if traffic.is_topology_aware and any(each.wanted_share is not None for each in uses):
        yield PolicyReason.TOPOLOGY_ROUTING, PolicyReason.TOPOLOGY_ROUTING.sentence


def _disabled_clusters(traffic: ServiceTraffic) -> list[str]:
    """The clusters with a disabled link that get traffic, or should because their tier is in use.

    Not those that miss a share: why they do says that their link is disabled. Where nothing is
    ready, each of them may be why.
    """
    found = {
        use.cluster
        for family in traffic.families
        for use in family.uses
        if use.reason is TrafficReason.FROZEN
        if use.miss is None
        if use.ready > 0 or 0 < use.tier <= family.last_tier
    }
    is_dark = not any(each.active for each in traffic.families)
    return sorted(found.union(traffic.disabled_clusters if is_dark else ()))


def _missed_shares(traffic: ServiceTraffic) -> Iterator[str]:
    """One sentence for each cluster; IP families are named where the Service has several."""
    for family in traffic.families:
        for use in family.uses:
            if use.miss is not None:
                got = percent_of(use.active, family.active) or 0
                place = f" of {family.ip_family} connections" if len(traffic.families) > 1 else ""
                wanted = f"rather than {use.wanted_share}%"
                why = _why(use.miss, use, family)
                yield f"{use.cluster} gets {got}%{place} {wanted}, because {why}"


def _why(obstacle: Obstacle, use: EndpointUse, family: FamilyTraffic) -> str:
    """The reason; where it is the number of endpoints, what makes the share possible."""
    match obstacle:
        case Obstacle.TOO_MANY_OTHERS:
            return _too_many(use, family)
        case Obstacle.TOO_FEW_OTHERS:
            return _too_few(use, family)
        case Obstacle.NOTHING_READY:
            return "it has no ready endpoint"
        case Obstacle.NOTHING_ELSE_READY:
            return "the Service has no other ready endpoint"
        case Obstacle.DRAINED:
            return "its ClusterLink is drained"
        case Obstacle.FROZEN:
            return "its ClusterLink is disabled and its EndpointSlices stay unchanged"
        case unexpected:
            assert_never(unexpected)


_ELSEWHERE: Final = "the main cluster or another cluster without a share"


def _too_few(use: EndpointUse, family: FamilyTraffic) -> str:
    """How many endpoints elsewhere make the share possible, if they alone do."""
    more = share_remedies(use, family).more_elsewhere
    endpoints = counted(more, "more ready endpoint") if more else "more ready endpoints"
    return f"its wanted share requires {endpoints} in {_ELSEWHERE}"


def _too_many(use: EndpointUse, family: FamilyTraffic) -> str:
    """What makes the share possible. Local Pods are named where it is enough to remove some."""
    found, remedies = share_remedies(use, family), []
    if found.more:
        remedies.append(f"{counted(found.more, 'more ready endpoint')} in the cluster")
    if fewer := found.fewer_elsewhere:
        local = sum([each.active for each in family.uses if each.cluster == MAIN])
        is_other_used = any(each.reason is TrafficReason.IN_USE for each in family.uses)
        if fewer < local or not is_other_used:
            remedies.append(counted(fewer, "fewer local Pod"))
        else:
            remedies.append(f"{counted(fewer, 'fewer active endpoint')} in {_ELSEWHERE}")
    if remedies:
        return f"its wanted share requires {', or '.join(remedies)}"
    return "too many endpoints are active in other clusters"


def _clusters(policy: TrafficPolicy, traffic: ServiceTraffic) -> tuple[ClusterTrafficStatus, ...]:
    """What each cluster contributes, over all IP families; sorted by name."""
    total = sum([each.active for each in traffic.families])
    rules = {each.name: each for each in policy.spec.clusters}
    by_cluster: dict[str, list[EndpointUse]] = {}
    for family in traffic.families:
        for use in family.uses:
            if use.cluster != MAIN:
                by_cluster.setdefault(use.cluster, []).append(use)
    found = []
    for name, uses in sorted(by_cluster.items()):
        ready, active = sum([each.ready for each in uses]), sum([each.active for each in uses])
        if ready or name in rules:
            share = uses[0].wanted_share
            got = percent_of(active, total)
            found.append(ClusterTrafficStatus(name, uses[0].tier, ready, active, share, got))
    return tuple(found)


def _condition(
    state: ConditionState, old: TrafficPolicyStatus, generation: int, now: str
) -> Condition:
    return dated(state, condition_of(old.conditions, state.type), generation, now)
