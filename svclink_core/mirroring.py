"""One remote EndpointSlice becomes one desired EndpointSlice of the main cluster (or several, over 1,000 endpoints)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

from attrs import frozen

from svclink_core.addressing import canonical_addresses
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import (
    Endpoint,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    plain_endpoint,
)
from svclink_core.meta_v1 import NamespacedName, ObjectMeta, OwnerReference
from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    ANNOTATION_TOPOLOGY_MODE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
    MAX_ENDPOINTS,
    MAX_PORT,
    NODE_OF_NO_CLUSTER,
    ZONE_OF_NO_NODE,
    Reason,
)


@frozen
class Omission:
    """Something of a remote slice that could not be mirrored: why, and which."""

    reason: Reason
    detail: str


@frozen
class Finding:
    """Something of a mirrored Service that had to be left out: which things, sorted."""

    service: NamespacedName
    cluster: str
    reason: Reason
    details: tuple[str, ...]


@frozen
class MirrorResult:
    """The desired slices of one remote slice, still without a name, and what had to be left out."""

    slices: tuple[EndpointSlice, ...]
    omissions: tuple[Omission, ...]


class Topology(Enum):
    """What the main Service asks of the hints of its endpoints."""

    NONE = "None"
    ZONE = "Zone"
    NODE = "Node"


def mirror(
    endpoint_slice: EndpointSlice, cluster: str, remote: Service, main: Service
) -> MirrorResult:
    """The slices the main cluster should have for a remote slice of an imported Service.

    Args:
        endpoint_slice: The remote slice.
        cluster: Name of the ClusterLink.
        remote: The remote Service, whose port numbers help to find partners for port names.
        main: The main Service: it gives owner, port names and the wish for topology.

    Source: MIRRORING, "One remote slice -> one main slice".
    """
    ports, port_omissions = translate_ports(endpoint_slice.ports, remote, main)
    endpoints, endpoint_omissions = mirror_endpoints(endpoint_slice, topology_of(main))
    parts = _split(endpoints) if ports else []
    slices = tuple(
        EndpointSlice(
            metadata=_metadata(endpoint_slice, cluster, main, part),
            address_type=endpoint_slice.address_type,
            endpoints=chunk,
            ports=ports,
        )
        for part, chunk in enumerate(parts)
    )
    return MirrorResult(slices, (*port_omissions, *endpoint_omissions))


def owner_of(main: Service) -> tuple[OwnerReference, ...]:
    """The one owner of a mirrored slice. Not blocking: that would need another permission and gain nothing."""
    return _owner(main.metadata.name, main.metadata.uid)


@lru_cache(maxsize=64)
def _owner(name: str, uid: str) -> tuple[OwnerReference, ...]:
    """Made once for all clusters of a Service, which are planned together: it saves time and memory."""
    return (OwnerReference("v1", "Service", name, uid, True, False),)  # noqa: FBT003


def _metadata(endpoint_slice: EndpointSlice, cluster: str, main: Service, part: int) -> ObjectMeta:
    source = endpoint_slice.metadata.name if part == 0 else f"{endpoint_slice.metadata.name}/{part}"
    return ObjectMeta(
        name="",
        namespace=main.metadata.namespace,
        labels=mirrored_labels(main.metadata.key, cluster),
        annotations=((ANNOTATION_SOURCE_SLICE, source),),
        owner_references=owner_of(main),
    )


def mirrored_labels(service: NamespacedName, cluster: str) -> tuple[tuple[str, str], ...]:
    """The labels of a mirrored slice, all of them."""
    return (
        (LABEL_MANAGED_BY, MANAGED_BY),
        (LABEL_SERVICE_NAME, service.name),
        (LABEL_CLUSTER, cluster),
    )


def _split(endpoints: tuple[Endpoint, ...]) -> list[tuple[Endpoint, ...]]:
    return [
        endpoints[start : start + MAX_ENDPOINTS]
        for start in range(0, len(endpoints), MAX_ENDPOINTS)
    ]


# Ports


def translate_ports(
    ports: Sequence[EndpointPort], remote: Service, main: Service
) -> tuple[tuple[EndpointPort, ...], list[Omission]]:
    """The ports of a remote slice under the names of the main Service, sorted by name, and those without a partner.

    kube-proxy joins a slice to a Service by port name and protocol and drops the rest without a word, so a port is
    renamed to its partner: same name and protocol, else same Service port number and protocol.
    """
    translated: dict[str, EndpointPort] = {}
    omissions = []
    own = {(port.name, port.protocol) for port in main.spec.ports}
    for port in sorted(
        ports, key=lambda port: ((port.name, port.protocol) not in own, port.name, port.protocol)
    ):
        is_known = (port.name, port.protocol) in own
        name = (
            None
            if not _has_number(port)
            else port.name
            if is_known
            else _partner(port, remote, main)
        )
        if name is None or name in translated:
            omissions.append(Omission(Reason.PORT_MISMATCH, _port_text(port)))
        else:
            translated[name] = _renamed(port, name)
    return tuple(translated[name] for name in sorted(translated)), omissions


def _partner(port: EndpointPort, remote: Service, main: Service) -> str | None:
    """The main Service's name for a port that it has by another name, or None where it has no such port."""
    numbers = {
        own.port
        for own in remote.spec.ports
        if (own.name, own.protocol) == (port.name, port.protocol)
    }
    partners = [
        own.name for own in main.spec.ports if own.port in numbers and own.protocol == port.protocol
    ]
    return partners[0] if partners else None


