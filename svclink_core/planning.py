"""The plan for one Service, or for all: composes the modules that decide, and decides nothing itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import TypeAlias, assert_never

from attrs import evolve, frozen

from svclink_core.address_conflicts import conflicts
from svclink_core.core_v1 import Service
from svclink_core.deletion_guard import why_withheld
from svclink_core.diffing import (
    Create,
    Delete,
    SliceChange,
    Update,
    delete,
    delete_leftover,
    diff,
    update_to,
)
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.filtering import Imported, Kept, Skipped, judge, why_slice_skipped
from svclink_core.meta_v1 import NamespacedName
from svclink_core.mirroring import Finding, Omission, mirror, owner_of
from svclink_core.service_creation import (
    CreateNamespace,
    Creation,
    can_be_copied,
    creations,
    oldest,
    why_not_created,
)
from svclink_core.snapshot import RemoteCluster, Snapshot, all_keys
from svclink_core.unreachable_policy import as_last_resort, has_ready_endpoint, is_expired
from svclink_core.viewing import Observed, View, facts_of, view_of
from svclink_core.well_known import MAIN, Reason

Change: TypeAlias = SliceChange | Creation
"""Anything a plan changes in the main cluster."""


class Outcome(Enum):
    """What becomes of one Service of one cluster."""

    MIRRORED = "Mirrored"
    CREATED = "Created"
    KEPT = "Kept"
    SKIPPED = "Skipped"


@frozen
class Decision:
    """Whether a Service of a cluster is mirrored, kept as it is or skipped, and why. Sorted by Service, then cluster.

    Args:
        service: The Service.
        cluster: The cluster; it has no ClusterLink any more where the reason is `LINK_GONE`.
        outcome: What becomes of it.
        reason: Why.
        slices: How many EndpointSlices the main cluster has of it after the plan.
        endpoints: How many endpoints are in them.
        doomed: How many slices go because the cluster's own content says so: they wait where the reason is
            `DELETION_SETTLING` or `DELETION_HELD`. The deletion guard counts them.
    """

    service: NamespacedName
    cluster: str
    outcome: Outcome
    reason: Reason
    slices: int = 0
    endpoints: int = 0
    doomed: int = 0


@frozen
class Plan:
    """What to change in the main cluster, in this order, and why everything is as it is.

    For one Service, what it needs comes first, then creations and updates, then deletions and what an unreachable
    policy asks for, so that no address is lost in between.

    Args:
        changes: What to do, each with its reason; nothing is to be done where it is empty.
        decisions: One for every Service and cluster there is anything to say about.
        findings: What of the mirrored Services had to be left out, or is in two clusters.
    """

    changes: tuple[Change, ...] = ()
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()


def plan(snapshot: Snapshot, now: float) -> Plan:
    """The plan for every Service of any cluster: the union of `plan_service` over all keys, in their order.

    The same arguments always give the same plan. Applied and planned again, it has no changes.

    Args:
        snapshot: Everything that is known. Of what could not be read, say so (`PENDING`, `Unreachable`): what is merely
            absent counts as deleted.
        now: The present time as POSIX seconds; decides which deadlines are over.

    Source: MIRRORING; laws L1 to L5 and L11 of DESIGN.
    """
    # Made in the order of the snapshot: that is how endpoints lie in memory, and to jump about takes time.
    made = {key: plan_service(snapshot, key, now) for key in all_keys(snapshot)}
    plans = [made[key] for key in sorted(made)]
    return Plan(
        changes=tuple(_each_namespace_once(change for each in plans for change in each.changes)),
        decisions=tuple(decision for each in plans for decision in each.decisions),
        findings=tuple(finding for each in plans for finding in each.findings),
    )


def _each_namespace_once(changes: Iterable[Change]) -> Iterator[Change]:
    made: set[NamespacedName] = set()
    for change in changes:
        if isinstance(change, CreateNamespace):
            if change.key in made:
                continue
            made.add(change.key)
        yield change


def plan_service(snapshot: Snapshot, key: NamespacedName, now: float) -> Plan:
    """The plan for the Service `key` alone. Depends on nothing but its arguments.

    Args:
        snapshot: What is known. It may be narrowed to this Service, but must have every link and every slice name.
        key: Namespace and name, the same in every cluster.
        now: The present time as POSIX seconds; decides which deadlines are over.
    """
    view = view_of(snapshot, key)
    clusters = sorted({*view.ours, *snapshot.remotes})
    _forget_others(view.main, snapshot.remotes)
    lost = {
        name
        for name in clusters
        if name in snapshot.remotes and is_expired(snapshot.remotes[name], now)
    }
    parts = {name: _plan_cluster(view, name) for name in clusters if name not in lost}
    if lost:
        others = [view.local, *(part.slices for part in parts.values())]
        alone = not any(map(has_ready_endpoint, others))
        parts |= {name: _plan_lost(view, snapshot.remotes[name], alone=alone) for name in lost}
    created, decisions = _create(view, [parts[name].decision for name in clusters])
    changes = [change for name in clusters for change in parts[name].changes]
    return Plan(
        changes=(
            *created,
            *sorted(
                changes, key=lambda change: (is_last(change), change.endpoint_slice.metadata.name)
            ),
        ),
        decisions=tuple(decisions),
        findings=_all_findings(view, {name: parts[name] for name in clusters}),
    )


def is_last(change: SliceChange) -> bool:
    """Whether a change takes endpoints away, so that it must come after those that bring some."""
    return isinstance(change, Delete) or change.reason is Reason.UNREACHABLE_NOT_READY


@frozen
class _Part:
    """What a Service's plan says of one cluster; `slices` is what the main cluster has of it afterwards."""

    decision: Decision
    slices: Collection[EndpointSlice] = ()
    changes: Sequence[SliceChange] = ()
    findings: tuple[Finding, ...] = ()


