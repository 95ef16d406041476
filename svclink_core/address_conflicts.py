"""Addresses that two clusters claim for one Service: at most one of the two can be right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from svclink_core.discovery_v1 import Endpoint, EndpointSlice
from svclink_core.well_known import MAIN


def conflicts(
    slices: Mapping[str, Collection[EndpointSlice]], known: list[tuple[object, ...]]
) -> dict[str, tuple[str, ...]]:
    """The addresses a cluster shares with another one, by cluster, each with the name of the other.

    Pod networks of linked clusters must not overlap: where they do, traffic for one Pod reaches another. Only the first
    address of an endpoint counts, as for kube-proxy.

    >>> from svclink_core import Endpoint, EndpointSlice, ObjectMeta
    >>> endpoint_slice = EndpointSlice(ObjectMeta("web"), "IPv4", (Endpoint(("10.0.0.1",)),))
    >>> conflicts({"cluster-a": [endpoint_slice], "cluster-b": [endpoint_slice]}, known=[])
    {'cluster-a': ('10.0.0.1 (cluster-b)',), 'cluster-b': ('10.0.0.1 (cluster-a)',)}

    Args:
        slices: The slices of one Service by cluster; `MAIN` for those of the main cluster's own Pods.
        known: The endpoints that were found to share no address when this was last asked (`Service.known_distinct`).
            Changed to those of now, or to none.
    """
    if sum(map(bool, slices.values())) < 2:
        known.clear()
        return {}
    if _are_distinct(
        [
            endpoint_slice.endpoints
            for endpoint_slices in slices.values()
            for endpoint_slice in endpoint_slices
        ],
        known,
    ):
        return {}
    claims = {
        cluster: {
            endpoint.addresses[0]
            for endpoint_slice in endpoint_slices
            for endpoint in endpoint_slice.endpoints
        }
        for cluster, endpoint_slices in slices.items()
    }
    found = {cluster: _shared(cluster, claims) for cluster in claims if cluster != MAIN}
    return {cluster: shared for cluster, shared in found.items() if shared}


def _are_distinct(groups: Sequence[tuple[Endpoint, ...]], known: list[tuple[object, ...]]) -> bool:
    """Whether no address is there twice, as nearly always: then one set is enough, and once.

    Endpoints with hints are made anew for every plan, and to remember them would only take memory.
    """
    if len(groups) == len(known) and all(
        one is other for one, other in zip(groups, known, strict=True)
    ):
        return True
    addresses = {endpoint.addresses[0] for endpoints in groups for endpoint in endpoints}
    is_distinct = len(addresses) == sum(map(len, groups))
    known.clear()
    if is_distinct and not any(each.hints for endpoints in groups for each in endpoints[:1]):
        known += groups
    return is_distinct


def _shared(cluster: str, claims: Mapping[str, set[str]]) -> tuple[str, ...]:
    return tuple(
        sorted(
            f"{address} ({other or 'the main cluster'})"
            for other, addresses in claims.items()
            if other != cluster
            for address in addresses & claims[cluster]
        )
    )
