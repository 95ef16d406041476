"""The plan for one Service, or for all: composes filtering, mirroring and diffing, and decides nothing itself."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TypeAlias, assert_never

from attrs import evolve, frozen

from svclink_core.core_v1 import Service
from svclink_core.diffing import Change, Create, Delete, Names, delete, diff, update_to
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.filtering import Imported, Kept, Skipped, judge, why_slice_skipped
from svclink_core.meta_v1 import NamespacedName
from svclink_core.mirroring import Finding, Omission, mirror, owner_of
from svclink_core.snapshot import RemoteCluster, Snapshot, all_keys
from svclink_core.well_known import Reason


class Outcome(Enum):
    """What becomes of one Service of one cluster."""

    MIRRORED = "Mirrored"
    KEPT = "Kept"
    SKIPPED = "Skipped"


@frozen
class Decision:
    """Whether a Service of a cluster is mirrored, kept as it is or skipped, and why. Sorted by Service, then cluster.

    `slices` and `endpoints` count what the main cluster has of it after the plan.
    """

    service: NamespacedName
    cluster: str
    outcome: Outcome
    reason: Reason
    slices: int = 0
    endpoints: int = 0


@frozen
class Plan:
    """What to change in the main cluster, in this order, and why everything is as it is.

    For one Service, creations and updates come before deletions, so that no address is lost in between.
    """

    changes: tuple[Change, ...] = ()
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()


def plan(snapshot: Snapshot, now: float) -> Plan:
    """The plan for every Service of any cluster: the union of `plan_service` over all keys, in their order."""
    plans = [plan_service(snapshot, key, now) for key in sorted(all_keys(snapshot))]
    return Plan(
        changes=tuple(change for each in plans for change in each.changes),
        decisions=tuple(decision for each in plans for decision in each.decisions),
        findings=tuple(finding for each in plans for finding in each.findings),
    )


def plan_service(snapshot: Snapshot, key: NamespacedName, now: float) -> Plan:  # noqa: ARG001 - of deadlines to come
    """The plan for the Service `key` alone. Depends on nothing but its arguments.

    Args:
        snapshot: What is known. It may be narrowed to this Service, but must have every link and every slice name.
        key: Namespace and name, the same in every cluster.
        now: The present time as POSIX seconds; decides which deadlines are over.
    """
    observed = _ours_by_cluster(snapshot.main.endpoint_slices.get(key, ()))
    given: set[str] = set()
    parts = [
        _plan_cluster(snapshot, key, cluster, observed.get(cluster, []), given)
        for cluster in sorted(observed.keys() | snapshot.remotes.keys())
    ]
    changes = [change for part in parts for change in part.changes]
    return Plan(
        changes=tuple(
            sorted(changes, key=lambda change: (isinstance(change, Delete), change.endpoint_slice.metadata.name))
        ),
        decisions=tuple(decision for part in parts for decision in part.decisions),
        findings=tuple(finding for part in parts for finding in part.findings),
    )


_Observed: TypeAlias = list[EndpointSlice]


def _ours_by_cluster(slices: Iterable[EndpointSlice]) -> dict[str, _Observed]:
    """Mirrored slices by the cluster they came from; one whose cluster label was lost counts to no cluster, ``""``."""
    groups: dict[str, _Observed] = {}
    for piece in slices:
        if piece.is_ours:
            groups.setdefault(piece.cluster or "", []).append(piece)
    return groups


def _plan_cluster(snapshot: Snapshot, key: NamespacedName, cluster: str, observed: _Observed, given: set[str]) -> Plan:
    """The part of a Service's plan that concerns one cluster. Adds the names it gives to `given`."""
    remote = snapshot.remotes.get(cluster)
    if remote is None:
        return Plan(changes=tuple(delete(piece, Reason.LINK_GONE) for piece in observed if _is_alive(piece)))
    main = snapshot.main.services.get(key)
    verdict = judge(key, remote, main, snapshot.options)
    match verdict:
        case Kept(reason):
            return _keep(key, cluster, observed, reason, main)
        case Skipped(reason):
            return _skip(key, cluster, observed, reason)
        case Imported():
            return _import(snapshot, key, remote, verdict, observed, given)
        case unexpected:
            assert_never(unexpected)