def _plan_cluster(view: View, cluster: str) -> _Part:
    """The part of a Service's plan that concerns one cluster. Names it gives are taken from then on.

    A part with nothing to do is remembered: a resync asks again, nearly always of the very same values.
    """
    remote = view.snapshot.remotes.get(cluster)
    if remote is None:
        return _remove(view, cluster, Reason.LINK_GONE)
    if view.main is None or cluster in view.leftovers:
        return _plan_linked(view, remote)
    if (known := _known_part(view, view.main, remote)) is not None:
        return known
    planned = _plan_linked(view, remote)
    if planned.changes:
        view.main.known_parts.pop(cluster, None)
    else:
        remembered = _remembered(planned, view.ours.get(cluster, []))
        view.main.known_parts[cluster] = facts_of(view, remote), remembered
    return planned


def _known_part(view: View, main: Service, remote: RemoteCluster) -> _Part | None:
    """What is remembered of a cluster, where everything it depends on is the very same value as then."""
    facts, part = main.known_parts.get(remote.link.metadata.name, ((), None))
    if not isinstance(part, _Part):
        return None
    now = facts_of(view, remote)
    is_same = len(now) == len(facts) and all(
        one is other for one, other in zip(now, facts, strict=True)
    )
    return part if is_same else None


def _forget_others(main: Service | None, remotes: Mapping[str, RemoteCluster]) -> None:
    """What is remembered of clusters that have no link any more would keep all their endpoints in memory."""
    if main is not None:
        for cluster in [each for each in main.known_parts if each not in remotes]:
            del main.known_parts[cluster]


def _remembered(part: _Part, observed: Observed) -> _Part:
    """A part with nothing to do, by the slices that are there: those that were wanted are equal, and take memory."""
    if part.decision.outcome is not Outcome.MIRRORED:
        return part
    return evolve(
        part,
        slices=tuple([endpoint_slice for endpoint_slice in observed if _is_alive(endpoint_slice)]),
    )


def _plan_linked(view: View, remote: RemoteCluster) -> _Part:
    cluster = remote.link.metadata.name
    verdict = judge(view.key, remote, view.main, view.snapshot.options)
    match verdict:
        case Kept(reason) if reason in _UNTOUCHED:
            return _keep(view, cluster, reason)
        case _ if view.key in view.snapshot.main.undecodable:
            return _keep(view, cluster, Reason.MAIN_UNDECODABLE)
        case Kept(reason):
            return _keep(view, cluster, reason)
        case Skipped(reason):
            return _skip(view, remote, reason)
        case Imported():
            return _import(view, remote, verdict)
        case unexpected:
            assert_never(unexpected)


def _keep(view: View, cluster: str, reason: Reason) -> _Part:
    """Slices stay. Only the owner of slices of a lost cluster follows a re-created Service: else they are collected."""
    observed = view.ours.get(cluster, [])
    changes: Sequence[SliceChange] = ()
    if view.main is not None and not view.main.is_being_deleted and reason not in _UNTOUCHED:
        changes = _updates(
            observed, [_owned(endpoint_slice, view.main) for endpoint_slice in observed]
        )
    decision = Decision(
        view.key, cluster, Outcome.KEPT, reason, len(observed), _endpoints(observed)
    )
    return _Part(decision, observed, changes)


_UNTOUCHED = frozenset({Reason.FROZEN, Reason.NOT_SELECTED})
"""Reasons to keep that leave even the owner of a slice as it is."""


