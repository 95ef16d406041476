"""What a link's unreachable policy makes of mirrored slices, once their cluster has been away for long enough."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import evolve

from svclink_core.discovery_v1 import Endpoint, EndpointConditions, EndpointSlice
from svclink_core.snapshot import RemoteCluster, Unreachable

LAST_RESORT: Final = EndpointConditions(ready=False, serving=True, terminating=True)
"""kube-proxy sends traffic to such endpoints only where a Service has no ready one at all (KEP-1669)."""


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
