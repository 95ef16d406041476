"""What a link's unreachable policy makes of mirrored slices, once their cluster has been away for long enough."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import evolve

from svclink_core.discovery_v1 import Endpoint, EndpointConditions, EndpointSlice
from svclink_core.link_identity import Problem
from svclink_core.link_target import LinkRequest, LinkTarget
from svclink_core.snapshot import RemoteCluster, Unreachable
from svclink_core.well_known import LinkReason

LAST_RESORT: Final = EndpointConditions(ready=False, serving=True, terminating=True)
"""kube-proxy sends traffic to such endpoints only where a Service has no ready one at all (KEP-1669)."""


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
    """Whether a cluster counts as lost, so that its link's unreachable policy applies in time.

    A cluster is lost if the link asked for it to be read and reading it failed. Mirrors of a link
    that asks for nothing readable, or that must not be used, are kept whatever the policy says.

    Args:
        request: What the link asks to be read.
        failure: Why reading it failed, None if it did not.
    """
    is_tried = isinstance(request, LinkTarget)
    return is_tried and failure is not None and failure.reason not in REFUSED


def policy_deadline(remote: RemoteCluster) -> float | None:
    """When the policy of a lost cluster begins to hold, in POSIX seconds; None where it never does.

    What is planned before and from then on differs, so that is the moment to plan its Services again.
    """
    link, policy = remote.link, remote.link.spec.unreachable
    is_at_work = link.is_selected and link.spec.enabled
    if policy.action == "Keep" or not is_at_work or not isinstance(remote.connection, Unreachable):
        return None
    return remote.connection.at + policy.after_seconds


def is_expired(remote: RemoteCluster, now: float) -> bool:
    """Whether the policy of a cluster holds by now."""
    expires = policy_deadline(remote)
    return expires is not None and now >= expires


def has_ready_endpoint(slices: Iterable[EndpointSlice]) -> bool:
    """Whether any endpoint of the slices is ready; unset counts as that. Slices that are being deleted do not count."""
    return any(
        endpoint.conditions.ready is not False
        for endpoint_slice in slices
        if endpoint_slice.metadata.deletion_timestamp is None
        for endpoint in endpoint_slice.endpoints
    )


def as_last_resort(endpoint_slice: EndpointSlice) -> EndpointSlice:
    """The slice with every endpoint marked as not ready, still serving, terminating. Hints are for ready ones only."""
    return evolve(endpoint_slice, endpoints=tuple(map(_as_last_resort, endpoint_slice.endpoints)))


def _as_last_resort(endpoint: Endpoint) -> Endpoint:
    return evolve(endpoint, conditions=LAST_RESORT, hints=None)