def _plan_lost(view: View, remote: RemoteCluster, *, alone: bool) -> _Part:
    """Slices of a cluster that was away for too long become what its link's policy says, if others can take over."""
    cluster, policy = remote.link.metadata.name, remote.link.spec.unreachable
    if (
        view.main is None
        or view.main.is_being_deleted
        or view.key in view.snapshot.main.undecodable
    ):
        return _keep(view, cluster, Reason.UNREACHABLE)
    if alone and not policy.force:
        return _keep(view, cluster, Reason.LAST_ENDPOINTS)
    if policy.action == "Remove":
        return _remove(view, cluster, Reason.UNREACHABLE_REMOVED)
    observed = view.ours.get(cluster, [])
    wanted = [_owned(as_last_resort(endpoint_slice), view.main) for endpoint_slice in observed]
    changes = _updates(observed, wanted, Reason.UNREACHABLE_NOT_READY)
    counts = len(observed), _endpoints(observed)
    return _Part(
        Decision(view.key, cluster, Outcome.KEPT, Reason.UNREACHABLE_NOT_READY, *counts),
        wanted,
        changes,
    )


def _owned(endpoint_slice: EndpointSlice, main: Service) -> EndpointSlice:
    return evolve(
        endpoint_slice, metadata=evolve(endpoint_slice.metadata, owner_references=owner_of(main))
    )


def _updates(observed: Observed, wanted: Observed, reason: Reason | None = None) -> list[Update]:
    """The updates that observed slices need, for a reason of their own or (None) the one that the difference gives."""
    found = [
        update_to(new, old) for old, new in zip(observed, wanted, strict=True) if _is_alive(old)
    ]
    return [
        evolve(update, reason=reason or update.reason) for update in found if update is not None
    ]


def _remove(view: View, cluster: str, reason: Reason) -> _Part:
    """Slices go."""
    doomed = [
        endpoint_slice for endpoint_slice in view.ours.get(cluster, ()) if _is_alive(endpoint_slice)
    ]
    decision = Decision(view.key, cluster, Outcome.SKIPPED, reason)
    return _Part(decision, changes=[delete(endpoint_slice, reason) for endpoint_slice in doomed])


_REMOTE_CONTENT = frozenset(
    {
        Reason.REMOTE_SERVICE_MISSING,
        Reason.REMOTE_EXTERNAL_NAME,
        Reason.REMOTE_HEADLESS,
        Reason.REMOTE_IMPORTED,
        Reason.REMOTE_DELETING,
    }
)
"""Reasons to skip that rest on nothing but what a remote cluster says of itself."""


def _skip(view: View, remote: RemoteCluster, reason: Reason) -> _Part:
    """Slices go, unless that has to wait. Where the main Service is gone, it is the garbage collector's work."""
    cluster = remote.link.metadata.name
    if reason is Reason.MAIN_SERVICE_MISSING:
        return _orphans(view, cluster)
    part = _remove(view, cluster, reason)
    if reason not in _REMOTE_CONTENT or not part.changes:
        return part
    doomed = len(part.changes)
    if (wait := why_withheld(remote.guard, view.key)) is None:
        return evolve(part, decision=evolve(part.decision, doomed=doomed))
    kept = _keep(view, cluster, wait)
    return evolve(kept, decision=evolve(kept.decision, doomed=doomed))


def _orphans(view: View, cluster: str) -> _Part:
    """The garbage collector removes slices of a Service that is gone, and it may come back first; it leaves others."""
    orphans = [
        endpoint_slice
        for endpoint_slice in view.ours.get(cluster, ())
        if not endpoint_slice.metadata.owner_references
    ]
    return _remove(evolve(view, ours={cluster: orphans}), cluster, Reason.MAIN_SERVICE_MISSING)


def _import(view: View, remote: RemoteCluster, verdict: Imported) -> _Part:
    """Slices are as the remote ones say."""
    cluster, key, observed = (
        remote.link.metadata.name,
        view.key,
        view.ours.get(remote.link.metadata.name, []),
    )
    desired, omissions = _desired(remote.endpoint_slices.get(key, ()), cluster, verdict)
    changes = diff(key, cluster, desired, observed, view.names)
    if (
        desired
        and cluster in view.leftovers
        and not any(isinstance(change, Create | Update) for change in changes)
    ):
        changes += _leftovers(view.leftovers[cluster], observed)
    outcome = (
        (Outcome.MIRRORED, Reason.MIRRORED) if desired else (Outcome.SKIPPED, Reason.NO_ENDPOINTS)
    )
    decision = Decision(key, cluster, *outcome, len(desired), _endpoints(desired))
    part = _Part(decision, desired, changes, _findings(key, cluster, omissions))
    return (
        _guarded(part, remote)
        if any(change.reason is Reason.SOURCE_GONE for change in changes)
        else part
    )


