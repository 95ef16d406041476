"""Whether two clusters have Pods with the same address: traffic would reach the wrong one.

For links that do not restrict addresses, which ranges they could allow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result, shortened
from svclink_core.addressing import IPV4, IPV6, canonical_address
from svclink_core.cidrs import proposed_cidrs
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.explained import counted
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import Foreign, owner_of, service_of
from svclink_core.plans import Decision, Outcome
from svclink_core.snapshot import Snapshot
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM, SERVICE_KUBERNETES

_FIX: Final = (
    "kubectl --context CONTEXT cluster-info dump | grep -m1 cluster-cidr"
    "  # run it for both clusters, then give one a different Pod network"
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
        shares = f"shares {counted(len(addresses), 'Pod address', 'Pod addresses')} with {owner}"
        message = f"{shares}: {examples}"
        yield Result("fail", cluster, "addresses", message, _FIX)
    if not shared:
        yield Result("ok", MAIN_SUBJECT, "addresses", "no two clusters share a Pod address")


def propose_ranges(snapshot: Snapshot, decisions: Iterable[Decision]) -> Iterator[Result]:
    """One line for each link that mirrors any address: what its `allowedCIDRs` could be.

    Args:
        snapshot: All clusters.
        decisions: Those of the plan for the snapshot.
    """
    mirrored: dict[str, set[NamespacedName]] = {}
    for each in decisions:
        if each.outcome is Outcome.MIRRORED:
            mirrored.setdefault(each.cluster, set()).add(each.service)
    known = {name: list(slices) for name, slices in _slices_by_cluster(snapshot)}
    for name, services in sorted(mirrored.items()):
        if snapshot.remotes[name].link.spec.allowed_cidrs:
            continue
        own = [each for each in known[name] if service_of(each) in services]
        others = [each for other, some in known.items() if other != name for each in some]
        ranges = [
            text
            for family in (IPV4, IPV6)
            for text in proposed_cidrs(_of(family, own), _of(family, others), family)
        ]
        message = (
            "not checked: every address is allowed; you could set spec.allowedCIDRs to"
            f" {', '.join(ranges)}"
        )
        patch = f'{{"spec":{{"allowedCIDRs":{json.dumps(ranges, separators=(",", ":"))}}}}}'
        fix = f"kubectl patch clusterlink {name} --type merge -p '{patch}'"
        yield Result("skip", name, "addresses", message, fix)


def _of(family: str, slices: Iterable[EndpointSlice]) -> set[str]:
    """The addresses of one family that can be mirrored, in canonical form."""
    found = {
        canonical_address(address, family)
        for each in slices
        if each.address_type == family
        for address in _addresses([each])
    }
    return {address for address in found if address is not None}


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
