"""Mirrors that are kept, because nothing is known of their sources, follow main and the operator.

They belong to the main Service as it is now, and have only endpoints that their link allows now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from attrs import evolve

from svclink_core.cidrs import CIDRs, is_endpoint_allowed
from svclink_core.core_v1 import Service
from svclink_core.diffing import SliceChange, deletions, updates
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.hints import with_current_hints
from svclink_core.mirroring import Finding, with_owner
from svclink_core.ownership import is_ours
from svclink_core.service_view import ServiceView
from svclink_core.standby import as_remote_said
from svclink_core.unreachable_policy import LAST_RESORT, as_before_loss
from svclink_core.well_known import Reason

Form: TypeAlias = Callable[[EndpointSlice, Service], EndpointSlice]
"""What a mirror becomes under its main Service."""


def as_kept(mirror: EndpointSlice, main: Service) -> EndpointSlice:
    """The mirror under its main Service, as its cluster last said.

    It gets the uid of a re-created main Service, and the hints that the Service asks for now:
    otherwise the garbage collector takes it, or it ends topology routing for all endpoints.
    """
    return following(as_remote_said(mirror), main)


def following(mirror: EndpointSlice, main: Service) -> EndpointSlice:
    """The mirror under its main Service, with the conditions that it has."""
    return with_owner(with_current_hints(mirror, main), main)


def follow_main(
    mirrors: Iterable[EndpointSlice],
    main: Service | None,
    allowed: CIDRs = (),
    form: Form = as_kept,
) -> list[SliceChange]:
    """The changes that keep mirrors in use, without endpoints that their link does not allow.

    Args:
        mirrors: The mirrors of one Service and cluster.
        main: Their main Service. Without it, or while it is being deleted, they stay as they are.
        allowed: The only ranges whose endpoints are kept; empty for all.
        form: What they become.
    """
    if main is None or main.is_being_deleted:
        return []
    found: list[SliceChange] = []
    for each in mirrors:
        if (part := only_allowed(each, allowed) if allowed else each) is None:
            found += deletions([each], Reason.OUTSIDE_ALLOWED_CIDRS)
            continue
        if not is_ours(each):  # A leftover of the Go release, which a deletion guard keeps.
            continue
        wanted = form(part, main)
        is_restored = each.is_marked_not_ready and not wanted.is_marked_not_ready
        found += updates([(wanted, each)], Reason.RESTORED if is_restored else None)
    return found


def allowed_parts(mirrors: Iterable[EndpointSlice], allowed: CIDRs) -> list[EndpointSlice]:
    """The mirrors without the endpoints that their link does not allow."""
    if not allowed:  # Nearly always: a call for each mirror would show.
        return [*mirrors]
    parts = [only_allowed(each, allowed) for each in mirrors]
    return [each for each in parts if each is not None]


def only_allowed(mirror: EndpointSlice, allowed: CIDRs) -> EndpointSlice | None:
    """The mirror without the endpoints that its link does not allow; None if none is left.

    Nothing else is known of a cluster that is away, so what is removed here comes back only with
    the cluster.
    """
    if not allowed:
        return mirror
    address_type = mirror.address_type
    endpoints = tuple(
        [
            each
            for each in mirror.endpoints
            if is_endpoint_allowed(allowed, each.addresses, address_type)
        ]
    )
    if len(endpoints) == len(mirror.endpoints):
        return mirror  # It may be empty: a TrafficPolicy can leave all endpoints out.
    if not endpoints:
        return None
    part = evolve(mirror, endpoints=endpoints)
    is_marked_in_vain = all(each.conditions != LAST_RESORT for each in endpoints)
    return as_before_loss(part) if is_marked_in_vain else part


def undecodable_findings(view: ServiceView, cluster: str, reason: Reason) -> tuple[Finding, ...]:
    """A finding if an object that could not be decoded keeps a Service as it is.

    An object of the main cluster concerns only the clusters that are known to have the Service.
    """
    is_found = reason is Reason.UNDECODABLE or (
        reason is Reason.MAIN_UNDECODABLE and view.is_known_of(cluster)
    )
    return (Finding(view.key, cluster, reason, ()),) if is_found else ()
