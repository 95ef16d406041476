"""Why a mirror no longer has a source, and which side caused it.

The deletion guard delays only what the remote cluster did by itself: a family or a port that the
main Service dropped is meant. Source: docs/explanation/concepts.md, "Unknown is not empty".
"""

from __future__ import annotations

from collections.abc import Iterable

from svclink_core.cidrs import CIDRs, is_endpoint_allowed
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.filtering import why_slice_skipped
from svclink_core.ownership import is_ours
from svclink_core.port_names import translate_ports
from svclink_core.well_known import Reason


def why_gone(
    mirror: EndpointSlice,
    sources: Iterable[EndpointSlice],
    remote: Service,
    main: Service,
    allowed: CIDRs = (),
) -> Reason:
    """Why nothing of an imported Service would be mirrored as this slice.

    A mirror has the ports of the main Service as they were. If that Service has none of them any
    more, it dropped them, whatever the remote cluster did. A port that both still have under its
    name got another number in one of the two, and only the past could tell in which: in doubt it is
    the remote cluster's doing, so that the deletion guard counts it.

    In the same way, a mirror has addresses that the link allowed. If it allows none of them any
    more, the operator wants it so; else the remote cluster moved its endpoints.

    Args:
        mirror: A slice of the main cluster, ours or a leftover of the Go release.
        sources: The slices of the Service in the remote cluster.
        remote: The Service in the remote cluster.
        main: The Service in the main cluster.
        allowed: The only ranges from which endpoints are mirrored; empty for all.
    """
    if mirror.address_type not in main.spec.ip_families:
        return Reason.ADDRESS_TYPE
    own = {(port.name, port.protocol) for port in main.spec.ports}
    if mirror.ports and own.isdisjoint((port.name, port.protocol) for port in mirror.ports):
        return Reason.MAIN_PORTS_CHANGED
    if allowed and mirror.endpoints and not _has_allowed(mirror, allowed):
        return Reason.OUTSIDE_ALLOWED_CIDRS
    for source in sources:
        if (source.metadata.name, source.address_type) == (mirror.source, mirror.address_type):
            return why_not_mirrored(source, remote, main)
    return Reason.SOURCE_GONE if is_ours(mirror) else Reason.NO_ENDPOINTS


def why_nothing(
    sources: Iterable[EndpointSlice], remote: Service, main: Service, allowed: CIDRs = ()
) -> Reason:
    """Why no slice of an imported Service can be mirrored: the one reason, or no endpoint is left.

    Arguments as for `why_gone`.
    """
    reasons = {why_not_mirrored(each, remote, main, allowed) for each in sources}
    return reasons.pop() if len(reasons) == 1 else Reason.NO_ENDPOINTS


def why_not_mirrored(
    source: EndpointSlice, remote: Service, main: Service, allowed: CIDRs = ()
) -> Reason:
    """Why a slice of an imported Service, which is mirrored as nothing, is not mirrored."""
    if (reason := why_slice_skipped(source, main)) is not None:
        return reason
    ports, _ = translate_ports(source.ports, remote, main)
    if not ports:
        return Reason.PORT_MISMATCH
    is_outside = bool(allowed) and not _has_allowed(source, allowed)
    return Reason.OUTSIDE_ALLOWED_CIDRS if is_outside else Reason.NO_ENDPOINTS


def _has_allowed(endpoint_slice: EndpointSlice, allowed: CIDRs) -> bool:
    """Whether the slice has an endpoint that the link allows."""
    return any(
        is_endpoint_allowed(allowed, each.addresses, endpoint_slice.address_type)
        for each in endpoint_slice.endpoints
    )
