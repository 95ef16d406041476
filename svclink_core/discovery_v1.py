"""Kubernetes discovery.k8s.io/v1: EndpointSlice, as far as the core reasons about it."""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import Final

from attrs import frozen

from svclink_core.addressing import are_canonical
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)


@frozen
class EndpointConditions:
    """State of an endpoint. None means: ready true, serving as ready, terminating false (KEP-1672)."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


_TRISTATE: Final = (None, False, True)

CONDITIONS: Final = {
    each: EndpointConditions(*each) for each in product(_TRISTATE, _TRISTATE, _TRISTATE)
}
"""Every combination of conditions: a million endpoints share 27 objects."""

WRITTEN_OUT: Final = {
    (ready, serving, terminating): CONDITIONS[
        ready is not False, (ready is not False) if serving is None else serving, bool(terminating)
    ]
    for ready, serving, terminating in CONDITIONS
}
"""Conditions written out: nil ready is true, nil serving is as ready, nil terminating is false."""

_READY: Final = CONDITIONS[True, True, False]


@frozen
class EndpointHints:
    """Zones and nodes whose traffic should prefer the endpoint (KEP-4444)."""

    for_zones: tuple[str, ...] = ()
    for_nodes: tuple[str, ...] = ()


@frozen
class ObjectReference:
    """Names the object behind an endpoint, mostly a Pod."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


@frozen
class Endpoint:
    """One backend: 1 to 100 addresses of one family, of which kube-proxy uses the first."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions = EndpointConditions()
    zone: str | None = None
    hints: EndpointHints | None = None
    hostname: str | None = None
    node_name: str | None = None
    target_ref: ObjectReference | None = None


@frozen
class EndpointPort:
    """A port all endpoints of a slice serve. `port` None or outside 1..65535 passes the API but cannot be used."""

    name: str = ""
    protocol: str = "TCP"
    port: int | None = None
    app_protocol: str | None = None


@frozen
class EndpointSlice:
    """Up to 1,000 endpoints of one Service that share address type and ports."""

    metadata: ObjectMeta
    address_type: str
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()

    @property
    def service(self) -> NamespacedName | None:
        """The Service the slice belongs to: its label says so, as for kube-proxy.

        One of ours whose label was lost belongs to the Service that owns it, else to the Service without a name, which
        no cluster has: so it is found and removed. A slice of somebody else without the label belongs to none.
        """
        if name := self.metadata.label(LABEL_SERVICE_NAME):
            return NamespacedName(self.metadata.namespace, name)
        if not self.is_ours:
            return None
        owners = (owner.name for owner in self.metadata.owner_references if owner.kind == "Service")
        return NamespacedName(self.metadata.namespace, next(owners, ""))

    @cached_property
    def normal_endpoints(self) -> tuple[Endpoint, ...] | None:
        """The endpoints in the form a mirror has, sorted by address; None where each has to be looked at for that.

        In that form an endpoint has one canonical address that no other has, conditions written out, and nothing else
        but a zone. Where all of them have it, they are not copied. Nearly every slice is so, and looking took most of
        the time of a plan: so it looks at whole columns, and once only.
        """
        try:
            addresses = [only for each in self.endpoints for (only,) in (each.addresses,)]
        except ValueError:
            return None
        by_address = dict(zip(addresses, self.endpoints, strict=True))
        if len(by_address) < len(addresses) or not are_canonical(addresses, self.address_type):
            return None
        order = sorted(addresses)
        endpoints = (
            self.endpoints
            if order == addresses
            else tuple([by_address[address] for address in order])
        )
        if _are_plain(endpoints):
            return endpoints
        return tuple([plain_endpoint(each, each.addresses) for each in endpoints])

    @cached_property
    def known_equals(self) -> list[tuple[Endpoint, ...]]:
        """Other endpoints that were once found equal to these: whoever compares again need not look at each."""
        return []

    @property
    def is_ours(self) -> bool:
        """Whether svclink manages the slice. No other slice is ever changed or deleted."""
        return self.metadata.label(LABEL_MANAGED_BY) == MANAGED_BY

    @property
    def go_cluster(self) -> str | None:
        """The ClusterLink that the Go release of svclink mirrored the slice from, if it did."""
        return self.metadata.label(LABEL_GO_CLUSTER)

    @property
    def cluster(self) -> str | None:
        """The ClusterLink a mirrored slice comes from."""
        return self.metadata.label(LABEL_CLUSTER)

    @property
    def source(self) -> str | None:
        """The remote slice a mirrored slice comes from, with `/N` behind it for the N-th further part of a split."""
        return self.metadata.annotation(ANNOTATION_SOURCE_SLICE)


def plain_endpoint(endpoint: Endpoint, addresses: tuple[str, ...]) -> Endpoint:
    """Addresses, conditions and zone; node, hostname and Pod are names of another cluster and would match namesakes."""
    given = endpoint.conditions
    conditions = WRITTEN_OUT[given.ready, given.serving, given.terminating]
    return Endpoint(addresses, conditions, endpoint.zone or None)


def _are_plain(endpoints: tuple[Endpoint, ...]) -> bool:
    """Whether all endpoints have all conditions, and nothing besides but addresses and a zone."""
    rare = [each.conditions for each in endpoints if each.conditions is not _READY]
    rich = [
        each
        for each in endpoints
        if each.hints is not None
        or each.hostname is not None
        or each.node_name is not None
        or each.target_ref is not None
    ]
    written_out = all(None not in (each.ready, each.serving, each.terminating) for each in rare)
    return written_out and not rich and "" not in [each.zone for each in endpoints]
