"""What only shows when all clusters are looked at together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result, some
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.mirroring import Finding
from svclink_core.planning import Plan
from svclink_core.snapshot import Snapshot
from svclink_core.well_known import (
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_MANAGED_BY,
    MANAGED_BY,
    NAMESPACE_KUBE_SYSTEM,
    SERVICE_KUBERNETES,
    Reason,
)


def check_across(snapshot: Snapshot, plan: Plan) -> list[Result]:
    """Addresses, what could not be mirrored, and what is left of earlier times."""
    return [
        *_check_addresses(snapshot),
        *_check_findings(plan.findings),
        *_check_leftovers(snapshot),
    ]


def _check_addresses(snapshot: Snapshot) -> Iterator[Result]:
    """Whether a Pod of one cluster has the address of a Pod of another: then traffic reaches the wrong one."""
    owners: dict[str, str] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for cluster, slices in _slices_by_cluster(snapshot):
        for address in {
            address
            for endpoint_slice in slices
            for each in endpoint_slice.endpoints
            for address in each.addresses
        }:
            owner = owners.setdefault(address, cluster)
            if owner != cluster:
                shared.setdefault((owner, cluster), []).append(address)
    for (one, other), addresses in sorted(shared.items()):
        message = f"{len(addresses)} are also those of Pods of {one}: {some(sorted(addresses))}"
        mend = "kubectl cluster-info dump | grep -m1 cluster-cidr  # in both; give one another Pod network"
        yield Result("fail", other, "addresses", message, mend)
    if not shared:
        yield Result("ok", MAIN_SUBJECT, "addresses", "no Pod address is in two clusters")


def _slices_by_cluster(snapshot: Snapshot) -> Iterator[tuple[str, list[EndpointSlice]]]:
    local = [
        endpoint_slice
        for endpoint_slice in snapshot.main.names.values()
        if not _is_mirrored(endpoint_slice)
    ]
    yield (
        MAIN_SUBJECT,
        [endpoint_slice for endpoint_slice in local if _may_be_mirrored(endpoint_slice)],
    )
    for name, remote in sorted(snapshot.remotes.items()):
        yield (
            name,
            [
                endpoint_slice
                for slices in remote.endpoint_slices.values()
                for endpoint_slice in slices
                if _may_be_mirrored(endpoint_slice)
            ],
        )


def _may_be_mirrored(endpoint_slice: EndpointSlice) -> bool:
    """Not those of API servers, nodes and the like, which may be the same everywhere."""
    service = endpoint_slice.service
    return (
        service is not None
        and service.name != SERVICE_KUBERNETES
        and service.namespace != NAMESPACE_KUBE_SYSTEM
    )


def _is_mirrored(endpoint_slice: EndpointSlice) -> bool:
    return endpoint_slice.is_ours or endpoint_slice.metadata.label(LABEL_GO_CLUSTER) is not None


def _check_findings(findings: Iterable[Finding]) -> Iterator[Result]:
    """What the plan has to leave out, one line a reason and cluster."""
    groups: dict[tuple[str, Reason], list[str]] = {}
    for finding in findings:
        groups.setdefault((finding.cluster, finding.reason), []).append(str(finding.service))
    for (cluster, reason), services in sorted(
        groups.items(), key=lambda group: (group[0][0], group[0][1].code)
    ):
        message = f"{reason.code}: {reason.sentence}: {len(services)} Service(s): {some(services)}"
        yield Result("warn", cluster, "services", message, f"svclink explain {services[0]}")
    if not groups:
        yield Result("ok", MAIN_SUBJECT, "services", "every endpoint and port can be mirrored")


def _check_leftovers(snapshot: Snapshot) -> Iterator[Result]:
    """EndpointSlices that nobody looks after: of the Go release, and of links that are gone."""
    groups: dict[tuple[str, str], list[str]] = {}
    for key, endpoint_slice in sorted(snapshot.main.names.items()):
        if (group := _abandoned(endpoint_slice, snapshot)) is not None:
            groups.setdefault(group, []).append(str(key))
    for (what, selector), names in sorted(groups.items()):
        mend = f"kubectl delete endpointslices -A -l '{selector}'"
        yield Result(
            "warn",
            MAIN_SUBJECT,
            "leftovers",
            f"{len(names)} EndpointSlice(s) of {what}: {some(names)}",
            mend,
        )
    if not groups:
        yield Result("ok", MAIN_SUBJECT, "leftovers", "there are none")


def _abandoned(endpoint_slice: EndpointSlice, snapshot: Snapshot) -> tuple[str, str] | None:
    """Whose slice it was, and the label selector of all of these; None where it is looked after."""
    if endpoint_slice.metadata.label(LABEL_GO_CLUSTER) is not None:
        return "the Go release", LABEL_GO_CLUSTER
    if not endpoint_slice.is_ours or endpoint_slice.cluster in snapshot.remotes:
        return None
    if endpoint_slice.cluster is None:
        return "no cluster", f"{LABEL_MANAGED_BY}={MANAGED_BY},!{LABEL_CLUSTER}"
    return (
        f"cluster {endpoint_slice.cluster}, which has no ClusterLink",
        f"{LABEL_CLUSTER}={endpoint_slice.cluster}",
    )
