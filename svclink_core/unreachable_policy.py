"""When a cluster counts as lost, and what its link's unreachable policy then makes of its mirrors.

Source: MIRRORING, "Unreachable policy".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import evolve

from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import Endpoint, EndpointConditions, EndpointSlice
from svclink_core.link_identity import Problem
from svclink_core.link_target import LinkRequest, LinkTarget
from svclink_core.snapshot import RemoteCluster, Unreachable
from svclink_core.svclink_v1alpha1 import UnreachablePolicy
from svclink_core.well_known import LinkReason, Reason

LAST_RESORT: Final = EndpointConditions(ready=False, serving=True, terminating=True)
"""kube-proxy sends traffic to such endpoints only if a Service has no ready one (KEP-1669)."""


REFUSED: Final = frozenset(
    {
        LinkReason.SELF_LINK,
        LinkReason.DUPLICATE_CLUSTER,
        LinkReason.CLUSTER_CHANGED,
        LinkReason.DUPLICATE_NAME,
    }
)
"""Problems of links that must not be used, whether or not their clusters answer."""


def counts_as_lost(request: LinkRequest, failure: Problem | None) -> bool:
    """Whether a cluster counts as lost, so that its link's unreachable policy takes effect later.

    A cluster is lost if the link asked for it to be read and reading it failed. Mirrors of a link
    that asks for nothing readable, or that must not be used, are kept whatever the policy says.

    Args:
        request: What the link asks to be read.
        failure: Why reading it failed, None if it did not.
    """
    is_tried = isinstance(request, LinkTarget)
    return is_tried and failure is not None and failure.reason not in REFUSED


def policy_deadline(remote: RemoteCluster) -> float | None:
    """When the policy for a lost cluster takes effect, in POSIX seconds; None if it never does.

    Plans before and after that moment differ, so its Services have to be planned again then.
    """
    link, policy = remote.link, remote.link.spec.unreachable
    is_worked_on = link.is_selected and link.spec.enabled
    if (
        policy.action == "Keep"
        or not is_worked_on
        or not isinstance(remote.connection, Unreachable)
    ):
        return None
    return remote.connection.at + policy.after_seconds


def is_expired(remote: RemoteCluster, now: float) -> bool:
    """Whether the policy for a lost cluster is in effect."""
    deadline = policy_deadline(remote)
    return deadline is not None and now >= deadline


def lost_reason(
    policy: UnreachablePolicy, main: Service | None, others: Iterable[Iterable[EndpointSlice]]
) -> Reason:
    """What becomes of mirrors of a lost cluster whose policy is in effect.

    Returns `UNREACHABLE_REMOVED` (delete them), `UNREACHABLE_NOT_READY` (mark their endpoints as a
    last resort), or a reason to keep them: without a main Service nothing can take over, and
    without the cluster's endpoints the Service may have none that is ready.

    Args:
        policy: The policy of the cluster's link.
        main: The main Service.
        others: What else the Service has: its local slices, and those of clusters not lost.
    """
    if main is None or main.is_being_deleted:
        return Reason.UNREACHABLE
    if not (policy.force or any(map(has_ready_endpoint, others))):
        return Reason.LAST_ENDPOINTS
    is_removed = policy.action == "Remove"
    return Reason.UNREACHABLE_REMOVED if is_removed else Reason.UNREACHABLE_NOT_READY


def has_ready_endpoint(slices: Iterable[EndpointSlice]) -> bool:
    """Whether any endpoint is ready; an unset condition counts. A slice being deleted does not."""
    return any(
        endpoint.conditions.ready is not False
        for endpoint_slice in slices
        if not endpoint_slice.metadata.is_being_deleted
        for endpoint in endpoint_slice.endpoints
    )


def as_last_resort(endpoint_slice: EndpointSlice) -> EndpointSlice:
    """The slice with each endpoint not ready, serving and terminating, and without hints."""
    return evolve(endpoint_slice, endpoints=tuple(map(_as_last_resort, endpoint_slice.endpoints)))


def _as_last_resort(endpoint: Endpoint) -> Endpoint:
    return evolve(endpoint, conditions=LAST_RESORT, hints=None)
