"""What is known of one cluster: its objects by key, and how much of it the main cluster has."""

from __future__ import annotations

from collections import Counter, defaultdict

from attrs import define, field, frozen

from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName


@define
class ClusterObjects:
    """Services and EndpointSlices of one cluster, and what exists but could not be understood."""

    services: dict[NamespacedName, Service] = field(factory=dict)
    slices: dict[NamespacedName, EndpointSlice] = field(factory=dict)
    slices_by_service: dict[NamespacedName, tuple[EndpointSlice, ...]] = field(factory=dict)
    undecodable: dict[tuple[type, NamespacedName], NamespacedName] = field(factory=dict)

    def put_slice(self, key: NamespacedName, new: EndpointSlice | None) -> EndpointSlice | None:
        """Set a slice or (None) remove it; returns what was there."""
        old = self.slices.pop(key, None)
        if old is not None and (service := old.service) is not None:
            others = tuple(
                each
                for each in self.slices_by_service.pop(service)
                if each.metadata.name != key.name
            )
            if others:
                self.slices_by_service[service] = others
        if new is not None:
            self.slices[key] = new
            if (service := new.service) is not None:
                self.slices_by_service[service] = (*self.slices_by_service.get(service, ()), new)
        return old


@frozen
class MirrorCounts:
    """How much the main cluster has of one remote cluster."""

    services: int = 0
    endpoints: int = 0
    slices: int = 0


@define
class Tally:
    """Counts mirrored slices by cluster as they come and go."""

    services: defaultdict[str, Counter[NamespacedName]] = field(
        factory=lambda: defaultdict(Counter)
    )
    endpoints: Counter[str] = field(factory=Counter)
    slices: Counter[str] = field(factory=Counter)

    def count(self, endpoint_slice: EndpointSlice | None, sign: int) -> None:
        """Add (`sign` 1) or subtract (-1) a slice, if it is a mirrored one."""
        if endpoint_slice is None or not endpoint_slice.is_ours:
            return
        cluster, service = endpoint_slice.cluster, endpoint_slice.service
        if cluster is None or service is None:
            return
        self.endpoints[cluster] += sign * len(endpoint_slice.endpoints)
        self.slices[cluster] += sign
        services = self.services[cluster]
        services[service] += sign
        if not services[service]:
            del services[service]

    def of(self, cluster: str) -> MirrorCounts:
        """How much there is of a cluster."""
        return MirrorCounts(
            len(self.services.get(cluster, ())), self.endpoints[cluster], self.slices[cluster]
        )
