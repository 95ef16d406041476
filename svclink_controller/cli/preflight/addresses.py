"""Whether two clusters have Pods with the same address: traffic would reach the wrong one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result, shortened
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.ownership import Foreign, owner_of, service_of
from svclink_core.snapshot import Snapshot
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM, SERVICE_KUBERNETES

_FIX: Final = (
    "kubectl --context CONTEXT cluster-info dump | grep -m1 cluster-cidr"
    "  # of both; give one another Pod network"
)


def check_addresses(snapshot: Snapshot) -> Iterator[Result]:
    """One line for each pair of clusters that share addresses, or one that says there is none."""
    owners: dict[str, str] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for cluster, slices in _slices_by_cluster(snapshot):
        for address in _addresses(slices):
            owner = owners.setdefault(address, cluster)
            if owner != cluster:
                shared.setdefault((owner, cluster), []).append(address)
    for (owner, cluster), addresses in sorted(shared.items()):
        examples = shortened(sorted(addresses))
        message = f"shares {len(addresses)} Pod address(es) with {owner}: {examples}"
        yield Result("fail", cluster, "addresses", message, _FIX)
    if not shared:
        yield Result("ok", MAIN_SUBJECT, "addresses", "no two clusters share a Pod address")


def _slices_by_cluster(snapshot: Snapshot) -> Iterator[tuple[str, Iterable[EndpointSlice]]]:
    yield MAIN_SUBJECT, filter(_is_local, snapshot.main.names.values())
    for name, remote in sorted(snapshot.remotes.items()):
        yield name, (each for slices in remote.endpoint_slices.values() for each in slices)


def _addresses(slices: Iterable[EndpointSlice]) -> set[str]:
    return {
        address
        for endpoint_slice in slices
        if _may_be_mirrored(endpoint_slice)
        for endpoint in endpoint_slice.endpoints
        for address in endpoint.addresses
    }


def _is_local(endpoint_slice: EndpointSlice) -> bool:
    return isinstance(owner_of(endpoint_slice), Foreign)


def _may_be_mirrored(endpoint_slice: EndpointSlice) -> bool:
    """Leaves out addresses of API servers and nodes, which may be the same in every cluster."""
    service = service_of(endpoint_slice)
    return (
        service is not None
        and service.name != SERVICE_KUBERNETES
        and service.namespace != NAMESPACE_KUBE_SYSTEM
    )