def _renamed(port: EndpointPort, name: str) -> EndpointPort:
    """A port under a name, with its protocol hint only where the API server would take it: else the slice is lost."""
    app_protocol = port.app_protocol
    if app_protocol is not None and not _APP_PROTOCOL.fullmatch(app_protocol):
        app_protocol = None
    is_same = name == port.name and app_protocol == port.app_protocol
    return port if is_same else EndpointPort(name, port.protocol, port.port, app_protocol)


def _has_number(port: EndpointPort) -> bool:
    """Whether a port number is of use. The API does not check; one above 65535 makes kube-proxy fail for the node."""
    return port.port is not None and 1 <= port.port <= MAX_PORT


def _port_text(port: EndpointPort) -> str:
    return f"{port.name or '(unnamed)'} {'(no number)' if port.port is None else port.port}/{port.protocol}"


_APP_PROTOCOL: Final = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)


# Endpoints


def mirror_endpoints(
    endpoint_slice: EndpointSlice, topology: Topology
) -> tuple[tuple[Endpoint, ...], list[Omission]]:
    """The endpoints as the main cluster should have them, one an address, sorted by it, and those it cannot have."""
    if (endpoints := endpoint_slice.normal_endpoints) is None:
        return mirror_each_endpoint(endpoint_slice.endpoints, endpoint_slice.address_type, topology)
    return endpoints if topology is Topology.NONE else tuple(
        [_hinted(each, topology) for each in endpoints]
    ), []


def mirror_each_endpoint(
    endpoints: Iterable[Endpoint], address_type: str, topology: Topology
) -> tuple[tuple[Endpoint, ...], list[Omission]]:
    """What `mirror_endpoints` says, one endpoint after the other: for those that are not in normal form already."""
    best: dict[str, Endpoint] = {}
    omissions = []
    for endpoint in endpoints:
        addresses = canonical_addresses(endpoint.addresses, address_type)
        if not addresses:
            omissions.append(
                Omission(Reason.INVALID_ENDPOINTS, ", ".join(endpoint.addresses) or "(no address)")
            )
            continue
        mirrored = _hinted(plain_endpoint(endpoint, addresses), topology)
        rival = best.get(addresses[0])
        if rival is None or _preference(mirrored) > _preference(rival):
            best[addresses[0]] = mirrored
    return tuple(best[address] for address in sorted(best)), omissions


def _hinted(endpoint: Endpoint, topology: Topology) -> Endpoint:
    """An endpoint in the form a mirror has, with the hints that it needs if it is ready."""
    if topology is Topology.NONE or not endpoint.conditions.ready:
        return endpoint
    return Endpoint(
        endpoint.addresses, endpoint.conditions, endpoint.zone, hints_for(endpoint.zone, topology)
    )


def _preference(endpoint: Endpoint) -> tuple[bool, bool, bool, str, tuple[str, ...]]:
    """Orders endpoints of one address: the one that can serve first. Pods move between slices, so both can be seen."""
    conditions = endpoint.conditions
    return (
        bool(conditions.ready),
        bool(conditions.serving),
        not conditions.terminating,
        endpoint.zone or "",
        endpoint.addresses,
    )


def topology_of(main: Service) -> Topology:
    """What the main Service asks of hints: `trafficDistribution` (KEP-4444, KEP-3015), or the older annotation."""
    if main.spec.traffic_distribution == "PreferSameNode":
        return Topology.NODE
    asked = main.spec.traffic_distribution or (
        main.metadata.annotation(ANNOTATION_TOPOLOGY_MODE) in ("Auto", "auto")
    )
    return Topology.ZONE if asked else Topology.NONE


@lru_cache(maxsize=64)
def hints_for(zone: str | None, topology: Topology) -> EndpointHints | None:
    """The hints of a ready endpoint.

    kube-proxy uses hints only where every ready endpoint of a Service has one, so an endpoint of unknown zone, and
    every remote endpoint where the same node is preferred, gets one that matches nothing instead of none.
    """
    if topology is Topology.NONE:
        return None
    known = zone if zone and _LABEL_VALUE.fullmatch(zone) else ZONE_OF_NO_NODE
    return EndpointHints(
        for_zones=(known,), for_nodes=(NODE_OF_NO_CLUSTER,) if topology is Topology.NODE else ()
    )


_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
