"""The plan for one Service or for all: composes what the other modules decide.

Whether a Service is imported: filtering. What its slices should be: mirroring. What a lost cluster
keeps: unreachable_policy. Which side caused a deletion: deletion_reasons. Which deletions wait:
deletion_guard. When leftovers go: leftovers. Which Services are created: service_creation. What was
found: service_findings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Final, TypeAlias, assert_never, cast

from attrs import evolve, frozen

from svclink_core.address_conflicts import AreDistinct, are_distinct
from svclink_core.api_server_calls import NOT_CALLED, ApiServerCall
from svclink_core.core_v1 import Service
from svclink_core.deletion_guard import is_caused_by_cluster, why_withheld
from svclink_core.deletion_reasons import why_gone, why_nothing
from svclink_core.diffing import (
    AreEqual,
    SliceChange,
    are_equal,
    deletions,
    diff,
    is_last,
    without_losses,
)
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.filtering import EXCLUDED_BY_NAME, UNTOUCHED, Imported, Kept, Skipped, judge
from svclink_core.kept_slices import (
    allowed_parts,
    as_kept,
    follow_main,
    following,
    undecodable_findings,
)
from svclink_core.leftovers import superseded
from svclink_core.lost_clusters import is_under_policy, plan_lost, ready_elsewhere
from svclink_core.meta_v1 import NamespacedName
from svclink_core.mirroring import (
    Finding,
    MirrorResult,
    NormalEndpoints,
    findings_of,
    mirror_all,
    normal_endpoints,
)
from svclink_core.naming import Names
from svclink_core.ownership import is_collected_with
from svclink_core.plans import Decision, Outcome, Plan
from svclink_core.remote_consistency import ABSENT, current_slices, is_consistent, settles_at
from svclink_core.service_creation import create_service
from svclink_core.service_findings import all_findings
from svclink_core.service_view import ServiceView, view_of
from svclink_core.snapshot import RemoteCluster, Snapshot, Synced
from svclink_core.standby import as_remote_said
from svclink_core.traffic_planning import with_traffic
from svclink_core.well_known import Reason


def plan_service(snapshot: Snapshot, key: NamespacedName, now: float) -> Plan:
    """Plan only the Service `key`.

    Args:
        snapshot: What is known. It can be limited to this Service, but must contain every
            link and the name of every EndpointSlice.
        key: Its namespace and name, which are the same in every cluster.
        now: Seconds on the clock of `Unreachable.at`; decides which deadlines have passed.
    """
    return compose(view_of(snapshot, key), now)


# One Service


@frozen
class ClusterPlan:
    """What the plan of a Service says about one cluster.

    Args:
        decision: What becomes of the Service of this cluster.
        slices: What the main cluster has of it afterwards.
        changes: What to do.
        findings: What could not be mirrored.
        again_at: When that may change although nothing happens.
    """

    decision: Decision
    slices: Collection[EndpointSlice] = ()
    changes: Sequence[SliceChange] = ()
    findings: tuple[Finding, ...] = ()
    again_at: float | None = None


PlanCluster: TypeAlias = Callable[[ServiceView, RemoteCluster, Names, float], ClusterPlan]
"""Plans one linked cluster: `plan_cluster`, or a faster function with the same results."""


def plan_cluster(
    view: ServiceView,
    remote: RemoteCluster,
    names: Names,
    now: float,
    normalize: NormalEndpoints = normal_endpoints,
    compare: AreEqual = are_equal,
) -> ClusterPlan:
    """What the plan of a Service says about one linked cluster whose policy has not expired."""
    slices = remote.endpoint_slices.get(view.key, ())
    is_settled = now >= settles_at(remote, view.key)
    call = _call(view, remote.name)
    verdict = judge(view.key, remote, view.main, view.snapshot.options, call)
    match verdict:
        case Kept(reason) if reason in UNTOUCHED:
            return _keep(view, remote, reason)
        case Skipped(reason) if reason in EXCLUDED_BY_NAME:
            part = _skip(view, remote, reason)
            is_settled = True
        case _ if not view.is_decodable:
            return _keep(view, remote, Reason.MAIN_UNDECODABLE)
        case Kept(reason):
            return _keep(view, remote, reason)
        case Skipped(reason):
            part = _skip(view, remote, reason)
            is_settled |= reason not in ABSENT
        case Imported():
            current = slices if is_settled else current_slices(verdict.remote, slices)
            both, allowed = (verdict.remote, verdict.main), remote.link.spec.allowed_cidrs
            mirrored = mirror_all(current, remote.name, *both, allowed, normalize)
            part = _import(view, remote, verdict, mirrored, names, compare)
        case unexpected:
            assert_never(unexpected)
    if not (is_settled or is_consistent(remote.services.get(view.key), slices)):
        part = _deferred(part, view, remote)
    return _guarded(part, view, remote)


def compose(
    view: ServiceView,
    now: float,
    plan_one: PlanCluster = plan_cluster,
    check_distinct: AreDistinct = are_distinct,
) -> Plan:
    """The plan for one Service, composed of what is planned for each cluster.

    Args:
        view: The Service.
        now: Seconds on the clock of `Unreachable.at`.
        plan_one: How one linked cluster is planned.
        check_distinct: How endpoints are checked for shared addresses.
    """
    parts, is_drained = _plan_clusters(view, now, plan_one)
    clusters = sorted(parts)
    created = _create(view, [parts[name].decision for name in clusters], now)
    changes = [change for name in clusters for change in parts[name].changes]
    if len(changes) > 1:
        changes.sort(key=lambda each: (is_last(each), each.endpoint_slice.metadata.name))
    plan = Plan(
        changes=(*created.changes, *changes),
        decisions=created.decisions,
        findings=all_findings(
            view,
            [finding for name in clusters for finding in parts[name].findings],
            {name: parts[name].slices for name in clusters},
            check_distinct,
        ),
        again_at=earliest([created.again_at, *[part.again_at for part in parts.values()]]),
    )
    if is_drained or view.key in view.snapshot.main.traffic_policies:
        return with_traffic(plan, view, {name: part.changes for name, part in parts.items()}, now)
    return plan


def earliest(times: Iterable[float | None]) -> float | None:
    """The earliest of several times, None if there is none."""
    return min([each for each in times if each is not None], default=None)


_UNKNOWN: Final = (Reason.PENDING, Reason.UNREACHABLE)


def _plan_clusters(
    view: ServiceView, now: float, plan_one: PlanCluster
) -> tuple[dict[str, ClusterPlan], bool]:
    """What is planned for each cluster, and whether one that has the Service is drained.

    Lost clusters come last: others may take over from them.
    """
    remotes, lost, is_drained = view.snapshot.remotes, [], False
    parts: dict[str, ClusterPlan] = {}
    names = Names(view.key.namespace, remotes, view.snapshot.main.names)
    for name in sorted({*view.ours, *remotes}):
        remote = remotes.get(name)
        if remote is None:
            parts[name] = _remove(view, name, Reason.LINK_GONE)
            continue
        parts[name] = part = plan_one(view, remote, names, now)
        if part.changes:
            names = names.without(*[each.endpoint_slice.metadata.name for each in part.changes])
        if part.decision.reason in _UNKNOWN and is_under_policy(view, remote, now):
            lost.append(remote)
        if part.slices and remote.link.spec.drained:
            is_drained = True
    if lost:
        slices = {name: part.slices for name, part in parts.items()}
        ready = ready_elsewhere(view, slices, lost, now)
        parts |= {remote.name: _plan_lost(view, remote, ready, now) for remote in lost}
    return parts, is_drained


# One cluster


def _call(view: ServiceView, cluster: str) -> ApiServerCall:
    """Whether the API server calls the Service; while that is not known, mirrors are kept current.

    They may have to go, but endpoints that no longer exist would do more harm.
    """
    is_mirrored = bool(view.ours.get(cluster))
    return NOT_CALLED if is_mirrored and not view.call.is_known else view.call


def _keep(view: ServiceView, remote: RemoteCluster, reason: Reason) -> ClusterPlan:
    """Slices stay, but follow their main Service, and the list of allowed addresses."""
    observed, kept = view.ours.get(remote.name, []), (Outcome.KEPT, reason)
    if reason in UNTOUCHED:
        return ClusterPlan(_decision(view.key, remote.name, kept, observed), observed)
    # If an object of the main Service is undecodable, the rest of the Service is unknown.
    allowed, form = (remote.allowed_cidrs, as_kept) if view.is_decodable else ((), following)
    changes = follow_main(observed, view.main, allowed, form)
    slices = allowed_parts(observed, allowed)
    if view.is_decodable:
        slices = [as_remote_said(each) for each in slices]
    findings = undecodable_findings(view, remote.name, reason)
    return ClusterPlan(_decision(view.key, remote.name, kept, slices), slices, changes, findings)


def _remove(view: ServiceView, cluster: str, reason: Reason) -> ClusterPlan:
    """All slices of ours go."""
    decision = Decision(view.key, cluster, Outcome.SKIPPED, reason)
    return ClusterPlan(decision, changes=deletions(view.ours.get(cluster, ()), reason))


def _skip(view: ServiceView, remote: RemoteCluster, reason: Reason) -> ClusterPlan:
    """All slices go. Where the main Service is missing, the garbage collector removes its own."""
    mirrored = [*view.ours.get(remote.name, ())]
    if isinstance(remote.connection, Synced):
        mirrored += view.leftovers.get(remote.name, ())
    if reason is Reason.MAIN_SERVICE_MISSING:
        mirrored = [each for each in mirrored if not is_collected_with(each, view.key)]
    about = view.call.caller if reason is Reason.CALLED_BY_API_SERVER else ""
    decision = Decision(view.key, remote.name, Outcome.SKIPPED, reason, reference=about)
    return ClusterPlan(decision, changes=deletions(mirrored, reason))


def _import(
    view: ServiceView,
    remote: RemoteCluster,
    services: Imported,
    mirrored: MirrorResult,
    names: Names,
    compare: AreEqual,
) -> ClusterPlan:
    """Slices become what the remote ones say, and then leftovers go."""
    cluster, desired = remote.name, mirrored.slices
    sources = remote.endpoint_slices.get(view.key, ())
    own, allowed = services.main, remote.link.spec.allowed_cidrs
    why = partial(why_gone, sources=sources, remote=services.remote, main=own, allowed=allowed)
    changes = diff(view.key, cluster, desired, view.ours.get(cluster, ()), names, compare, why)
    if cluster in view.leftovers:
        changes += superseded(view.leftovers[cluster], desired, changes, why)
    outcome = (
        (Outcome.MIRRORED, Reason.MIRRORED)
        if desired
        else (Outcome.SKIPPED, why_nothing(sources, services.remote, own, allowed))
    )
    findings = findings_of(view.key, cluster, mirrored.omissions)
    return ClusterPlan(_decision(view.key, cluster, outcome, desired), desired, changes, findings)


def _deferred(part: ClusterPlan, view: ServiceView, remote: RemoteCluster) -> ClusterPlan:
    """The part without what takes ports or slices away, until the remote cluster is consistent."""
    observed = view.ours.get(remote.name, ())
    leftovers = view.leftovers.get(remote.name, ())
    changes, kept = without_losses(part.changes, (*observed, *leftovers))
    again_at = settles_at(remote, view.key)
    if not kept:
        return evolve(part, again_at=again_at)
    allowed = remote.allowed_cidrs
    slices = allowed_parts(
        [each for each in observed if not each.metadata.is_being_deleted], allowed
    )
    return ClusterPlan(
        _decision(view.key, remote.name, (Outcome.KEPT, Reason.REMOTE_CHANGING), slices),
        slices,
        [*changes, *follow_main(kept, view.main, allowed)],
        tuple([each for each in part.findings if each.reason is not Reason.PORT_MISMATCH]),
        again_at,
    )


def _guarded(part: ClusterPlan, view: ServiceView, remote: RemoteCluster) -> ClusterPlan:
    """The part without the deletions that have to wait, and with the slices that this keeps."""
    withheld = [each for each in part.changes if is_caused_by_cluster(each.reason)]
    if not withheld:
        return part
    wait = why_withheld(remote.guard, view.key)
    if wait is None:
        return evolve(part, decision=evolve(part.decision, deletions=len(withheld)))
    kept = [change.endpoint_slice for change in withheld]
    slices = [*part.slices, *allowed_parts(kept, remote.allowed_cidrs)]
    decision = _decision(view.key, remote.name, (Outcome.KEPT, wait), slices)
    others = [each for each in part.changes if not is_caused_by_cluster(each.reason)]
    return evolve(
        part,
        decision=evolve(decision, deletions=len(withheld)),
        slices=slices,
        changes=[*others, *follow_main(kept, view.main, remote.allowed_cidrs)],
    )


def _plan_lost(
    view: ServiceView, remote: RemoteCluster, ready: frozenset[str], now: float
) -> ClusterPlan:
    """Slices of a lost cluster become what its link's policy says."""
    main = cast("Service", view.main)  # Without it no policy counts.
    loss = plan_lost(remote, view.ours.get(remote.name, ()), main, ready, now)
    is_removed = loss.reason is Reason.UNREACHABLE_REMOVED
    outcome = (Outcome.SKIPPED if is_removed else Outcome.KEPT), loss.reason
    return ClusterPlan(
        _decision(view.key, remote.name, outcome, loss.slices), loss.slices, loss.changes
    )


