"""The endpoints that the main cluster has of one Service, by the cluster they are in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from attrs import frozen

from svclink_core.discovery_v1 import Endpoint, EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.service_overview import EndpointCounts, counts_of, tally
from svclink_core.service_view import view_of
from svclink_core.snapshot import Snapshot
from svclink_core.standby import EndpointRole, roles_of
from svclink_core.well_known import MAIN

LISTED_ENDPOINTS: Final = 500
"""How many endpoints of one cluster are listed; the others are only counted."""


@frozen
class ListedEndpoint:
    """One endpoint, what kube-proxy does with it, and the slice that it is in."""

    endpoint: Endpoint
    role: EndpointRole
    endpoint_slice: EndpointSlice


@frozen
class ZoneCounts:
    """The endpoints of one zone; None where endpoints name none."""

    zone: str | None
    counts: EndpointCounts


@frozen
class ClusterEndpoints:
    """The endpoints of one cluster.

    Args:
        cluster: The cluster, or `MAIN`.
        counts: All its endpoints.
        zones: The same by zone, sorted.
        listed: The first of them, sorted by address.
    """

    cluster: str
    counts: EndpointCounts
    zones: tuple[ZoneCounts, ...] = ()
    listed: tuple[ListedEndpoint, ...] = ()


def service_endpoints(snapshot: Snapshot, key: NamespacedName) -> tuple[ClusterEndpoints, ...]:
    """The endpoints of a Service in each cluster: first the main cluster's own, then by name.

    Each linked cluster is in it, also one without endpoints.
    """
    view = view_of(snapshot, key)
    names = sorted({*snapshot.remotes, *view.ours, *view.leftovers})
    mirrors = {name: [*view.ours.get(name, ()), *view.leftovers.get(name, ())] for name in names}
    return (
        _of_cluster(MAIN, view.local),
        *[_of_cluster(name, slices) for name, slices in mirrors.items()],
    )


def _of_cluster(cluster: str, slices: Collection[EndpointSlice]) -> ClusterEndpoints:
    found = sorted(_listed(slices), key=lambda each: each.endpoint.addresses)
    zones = sorted({each.endpoint.zone or "" for each in found})
    return ClusterEndpoints(
        cluster,
        counts_of(slices),
        tuple([ZoneCounts(zone or None, _counts(found, zone)) for zone in zones]),
        tuple(found[:LISTED_ENDPOINTS]),
    )


def _listed(slices: Collection[EndpointSlice]) -> Iterator[ListedEndpoint]:
    for each in slices:
        for endpoint, role in zip(each.endpoints, roles_of(each), strict=True):
            yield ListedEndpoint(endpoint, role, each)


def _counts(found: Collection[ListedEndpoint], zone: str) -> EndpointCounts:
    return tally([each.role for each in found if (each.endpoint.zone or "") == zone])