def _keep(key: NamespacedName, cluster: str, observed: _Observed, reason: Reason, main: Service | None) -> Plan:
    """Slices stay. Only the owner of slices of a lost cluster follows a re-created Service: else they are collected."""
    changes: tuple[Change, ...] = ()
    if main is not None and not main.is_being_deleted and reason is not Reason.FROZEN:
        owned = [
            (piece, evolve(piece.metadata, owner_references=owner_of(main))) for piece in observed if _is_alive(piece)
        ]
        updates = [update_to(evolve(piece, metadata=metadata), piece) for piece, metadata in owned]
        changes = tuple(update for update in updates if update is not None)
    decision = Decision(key, cluster, Outcome.KEPT, reason, len(observed), _endpoints(observed))
    return Plan(changes, (decision,))


def _skip(key: NamespacedName, cluster: str, observed: _Observed, reason: Reason) -> Plan:
    """Slices go. Where the main Service is gone that is the garbage collector's work: it may come back first."""
    doomed = [piece for piece in observed if _is_alive(piece)]
    if reason is Reason.MAIN_SERVICE_MISSING:
        doomed = [piece for piece in doomed if not piece.metadata.owner_references]
    return Plan(tuple(delete(piece, reason) for piece in doomed), (Decision(key, cluster, Outcome.SKIPPED, reason),))


def _import(
    snapshot: Snapshot,
    key: NamespacedName,
    remote: RemoteCluster,
    verdict: Imported,
    observed: _Observed,
    given: set[str],
) -> Plan:
    """Slices are as the remote ones say."""
    cluster = remote.link.metadata.name
    desired, omissions = _desired(remote.endpoint_slices.get(key, ()), cluster, verdict)

    def is_taken(name: str) -> bool:
        return name in given or NamespacedName(key.namespace, name) in snapshot.main.names

    changes = diff(key, cluster, desired, observed, Names(snapshot.remotes.keys(), is_taken))
    given.update(change.key.name for change in changes if isinstance(change, Create))
    outcome = (Outcome.MIRRORED, Reason.MIRRORED) if desired else (Outcome.SKIPPED, Reason.NO_ENDPOINTS)
    decision = Decision(key, cluster, *outcome, len(desired), _endpoints(desired))
    return Plan(tuple(changes), (decision,), _findings(key, cluster, omissions))


def _desired(
    slices: Iterable[EndpointSlice], cluster: str, verdict: Imported
) -> tuple[list[EndpointSlice], list[Omission]]:
    """What the remote slices of one Service become, and what of them is left out."""
    desired: list[EndpointSlice] = []
    omissions: list[Omission] = []
    for piece in slices:
        reason = why_slice_skipped(piece, verdict.main)
        if reason in (Reason.LOOP, Reason.ADDRESS_TYPE):
            omissions.append(Omission(reason, piece.metadata.name))
        if reason is not None:
            continue
        mirrored = mirror(piece, cluster, verdict.remote, verdict.main)
        desired += mirrored.slices
        omissions += mirrored.omissions
    return desired, omissions


def _findings(key: NamespacedName, cluster: str, omissions: Iterable[Omission]) -> tuple[Finding, ...]:
    """Omissions as one finding a reason, whatever the order of the slices."""
    details: dict[Reason, set[str]] = {}
    for omission in omissions:
        details.setdefault(omission.reason, set()).add(omission.detail)
    return tuple(
        Finding(key, cluster, reason, tuple(sorted(details[reason])))
        for reason in sorted(details, key=lambda reason: reason.code)
    )


def _is_alive(piece: EndpointSlice) -> bool:
    return piece.metadata.deletion_timestamp is None


def _endpoints(slices: Iterable[EndpointSlice]) -> int:
    return sum(len(piece.endpoints) for piece in slices)
