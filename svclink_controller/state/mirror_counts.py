"""Counts of the mirrors of each remote cluster in the main cluster."""

from __future__ import annotations

from collections import Counter, defaultdict

from attrs import define, field, frozen

from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import Ours, owner_of, service_of


@frozen
class MirrorCounts:
    """Numbers of mirrored Services, of their endpoints and of their EndpointSlices."""

    services: int = 0
    endpoints: int = 0
    slices: int = 0


@define
class MirrorCounter:
    """Counts the mirrors of every cluster while slices of the main cluster come and go."""

    _slices_of_service: defaultdict[str, Counter[NamespacedName]] = field(
        factory=lambda: defaultdict(Counter)
    )
    _endpoints: Counter[str] = field(factory=Counter)
    _slices: Counter[str] = field(factory=Counter)

    def replace(self, old: EndpointSlice | None, new: EndpointSlice | None) -> set[str]:
        """Count a slice that was added, changed or removed.

        Returns the clusters with other mirrors than before.
        """
        clusters = {self._count(old, -1), self._count(new, 1)}
        return {cluster for cluster in clusters if cluster is not None}

    def of(self, cluster: str) -> MirrorCounts:
        """The numbers of one cluster."""
        services = self._slices_of_service.get(cluster, ())
        return MirrorCounts(len(services), self._endpoints[cluster], self._slices[cluster])

    def _count(self, endpoint_slice: EndpointSlice | None, sign: int) -> str | None:
        """Add (`sign` 1) or subtract (-1) a slice. Returns the cluster of a mirror."""
        if endpoint_slice is None:
            return None
        owner, service = owner_of(endpoint_slice), service_of(endpoint_slice)
        if service is None or not isinstance(owner, Ours):
            return None
        cluster = owner.cluster
        self._endpoints[cluster] += sign * len(endpoint_slice.endpoints)
        self._slices[cluster] += sign
        services = self._slices_of_service[cluster]
        services[service] += sign
        if not services[service]:
            del services[service]
        return cluster
