"""Ports of one Service with other target ports in other clusters, which OVN-Kubernetes cannot use.

kube-proxy looks at each endpoint with the port of its own EndpointSlice, so that target ports may
differ. OVN-Kubernetes, which OpenShift uses, has one target port for each port of a Service: by its
version it ignores the endpoints with another one, or sends their traffic to a wrong port. A plan
cannot know which of the two a cluster uses, so these findings are no part of it.

Source: GetEndpointsForService in ovn-org/ovn-kubernetes go-controller/pkg/util.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from svclink_core.diffing import Create, Delete, Update
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.mirroring import Finding
from svclink_core.ownership import cluster_of, service_of
from svclink_core.plans import Plan
from svclink_core.snapshot import Snapshot
from svclink_core.well_known import MAIN, Reason

_Port: TypeAlias = tuple[str, str]
"""Name and protocol."""


def target_port_findings(found: Snapshot, planned: Plan) -> tuple[Finding, ...]:
    """The Services and clusters with target ports that others do not have, after a plan.

    The main cluster's Pods count first. Where it has none, the lowest number does, as for
    OVN-Kubernetes.

    Args:
        found: What is known.
        planned: The plan for it, or for one of its Services.
    """
    services = {decision.service for decision in planned.decisions}
    groups: dict[NamespacedName, dict[str, list[EndpointSlice]]] = {}
    for each in _slices_after(found, planned):
        service = service_of(each)
        if service in services:
            cluster = cluster_of(each) or MAIN
            groups.setdefault(service, {}).setdefault(cluster, []).append(each)
    return tuple(
        finding for service in sorted(groups) for finding in _findings(service, groups[service])
    )


def _slices_after(found: Snapshot, planned: Plan) -> Iterable[EndpointSlice]:
    """The EndpointSlices of the main cluster once a plan was applied."""
    slices = dict(found.main.names)
    for change in planned.changes:
        if isinstance(change, Delete):
            slices.pop(change.key, None)
        elif isinstance(change, Create | Update):
            slices[change.key] = change.endpoint_slice
    return slices.values()


def _findings(
    service: NamespacedName, slices: Mapping[str, Iterable[EndpointSlice]]
) -> Iterator[Finding]:
    numbers = {cluster: _numbers(some) for cluster, some in slices.items()}
    for cluster in sorted(numbers.keys() - {MAIN}):
        details = [
            f"{name or '(unnamed)'}/{protocol}: {number} instead of {wanted}"
            for (name, protocol), found in sorted(numbers[cluster].items())
            for wanted in [_wanted((name, protocol), numbers)]
            for number in sorted(found - {wanted})
        ]
        if details:
            yield Finding(service, cluster, Reason.TARGET_PORTS_DIFFER, tuple(details))


def _numbers(slices: Iterable[EndpointSlice]) -> dict[_Port, set[int]]:
    """The target ports of EndpointSlices that have endpoints."""
    found: dict[_Port, set[int]] = {}
    for each in slices:
        for port in each.ports:
            if port.port is not None and each.endpoints:
                found.setdefault((port.name, port.protocol), set()).add(port.port)
    return found


def _wanted(port: _Port, numbers: Mapping[str, Mapping[_Port, set[int]]]) -> int:
    """The target port that all clusters should have."""
    own = numbers.get(MAIN, {}).get(port, set())
    return min(own or {number for some in numbers.values() for number in some.get(port, set())})
