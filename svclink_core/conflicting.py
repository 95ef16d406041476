"""Addresses that two clusters claim for one Service: at most one of the two can be right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from svclink_core.discovery_v1 import EndpointSlice

LOCAL: Final = ""
"""The main cluster itself, where the name of a remote one could stand."""


def conflicts(slices: Mapping[str, Collection[EndpointSlice]]) -> dict[str, tuple[str, ...]]:
    """The addresses a cluster shares with another one, by cluster, each with the name of the other.

    Pod networks of linked clusters must not overlap: where they do, traffic for one Pod reaches another. Only the first
    address of an endpoint counts, as for kube-proxy.

    >>> from svclink_core import Endpoint, EndpointSlice, ObjectMeta
    >>> piece = EndpointSlice(ObjectMeta("web"), "IPv4", (Endpoint(("10.0.0.1",)),))
    >>> conflicts({"cluster-a": [piece], "cluster-b": [piece]})
    {'cluster-a': ('10.0.0.1 (cluster-b)',), 'cluster-b': ('10.0.0.1 (cluster-a)',)}

    Args:
        slices: The slices of one Service by cluster; `LOCAL` for those of the main cluster's own Pods.
    """
    if sum(map(bool, slices.values())) < 2:
        return {}
    everything = [each for pieces in slices.values() for piece in pieces for each in _addresses(piece)]
    if len(set(everything)) == len(everything):  # As nearly always: then one set is enough.
        return {}
    claims = {cluster: {each for piece in pieces for each in _addresses(piece)} for cluster, pieces in slices.items()}
    found = {cluster: _shared(cluster, claims) for cluster in claims if cluster != LOCAL}
    return {cluster: shared for cluster, shared in found.items() if shared}


def _addresses(piece: EndpointSlice) -> list[str]:
    return [endpoint.addresses[0] for endpoint in piece.endpoints]


def _shared(cluster: str, claims: Mapping[str, set[str]]) -> tuple[str, ...]:
    return tuple(
        sorted(
            f"{address} ({other or 'the main cluster'})"
            for other, addresses in claims.items()
            if other != cluster
            for address in addresses & claims[cluster]
        )
    )
