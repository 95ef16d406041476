"""Which topology hints mirrored endpoints get.

Sources: docs/reference/consumers.md, "What they see"; KEP-4444, KEP-3015.
"""

from __future__ import annotations

from enum import Enum

from attrs import evolve

from svclink_core.api_rules import is_label_value
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import Endpoint, EndpointHints, EndpointSlice
from svclink_core.well_known import (
    ANNOTATION_TOPOLOGY_HINTS,
    ANNOTATION_TOPOLOGY_MODE,
    NODE_OF_NO_CLUSTER,
    ZONE_OF_NO_NODE,
)


class Topology(Enum):
    """Which hints the main Service asks for."""

    NONE = "None"
    ZONE = "Zone"
    NODE = "Node"


def topology_of(main: Service) -> Topology:
    """Which hints the main Service asks for (KEP-4444, KEP-3015, or the older annotations).

    An annotation that asks for hints overrules `trafficDistribution`, and the oldest annotation
    overrules the newer one. Source: hintsEnabled in k8s.io/endpointslice.
    """
    mode = main.metadata.annotation(ANNOTATION_TOPOLOGY_HINTS)
    if mode is None:
        mode = main.metadata.annotation(ANNOTATION_TOPOLOGY_MODE)
    if mode in ("Auto", "auto"):
        return Topology.ZONE
    if main.spec.traffic_distribution == "PreferSameNode":
        return Topology.NODE
    return Topology.ZONE if main.spec.traffic_distribution else Topology.NONE


def hints_for(zone: str | None, topology: Topology) -> EndpointHints | None:
    """The hints of a ready endpoint.

    kube-proxy uses hints only if every ready endpoint of a Service has one. So an endpoint of
    unknown zone, and every remote endpoint where the same node is preferred, gets a hint that
    matches no node rather than none.
    """
    if topology is Topology.NONE:
        return None
    known_zone = zone if zone and is_label_value(zone) else ZONE_OF_NO_NODE
    nodes = (NODE_OF_NO_CLUSTER,) if topology is Topology.NODE else ()
    return EndpointHints(for_zones=(known_zone,), for_nodes=nodes)


def with_current_hints(endpoint_slice: EndpointSlice, main: Service) -> EndpointSlice:
    """The mirror with the hints that the main Service asks for now, and otherwise unchanged.

    An endpoint whose condition `ready` was removed counts as ready, as for kube-proxy.
    """
    topology, endpoints = topology_of(main), endpoint_slice.endpoints
    hints = {zone: hints_for(zone, topology) for zone in {each.zone for each in endpoints}}
    wanted = [
        hints[each.zone] if each.conditions.ready is not False else None for each in endpoints
    ]
    if wanted == [each.hints for each in endpoints]:
        return endpoint_slice
    changed = [evolve(each, hints=hint) for each, hint in zip(endpoints, wanted, strict=True)]
    return evolve(endpoint_slice, endpoints=tuple(changed))


def with_hints(endpoints: tuple[Endpoint, ...], topology: Topology) -> tuple[Endpoint, ...]:
    """The endpoints with hints for those that are ready. Endpoints of one zone share them."""
    if topology is Topology.NONE:
        return endpoints
    hints = {zone: hints_for(zone, topology) for zone in {each.zone for each in endpoints}}
    return tuple(
        [
            Endpoint(each.addresses, each.conditions, each.zone, hints[each.zone])
            if each.conditions.ready
            else each
            for each in endpoints
        ]
    )
