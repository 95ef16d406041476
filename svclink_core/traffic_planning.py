"""What traffic policies and drained links change in the plan of one Service.

The plan is first made without them, so that it says what the remote clusters say. This module makes
of every slice what the main cluster should have: active endpoints, and those that are a standby. So
a slice is written once, and without a policy or a drained link nothing is done here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, cast, get_args

from attrs import evolve, frozen

from svclink_core.core_v1 import Service
from svclink_core.diffing import (
    Create,
    Delete,
    SliceChange,
    Update,
    deletions,
    is_last,
    update_to,
)
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.filtering import why_untouched
from svclink_core.hints import Topology, topology_of, with_current_hints
from svclink_core.plans import Outcome, Plan
from svclink_core.service_traffic import ServiceTraffic
from svclink_core.service_view import ServiceView
from svclink_core.snapshot import RemoteCluster
from svclink_core.standby import as_remote_said, ready_addresses, with_standby, without_standby
from svclink_core.traffic import Division, Offer, divide
from svclink_core.traffic_policy_v1alpha1 import (
    ClusterTraffic,
    IPFamily,
    TargetReference,
    TrafficPolicy,
    TrafficPolicySpec,
)
from svclink_core.well_known import MAIN, Reason

ChangesByCluster: TypeAlias = Mapping[str, Sequence[SliceChange]]
"""The changes of the plan of one Service, by cluster."""

IP_FAMILIES: Final[tuple[IPFamily, ...]] = get_args(IPFamily)
_NO_POLICY: Final = TrafficPolicySpec(TargetReference(""))


@frozen
class Steering:
    """What traffic policies and drained links make of the plan of one Service.

    Args:
        changes: The changes by cluster, instead of those that were planned without them.
        left_out: How many endpoints are left out of each cluster's slices.
        taking: The names of the slices whose updates only take active endpoints away.
        traffic: What becomes of the traffic.
        again_at: When to plan again although nothing happens, on the clock of plans.
    """

    changes: ChangesByCluster
    left_out: Mapping[str, int]
    taking: frozenset[str]
    traffic: ServiceTraffic
    again_at: float | None

    def is_late(self, change: SliceChange) -> bool:
        """Whether a change only takes endpoints away, and so must come after the others."""
        return is_last(change) or change.endpoint_slice.metadata.name in self.taking


def with_traffic(plan: Plan, view: ServiceView, planned: ChangesByCluster, now: float) -> Plan:
    """The plan of a Service with active and standby endpoints.

    It stays if the main cluster lacks the Service, or if a part of the Service is not known.

    Args:
        plan: What is planned without policies and drained links.
        view: The Service.
        planned: The changes of that plan, by cluster.
        now: Seconds on the clock of plans.
    """
    if view.main is None or not view.is_decodable:
        return plan
    steering = steer(view, planned, now)
    if replaced := _with_leftovers_gone(plan, view, planned, steering):
        steering = steer(view, {**planned, **replaced}, now)
    changes = [change for some in steering.changes.values() for change in some]
    changes.sort(key=lambda each: (steering.is_late(each), each.endpoint_slice.metadata.name))
    left_out = steering.left_out
    times = [each for each in (plan.again_at, steering.again_at) if each is not None]
    return evolve(
        plan,
        changes=tuple(changes),
        decisions=tuple(
            [
                evolve(each, endpoints=each.endpoints - left_out.get(each.cluster, 0))
                for each in plan.decisions
            ]
        ),
        again_at=min(times, default=None),
        traffic=(steering.traffic,),
    )


def steer(view: ServiceView, planned: ChangesByCluster, now: float) -> Steering:
    """What a policy and drained links make of the plan of a Service that the main cluster has.

    Args:
        view: The Service, all of whose objects in the main cluster could be decoded.
        planned: What is planned without policies and drained links.
        now: Seconds on the clock of plans.
    """
    policy, epoch = view.snapshot.main.traffic_policies.get(view.key), view.snapshot.epoch
    spec = _NO_POLICY if policy is None else policy.spec
    remembered = () if policy is None else policy.status.tiers
    after = {
        name: _after(view, remote, planned.get(name, ()))
        for name, remote in view.snapshot.remotes.items()
    }
    rules, local = {each.name: each for each in spec.clusters}, _local(view, planned)
    divisions = [
        divide(view.key, spec, family, offers, remembered, now + epoch)
        for family in IP_FAMILIES
        if (offers := _offers(view, local, after, rules, family))
    ]
    steered = {
        name: _steered(view, slices, planned.get(name, ()), divisions, _rule(rules, name))
        for name, slices in after.items()
        if why_untouched(view.snapshot.remotes[name].link) is None
    }
    ends = [each.tiers.again_at for each in divisions if each.tiers.again_at is not None]
    return Steering(
        {**planned, **{name: each.changes for name, each in steered.items()}},
        {name: each.left_out for name, each in steered.items()},
        frozenset().union(*[each.taking for each in steered.values()]),
        _traffic(view, policy, divisions),
        min([end - epoch for end in ends], default=None),
    )


def _rule(rules: Mapping[str, ClusterTraffic], cluster: str) -> ClusterTraffic:
    return rules.get(cluster) or ClusterTraffic(cluster)


def _traffic(
    view: ServiceView, policy: TrafficPolicy | None, divisions: Sequence[Division]
) -> ServiceTraffic:
    named = set() if policy is None else {each.name for each in policy.spec.clusters}
    remembered = () if policy is None else policy.status.tiers
    families = {each.traffic.ip_family for each in divisions}
    disabled = [
        name
        for name, remote in view.snapshot.remotes.items()
        if not remote.link.spec.enabled and (name in named or view.ours.get(name))
    ]
    return ServiceTraffic(
        view.key,
        None if policy is None else policy.metadata.name,
        tuple([each.traffic for each in divisions]),
        (
            # Of a family without any endpoint, nothing new can be said.
            *[each for each in remembered if each.ip_family not in families],
            *[tier for each in divisions for tier in each.tiers.remembered],
        ),
        tuple(sorted([name for name in named if name not in view.snapshot.remotes])),
        tuple(sorted(disabled)),
        view.main is not None and topology_of(view.main) is not Topology.NONE,
    )


# What there is


def _after(
    view: ServiceView, remote: RemoteCluster, planned: Iterable[SliceChange]
) -> dict[str, EndpointSlice]:
    """What the main cluster will have of a cluster, by name, as the cluster says.

    Slices of a disabled link stay as they are. Those of a link that another controller handles are
    taken as their cluster says, so that both controllers decide the same.
    """
    observed = [
        each for each in view.ours.get(remote.name, ()) if not each.metadata.is_being_deleted
    ]
    if not remote.link.spec.enabled:
        return {each.metadata.name: each for each in observed}
    if not remote.link.is_selected:
        return {each.metadata.name: without_standby(each) for each in observed}
    slices = {each.metadata.name: each for each in observed}
    for change in planned:
        name = change.endpoint_slice.metadata.name
        if isinstance(change, Delete):
            slices.pop(name, None)  # It may be a leftover of the Go release.
        else:
            slices[name] = change.endpoint_slice
    return slices


def _with_leftovers_gone(
    plan: Plan, view: ServiceView, planned: ChangesByCluster, steering: Steering
) -> ChangesByCluster:
    """The planned changes of clusters whose mirrors are right, and the deletions of leftovers.

    A plan without policies would change mirrors with standby endpoints, so it deletes no leftover.
    """
    if not view.leftovers:
        return {}
    mirrored = {each.cluster for each in plan.decisions if each.outcome is Outcome.MIRRORED}
    return {
        cluster: [*planned.get(cluster, ()), *gone]
        for cluster, leftovers in view.leftovers.items()
        if cluster in mirrored and not steering.changes.get(cluster)
        if (gone := deletions(leftovers, Reason.LEFTOVER_REPLACED))
    }


def _local(view: ServiceView, planned: ChangesByCluster) -> list[EndpointSlice]:
    """The slices that svclink does not change: local ones, and leftovers that stay."""
    slices = [*view.local, *[each for some in view.leftovers.values() for each in some]]
    going = {
        change.key for some in planned.values() for change in some if isinstance(change, Delete)
    }
    return [
        each
        for each in slices
        if not each.metadata.is_being_deleted and each.metadata.key not in going
    ]


def _offers(
    view: ServiceView,
    local: Iterable[EndpointSlice],
    after: Mapping[str, Mapping[str, EndpointSlice]],
    rules: Mapping[str, ClusterTraffic],
    ip_family: IPFamily,
) -> list[Offer]:
    """The ready endpoints of every cluster, each address in one offer; none without any endpoint.

    What svclink may not change comes first, and then what is used most readily.
    """
    offers = [
        Offer(ClusterTraffic(MAIN), _ready(local, ip_family), is_fixed=True),
        *[
            Offer(
                _rule(rules, name),
                _ready(slices.values(), ip_family),
                is_fixed=not view.snapshot.remotes[name].link.spec.enabled,
                is_drained=view.snapshot.remotes[name].link.spec.drained,
            )
            for name, slices in sorted(after.items())
        ],
    ]
    seen: set[str] = set()
    owned = {}
    for each in sorted(offers, key=_readiness):
        owned[each.cluster] = evolve(each, addresses=each.addresses - seen)
        seen |= each.addresses
    return [owned[each.cluster] for each in offers] if seen else []


def _readiness(offer: Offer) -> tuple[bool, bool, int, str]:
    return not offer.is_fixed, offer.is_drained, offer.rule.tier, offer.cluster


def _ready(slices: Iterable[EndpointSlice], ip_family: IPFamily) -> frozenset[str]:
    return frozenset(
        [
            address
            for each in slices
            if each.address_type == ip_family
            for address in ready_addresses(each)
        ]
    )


# What to change


@frozen
class _Steered:
    """The changes of one cluster, how many endpoints they leave out, and which only take away."""

    changes: tuple[SliceChange, ...]
    left_out: int
    taking: frozenset[str]


def _steered(
    view: ServiceView,
    slices: Mapping[str, EndpointSlice],
    planned: Sequence[SliceChange],
    divisions: Sequence[Division],
    rule: ClusterTraffic,
) -> _Steered:
    """The changes of one cluster that give its slices active and standby endpoints."""
    active: dict[str, frozenset[str]] = {each.traffic.ip_family: each.active for each in divisions}
    held = {each.metadata.name: each for each in view.ours.get(rule.name, ())}
    by_name = {each.endpoint_slice.metadata.name: each for each in planned}
    main = cast("Service", view.main)  # Without it nothing is steered.
    changes: list[SliceChange] = [each for each in planned if isinstance(each, Delete)]
    left_out, taking = 0, set()
    for name, said in slices.items():
        wanted = with_standby(
            said, active.get(said.address_type, frozenset()), is_fallback=rule.fallback
        )
        left_out += len(said.endpoints) - len(wanted.endpoints)
        if (observed := held.get(name)) is None:
            changes.append(Create(wanted, by_name[name].reason))
        elif (update := update_to(wanted, observed)) is not None:
            reason = _reason(by_name.get(name), said, update, observed, main)
            changes.append(evolve(update, reason=reason))
            taking |= {name} if _only_takes(update, observed) else set()
    return _Steered(tuple(changes), left_out, frozenset(taking))


def _reason(
    planned: SliceChange | None,
    said: EndpointSlice,
    update: Update,
    observed: EndpointSlice,
    main: Service,
) -> Reason:
    """Why a slice is updated: because of what its cluster says, or only of traffic."""
    before = with_current_hints(as_remote_said(observed), main)
    if planned is not None and update_to(said, before) is not None:
        return planned.reason
    return Reason.STANDBY if _only_takes(update, observed) else Reason.ACTIVATED


def _only_takes(update: Update, observed: EndpointSlice) -> bool:
    """Whether an update takes active endpoints away and adds none."""
    before = frozenset(ready_addresses(observed))
    after = frozenset(ready_addresses(update.endpoint_slice))
    return after < before