def _guarded(part: _Part, remote: RemoteCluster) -> _Part:
    """The part without the deletions that have to wait, and with the slices that are kept by that."""
    doomed = [change for change in part.changes if change.reason is Reason.SOURCE_GONE]
    decision = evolve(part.decision, doomed=len(doomed))
    if (wait := why_withheld(remote.guard, decision.service)) is None:
        return evolve(part, decision=decision)
    slices = [*part.slices, *(change.endpoint_slice for change in doomed)]
    counts = len(slices), _endpoints(slices), len(doomed)
    return evolve(
        part,
        decision=Decision(decision.service, decision.cluster, Outcome.KEPT, wait, *counts),
        slices=slices,
        changes=[change for change in part.changes if change.reason is not Reason.SOURCE_GONE],
    )


def _leftovers(leftovers: Observed, observed: Observed) -> list[Delete]:
    """Slices of the Go release go once everything that should be mirrored is, so that no address is lost in between."""
    replacement = next(endpoint_slice for endpoint_slice in observed if _is_alive(endpoint_slice))
    return [
        delete_leftover(endpoint_slice, replacement)
        for endpoint_slice in leftovers
        if _is_alive(endpoint_slice)
    ]


def _create(view: View, decisions: list[Decision]) -> tuple[Sequence[Creation], list[Decision]]:
    """What to make in the main cluster so that clusters that have the Service can be mirrored; and who waits for it."""
    waiting = [each.cluster for each in decisions if each.reason is Reason.MAIN_SERVICE_MISSING]
    if not (waiting and view.snapshot.options.sync_services):
        return (), decisions
    if (obstacle := why_not_created(view.key, view.snapshot.main)) is not None:
        return (), [_explained(each, Outcome.SKIPPED, obstacle) for each in decisions]
    sources = [
        remote
        for name in waiting
        if can_be_copied((remote := view.snapshot.remotes[name]).services[view.key])
    ]
    if not sources:
        return (), [_explained(each, Outcome.SKIPPED, Reason.REMOTE_PORTLESS) for each in decisions]
    source = oldest(sources)
    cluster = source.link.metadata.name
    told = [
        _explained(each, Outcome.CREATED, Reason.SERVICE_CREATED)
        if each.cluster == cluster
        else _explained(each, Outcome.SKIPPED, Reason.SERVICE_AWAITED)
        for each in decisions
    ]
    return creations(source.services[view.key], cluster, view.snapshot.main), told


def _explained(decision: Decision, outcome: Outcome, reason: Reason) -> Decision:
    """The decision of a cluster that lacks nothing but the main Service, with what becomes of that."""
    if decision.reason is not Reason.MAIN_SERVICE_MISSING:
        return decision
    return evolve(decision, outcome=outcome, reason=reason)


def _all_findings(view: View, parts: Mapping[str, _Part]) -> tuple[Finding, ...]:
    """What was found cluster by cluster, and then between the clusters."""
    known = [] if view.main is None else view.main.known_distinct
    shared = conflicts(
        {MAIN: view.local, **{name: part.slices for name, part in parts.items()}}, known
    )
    between = [
        Finding(view.key, name, Reason.ADDRESS_CONFLICT, shared[name]) for name in sorted(shared)
    ]
    return (*(finding for part in parts.values() for finding in part.findings), *between)


def _desired(
    slices: Iterable[EndpointSlice], cluster: str, verdict: Imported
) -> tuple[list[EndpointSlice], list[Omission]]:
    """What the remote slices of one Service become, and what of them is left out."""
    desired: list[EndpointSlice] = []
    omissions: list[Omission] = []
    for endpoint_slice in slices:
        reason = why_slice_skipped(endpoint_slice, verdict.main)
        if reason is None:
            mirrored = mirror(endpoint_slice, cluster, verdict.remote, verdict.main)
            desired += mirrored.slices
            omissions += mirrored.omissions
        elif reason is not Reason.NO_ENDPOINTS:
            omissions.append(Omission(reason, endpoint_slice.metadata.name))
    return desired, omissions


def _findings(
    key: NamespacedName, cluster: str, omissions: Iterable[Omission]
) -> tuple[Finding, ...]:
    """Omissions as one finding a reason, whatever the order of the slices."""
    details: dict[Reason, set[str]] = {}
    for omission in omissions:
        details.setdefault(omission.reason, set()).add(omission.detail)
    return tuple(
        Finding(key, cluster, reason, tuple(sorted(details[reason])))
        for reason in sorted(details, key=lambda reason: reason.code)
    )


def _is_alive(endpoint_slice: EndpointSlice) -> bool:
    return endpoint_slice.metadata.deletion_timestamp is None


def _endpoints(slices: Iterable[EndpointSlice]) -> int:
    return sum(len(endpoint_slice.endpoints) for endpoint_slice in slices)
