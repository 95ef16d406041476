"""What the unreachable policy of a link makes of the mirrors of its cluster, once that is lost.

When a cluster counts as lost is decided in `connection_loss`.

While the cluster is away, its mirrors in the main cluster are the only memory of its endpoints. So
NotReady can be undone: it changes conditions so that the old ones can be told from the new ones,
and marks the slice with an annotation. A marked slice means the same after a restart of svclink.

| before                  | ready | serving | terminating | when it is undone            |
|-------------------------|-------|---------|-------------|------------------------------|
| ready                   | false | true    | true        | ready, serving               |
| not ready, terminating  | false | false   | true        | stays: such a Pod soon ends  |
| not ready otherwise     | stays | stays   | stays       | stays                        |

Source: docs/how-to/troubleshooting.md, "Endpoints of a lost cluster are still there".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import evolve

from svclink_core.discovery_v1 import CONDITIONS, Endpoint, EndpointSlice
from svclink_core.meta_v1 import sorted_pairs
from svclink_core.snapshot import Pending, RemoteCluster, Unreachable
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import ANNOTATION_UNREACHABLE, NOT_READY, Reason

LAST_RESORT: Final = CONDITIONS[False, True, True]
"""kube-proxy sends traffic to such endpoints only if a Service has no ready one (KEP-1669)."""

READY: Final = CONDITIONS[True, True, False]
NOT_SERVING: Final = CONDITIONS[False, False, True]
"""kube-proxy never sends traffic to such endpoints."""


# When


def policy_deadline(remote: RemoteCluster) -> float | None:
    """When the policy for a lost cluster takes effect; None if it never does.

    In seconds, on the clock of `Unreachable.at`. Plans before and after that moment differ, so its
    Services have to be planned again then.
    """
    link, policy, connection = remote.link, remote.link.spec.unreachable, remote.connection
    is_worked_on = link.is_selected and link.spec.enabled
    if policy.action == "Keep" or not is_worked_on:
        return None
    if not isinstance(connection, Unreachable) or not connection.is_lost:
        return None
    return connection.at + policy.after_seconds


def is_expired(remote: RemoteCluster, now: float) -> bool:
    """Whether the policy for a lost cluster is in effect."""
    deadline = policy_deadline(remote)
    return deadline is not None and now >= deadline


def covers(remote: RemoteCluster, mirror: EndpointSlice, now: float) -> bool:
    """Whether the policy of a cluster covers a mirror now: any of them once it is in effect.

    A mirror already marked NotReady stays covered while the time of the loss is unknown: a restart
    of svclink must not make the endpoints of a dead cluster ready.
    """
    return is_expired(remote, now) or (mirror.is_marked_not_ready and _may_be_expired(remote))


def _may_be_expired(remote: RemoteCluster) -> bool:
    """Whether the policy may be in effect for longer than svclink knows."""
    link, connection = remote.link, remote.connection
    if not (link.is_selected and link.spec.enabled) or link.spec.unreachable.action == "Keep":
        return False
    if isinstance(connection, Unreachable):
        return connection.is_lost and connection.never_reached
    return isinstance(connection, Pending)


# What


def unreachable_action(
    mirror: EndpointSlice, remote: RemoteCluster, ready: frozenset[str], now: float
) -> Reason:
    """What becomes of a mirror of a cluster that is not synced.

    Returns `UNREACHABLE_REMOVED` (delete it), `UNREACHABLE_NOT_READY` (make its endpoints a last
    resort), `LAST_ENDPOINTS` (keep it as it was before the loss: without it the Service may have no
    ready endpoint of its IP family) or `UNREACHABLE` (the same, because no policy covers it). This
    is decided anew in every plan, so that endpoints that were made a last resort are ready again
    once nothing else is left.

    Args:
        mirror: The mirror.
        remote: Its cluster.
        ready: The address types of the ready endpoints that the Service has elsewhere.
        now: Seconds, on the clock of `Unreachable.at`.
    """
    policy = remote.link.spec.unreachable
    if not covers(remote, mirror, now):
        return Reason.UNREACHABLE
    if not (policy.force or mirror.address_type in ready):
        return Reason.LAST_ENDPOINTS
    is_removed = policy.action == "Remove" and is_expired(remote, now)
    return Reason.UNREACHABLE_REMOVED if is_removed else Reason.UNREACHABLE_NOT_READY


def counts_as_ready(link: ClusterLink) -> bool:
    """Whether ready endpoints among the mirrors of a link may take over from a lost cluster.

    If another controller handles the link, only its status tells whether its cluster is lost too:
    otherwise each of two controllers would count on the endpoints that the other one removes.
    """
    return link.is_selected or link.status.connected


def ready_families(slices: Iterable[EndpointSlice]) -> frozenset[str]:
    """The address types of slices with a ready endpoint; an unset condition counts as ready.

    A slice that is being deleted does not count.
    """
    return frozenset(
        each.address_type
        for each in slices
        if not each.metadata.is_being_deleted
        and any(endpoint.conditions.ready is not False for endpoint in each.endpoints)
    )


def as_last_resort(endpoint_slice: EndpointSlice) -> EndpointSlice:
    """The slice as NotReady leaves it: marked, if it has endpoints that can be ready again."""
    if endpoint_slice.is_marked_not_ready:
        return endpoint_slice
    endpoints = tuple(map(_as_last_resort, endpoint_slice.endpoints))
    annotations = dict(endpoint_slice.metadata.annotations)
    if any(each.conditions == LAST_RESORT for each in endpoints):
        annotations[ANNOTATION_UNREACHABLE] = NOT_READY
    metadata = evolve(endpoint_slice.metadata, annotations=sorted_pairs(annotations))
    return evolve(endpoint_slice, metadata=metadata, endpoints=endpoints)


def _as_last_resort(endpoint: Endpoint) -> Endpoint:
    """A broken Pod must not become usable, so only ready endpoints become a last resort."""
    if endpoint.conditions.ready is not False:
        return evolve(endpoint, conditions=LAST_RESORT, hints=None)
    return evolve(endpoint, conditions=NOT_SERVING) if endpoint.conditions.terminating else endpoint


def as_before_loss(endpoint_slice: EndpointSlice) -> EndpointSlice:
    """The slice as it was before NotReady, as far as kube-proxy is concerned, and without hints."""
    if not endpoint_slice.is_marked_not_ready:
        return endpoint_slice
    annotations = dict(endpoint_slice.metadata.annotations)
    del annotations[ANNOTATION_UNREACHABLE]
    return evolve(
        endpoint_slice,
        metadata=evolve(endpoint_slice.metadata, annotations=sorted_pairs(annotations)),
        endpoints=tuple(
            [
                evolve(each, conditions=READY) if each.conditions == LAST_RESORT else each
                for each in endpoint_slice.endpoints
            ]
        ),
    )
