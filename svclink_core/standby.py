"""Endpoints that are kept as a standby: kube-proxy uses them only once a Service has no ready one.

A mirror may be the only memory of what its cluster said, while that is away or after a restart. So
a mirror with standby endpoints has an annotation, which tells them from endpoints that look the
same because their Pods are really terminating: it lists the addresses of these.

| in the remote cluster    | ready | serving | terminating | in the annotation |
|--------------------------|-------|---------|-------------|-------------------|
| ready                    | false | true    | true        |                   |
| not ready, but serving   | false | true    | true        | its address       |
|   while it terminates    |       |         |             |                   |
| not ready otherwise      | stays | stays   | stays       |                   |

Source: docs/how-to/traffic-policies.md, "Active and standby"; KEP-1669.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Final

from attrs import evolve

from svclink_core.discovery_v1 import Endpoint, EndpointSlice
from svclink_core.meta_v1 import sorted_pairs
from svclink_core.unreachable_policy import LAST_RESORT, READY, as_before_loss
from svclink_core.well_known import ANNOTATION_STANDBY

ALL: Final = "All"
EXCEPT: Final = "AllExcept "
"""The values of the annotation: of the endpoints that look like a standby, which are one."""


def ready_addresses(endpoint_slice: EndpointSlice) -> list[str]:
    """The addresses by which kube-proxy knows the ready endpoints; unset counts as ready."""
    return [
        address
        for each in endpoint_slice.endpoints
        if each.conditions.ready is not False
        for address in each.addresses[:1]
    ]


def with_standby(
    endpoint_slice: EndpointSlice, active: Collection[str], *, is_fallback: bool
) -> EndpointSlice:
    """The slice with all ready endpoints as a standby but those that are active.

    Args:
        endpoint_slice: The slice as the remote cluster says.
        active: Addresses of active endpoints.
        is_fallback: Whether there is a standby. If not, such endpoints are left out.
    """
    if all(address in active for address in ready_addresses(endpoint_slice)):
        return endpoint_slice
    if not is_fallback:
        kept = [each for each in endpoint_slice.endpoints if not _is_spare(each, active)]
        return evolve(endpoint_slice, endpoints=tuple(kept))
    endpoints = [
        evolve(each, conditions=LAST_RESORT, hints=None) if _is_spare(each, active) else each
        for each in endpoint_slice.endpoints
    ]
    terminating = [
        each.addresses[0] for each in endpoint_slice.endpoints if each.conditions == LAST_RESORT
    ]
    value = EXCEPT + ",".join(sorted(terminating)) if terminating else ALL
    return evolve(_annotated(endpoint_slice, value), endpoints=tuple(endpoints))


def without_standby(mirror: EndpointSlice) -> EndpointSlice:
    """The mirror as it was before any of its endpoints became a standby, without their hints."""
    value = mirror.standby
    if value is None:
        return mirror
    terminating = frozenset(value.removeprefix(EXCEPT).split(","))
    endpoints = [
        evolve(each, conditions=READY)
        if each.conditions == LAST_RESORT and not terminating.issuperset(each.addresses[:1])
        else each
        for each in mirror.endpoints
    ]
    return evolve(_annotated(mirror, None), endpoints=tuple(endpoints))


def as_remote_said(mirror: EndpointSlice) -> EndpointSlice:
    """The mirror as its cluster last said, as far as kube-proxy is concerned."""
    return without_standby(as_before_loss(mirror))


class EndpointRole(Enum):
    """What kube-proxy does with an endpoint."""

    ACTIVE = "active"
    STANDBY = "standby"
    NOT_READY = "notReady"


def roles_of(endpoint_slice: EndpointSlice) -> list[EndpointRole]:
    """The role of each endpoint of a slice, in their order.

    An endpoint whose cluster is unreachable is a standby too, if that is why it is not ready.
    """
    said = as_remote_said(endpoint_slice).endpoints
    return [
        EndpointRole.ACTIVE
        if published.conditions.ready is not False
        else EndpointRole.STANDBY
        if each.conditions.ready is not False
        else EndpointRole.NOT_READY
        for published, each in zip(endpoint_slice.endpoints, said, strict=True)
    ]


def _is_spare(endpoint: Endpoint, active: Collection[str]) -> bool:
    return endpoint.conditions.ready is not False and not any(
        address in active for address in endpoint.addresses[:1]
    )


def _annotated(endpoint_slice: EndpointSlice, value: str | None) -> EndpointSlice:
    annotations = dict(endpoint_slice.metadata.annotations)
    annotations.pop(ANNOTATION_STANDBY, None)
    if value is not None:
        annotations[ANNOTATION_STANDBY] = value
    metadata = evolve(endpoint_slice.metadata, annotations=sorted_pairs(annotations))
    return evolve(endpoint_slice, metadata=metadata)
