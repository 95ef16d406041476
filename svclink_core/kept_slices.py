"""Mirrors that are kept, because nothing is known of their sources, follow their main Service."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from svclink_core.core_v1 import Service
from svclink_core.diffing import Update, updates
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.hints import with_current_hints
from svclink_core.mirroring import Finding, with_owner
from svclink_core.ownership import is_ours
from svclink_core.service_view import ServiceView
from svclink_core.snapshot import Synced
from svclink_core.unreachable_policy import as_before_loss
from svclink_core.well_known import Reason

Form: TypeAlias = Callable[[EndpointSlice, Service], EndpointSlice]
"""What a mirror becomes under its main Service."""


def as_kept(mirror: EndpointSlice, main: Service) -> EndpointSlice:
    """The mirror under its main Service, as it was before an unreachable policy changed it.

    It gets the uid of a re-created main Service, and the hints that the Service asks for now:
    otherwise the garbage collector takes it, or it ends topology routing for all endpoints.
    """
    return following(as_before_loss(mirror), main)


def following(mirror: EndpointSlice, main: Service) -> EndpointSlice:
    """The mirror under its main Service, with the conditions that it has."""
    return with_owner(with_current_hints(mirror, main), main)


def follow_main(
    mirrors: Iterable[EndpointSlice], main: Service | None, form: Form = as_kept
) -> list[Update]:
    """The updates that keep mirrors in use.

    Args:
        mirrors: The mirrors of one Service and cluster.
        main: Their main Service. Without it, or while it is being deleted, they stay as they are.
        form: What they become.
    """
    if main is None or main.is_being_deleted:
        return []
    found = []
    for each in mirrors:
        if not is_ours(each):  # A leftover of the Go release, which a deletion guard keeps.
            continue
        wanted = form(each, main)
        is_restored = each.is_marked_not_ready and not wanted.is_marked_not_ready
        found += updates([(wanted, each)], Reason.RESTORED if is_restored else None)
    return found


def undecodable_findings(view: ServiceView, cluster: str, reason: Reason) -> tuple[Finding, ...]:
    """A finding if an object that could not be decoded keeps a Service as it is.

    An object of the main cluster concerns only the clusters that are known to have the Service.
    """
    remote = view.snapshot.remotes[cluster]
    is_known = isinstance(remote.connection, Synced) and view.key in remote.services
    is_concerned = is_known or bool(view.ours.get(cluster))
    is_found = reason is Reason.UNDECODABLE or (reason is Reason.MAIN_UNDECODABLE and is_concerned)
    return (Finding(view.key, cluster, reason, ()),) if is_found else ()
