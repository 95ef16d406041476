"""Counts of the mirrors of each remote cluster in the main cluster."""

from __future__ import annotations

from collections import Counter, defaultdict

from attrs import define, field, frozen

from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import Ours, owner_of, service_of


@frozen
class MirrorCounts:
    """Numbers of mirrored Services, of their endpoints and of their EndpointSlices.

    Args:
        services: How many Services have mirrors.
        endpoints: How many endpoints these have.
        slices: How many EndpointSlices.
        in_use: How many of the Services have a mirror with a ready endpoint.
    """

    services: int = 0
    endpoints: int = 0
    slices: int = 0
    in_use: int = 0


@define
class MirrorCounter:
    """Counts the mirrors of every cluster while slices of the main cluster come and go."""

    _slices_of_service: defaultdict[str, Counter[NamespacedName]] = field(
        factory=lambda: defaultdict(Counter)
    )
    _used_slices_of_service: defaultdict[str, Counter[NamespacedName]] = field(
        factory=lambda: defaultdict(Counter)
    )
    _endpoints: Counter[str] = field(factory=Counter)
    _slices: Counter[str] = field(factory=Counter)

    def replace(self, old: EndpointSlice | None, new: EndpointSlice | None) -> set[str]:
        """Count a slice that was added, changed or removed.

        Returns the clusters whose numbers may have changed.
        """
        before, after = _Counted.of(old), _Counted.of(new)
        if before == after:  # Most changes replace some endpoints by as many others.
            return set()
        for counted, sign in ((before, -1), (after, 1)):
            if counted is not None:
                self._add(counted, sign)
        return {counted.cluster for counted in (before, after) if counted is not None}

    def of(self, cluster: str) -> MirrorCounts:
        """The numbers of one cluster."""
        return MirrorCounts(
            services=len(self._slices_of_service.get(cluster, ())),
            endpoints=self._endpoints[cluster],
            slices=self._slices[cluster],
            in_use=len(self._used_slices_of_service.get(cluster, ())),
        )

    def _add(self, mirror: _Counted, sign: int) -> None:
        """Add (`sign` 1) or subtract (-1) a mirror."""
        self._endpoints[mirror.cluster] += sign * mirror.endpoints
        self._slices[mirror.cluster] += sign
        counters = [self._slices_of_service]
        if mirror.is_used:
            counters.append(self._used_slices_of_service)
        for counter in counters:
            services = counter[mirror.cluster]
            services[mirror.service] += sign
            if not services[mirror.service]:
                del services[mirror.service]


@frozen
class _Counted:
    """What counts of one mirror."""

    cluster: str
    service: NamespacedName
    endpoints: int
    is_used: bool

    @classmethod
    def of(cls, endpoint_slice: EndpointSlice | None) -> _Counted | None:
        """What counts of a slice, None if it is not a mirror."""
        if endpoint_slice is None:
            return None
        owner, service = owner_of(endpoint_slice), service_of(endpoint_slice)
        if service is None or not isinstance(owner, Ours):
            return None
        endpoints = endpoint_slice.endpoints
        is_used = any(each.conditions.ready is not False for each in endpoints)
        return cls(owner.cluster, service, len(endpoints), is_used)