def _decision(
    service: NamespacedName,
    cluster: str,
    outcome: tuple[Outcome, Reason],
    slices: Collection[EndpointSlice],
) -> Decision:
    endpoints = sum([len(each.endpoints) for each in slices])
    return Decision(service, cluster, *outcome, len(slices), endpoints)


# Across clusters


def _create(view: ServiceView, decisions: list[Decision], now: float) -> Plan:
    """What to create so that the Service can be mirrored, and the decisions after that."""
    remotes = view.snapshot.remotes
    waiting = [
        remotes[each.cluster] for each in decisions if each.reason is Reason.MAIN_SERVICE_MISSING
    ]
    if not (waiting and view.snapshot.options.sync_services):
        return Plan(decisions=tuple(decisions))
    listed_later = [remotes[each.cluster] for each in decisions if each.reason is Reason.PENDING]
    made = create_service(view.key, waiting, listed_later, view.snapshot.main, now)
    explained = [
        _explained(each, made.reasons[each.cluster]) if each.cluster in made.reasons else each
        for each in decisions
    ]
    return Plan(made.changes, tuple(explained), again_at=made.again_at)


def _explained(decision: Decision, reason: Reason) -> Decision:
    outcome = Outcome.CREATED if reason is Reason.SERVICE_CREATED else Outcome.SKIPPED
    return evolve(decision, outcome=outcome, reason=reason)
