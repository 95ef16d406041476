"""Addresses that two clusters have for one Service: at most one of the two can be right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from svclink_core.discovery_v1 import Endpoint, EndpointSlice
from svclink_core.well_known import MAIN

AreDistinct: TypeAlias = Callable[[Sequence[tuple[Endpoint, ...]]], bool]
"""Finds repeated addresses: `are_distinct`, or a faster function with the same results."""


def are_distinct(groups: Sequence[tuple[Endpoint, ...]]) -> bool:
    """Whether every endpoint of any group has an address, and no two have the same first one."""
    try:
        addresses = {endpoint.addresses[0] for endpoints in groups for endpoint in endpoints}
    except IndexError:  # The API server accepts no such endpoint, but a file may hold one.
        return False
    return len(addresses) == sum(map(len, groups))


def conflicts(
    slices: Mapping[str, Collection[EndpointSlice]], check_distinct: AreDistinct = are_distinct
) -> dict[str, tuple[str, ...]]:
    """The addresses that a cluster shares with another one, by cluster, each with the other's name.

    Pod networks of linked clusters must not overlap: where they do, traffic for one Pod reaches
    another. Only the first address of an endpoint counts, as for kube-proxy.

    >>> from svclink_core import Endpoint, EndpointSlice, ObjectMeta
    >>> endpoint_slice = EndpointSlice(ObjectMeta("web"), "IPv4", (Endpoint(("10.0.0.1",)),))
    >>> conflicts({"cluster-a": [endpoint_slice], "cluster-b": [endpoint_slice]})
    {'cluster-a': ('10.0.0.1 (cluster-b)',), 'cluster-b': ('10.0.0.1 (cluster-a)',)}

    Args:
        slices: The slices of one Service by cluster; `MAIN` for those of the main cluster's Pods.
        check_distinct: Whether no address is repeated, which is nearly always so.
    """
    if sum(map(bool, slices.values())) < 2:
        return {}
    if check_distinct([each.endpoints for some in slices.values() for each in some]):
        return {}
    claims = {
        cluster: {
            address
            for each in some
            for endpoint in each.endpoints
            for address in endpoint.addresses[:1]
        }
        for cluster, some in slices.items()
    }
    found = {cluster: _shared(cluster, claims) for cluster in claims if cluster != MAIN}
    return {cluster: shared for cluster, shared in found.items() if shared}


def _shared(cluster: str, claims: Mapping[str, set[str]]) -> tuple[str, ...]:
    return tuple(
        sorted(
            f"{address} ({other or 'the main cluster'})"
            for other, addresses in claims.items()
            if other != cluster
            for address in addresses & claims[cluster]
        )
    )
