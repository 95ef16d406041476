"""Who owns an EndpointSlice, which Service it belongs to, and who created a Service.

Ours carries `svclink.cloudpilot.ai/cluster` and, like a slice of the Go release, has
`svclink.cloudpilot.ai` as `endpointslice.kubernetes.io/managed-by`. Only this module reads the
labels that say so. Source: docs/how-to/cleanup-endpointslices.md, "What is deleted".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from attrs import frozen

from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import Additions, NamespacedName, sorted_pairs
from svclink_core.well_known import (
    ANNOTATION_GO_IMPORTED,
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_IMPORTED,
    LABEL_MANAGED_BY,
    LABEL_MCS_SOURCE_CLUSTER,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
    MIRROR_ANNOTATIONS,
    REASONED_LABELS,
)


@frozen
class Ours:
    """svclink mirrors the slice from `cluster`: it is created, updated and deleted as needed."""

    cluster: str


@frozen
class Leftover:
    """The Go release of svclink mirrored the slice from `cluster`: it is deleted once replaced."""

    cluster: str


@frozen
class Unclear:
    """The slice names svclink as its manager but no cluster: the controller never touches it."""


@frozen
class Foreign:
    """The slice is not svclink's: it is never touched."""


Owner: TypeAlias = Ours | Leftover | Unclear | Foreign
UNCLEAR: Final = Unclear()
FOREIGN: Final = Foreign()


def owner_of(endpoint_slice: EndpointSlice) -> Owner:
    """Return the owner of an EndpointSlice in the main cluster.

    The Go release's label takes precedence over all others, because that release also sets
    our managed-by label and takes over our slices if they have the name that it needs.
    """
    managed_by = cluster = None
    for key, value in endpoint_slice.metadata.labels:
        if key == LABEL_GO_CLUSTER:
            return Leftover(value)
        if key == LABEL_CLUSTER:
            cluster = value
        elif key == LABEL_MANAGED_BY:
            managed_by = value
    if managed_by != MANAGED_BY:
        return FOREIGN
    return Ours(cluster) if cluster else UNCLEAR


def is_imported(service: Service) -> bool:
    """Whether svclink created a Service of its main cluster, or its Go release did."""
    return service.metadata.label(LABEL_IMPORTED) == "true" or is_imported_by_go_release(service)


def is_imported_by_go_release(service: Service) -> bool:
    """Whether the Go release of svclink created a Service.

    It copies the labels of the remote Service, and marks its own Services by an annotation only.
    """
    return service.metadata.annotation(ANNOTATION_GO_IMPORTED) == "true"


def additions_of(
    labels: Mapping[str, str], annotations: Mapping[str, str], finalizers: Sequence[str]
) -> Additions | None:
    """What others put on an EndpointSlice with these labels, annotations and finalizers.

    None if there is nothing, or if the slice is not ours, so that it is never updated: the labels
    of all other slices would take much memory.
    """
    if labels.get(LABEL_MANAGED_BY) != MANAGED_BY or LABEL_CLUSTER not in labels:
        return None
    is_all_known = labels.keys() <= REASONED_LABELS and annotations.keys() <= MIRROR_ANNOTATIONS
    if is_all_known and not finalizers:  # Nearly always.
        return None
    return Additions(
        sorted_pairs({key: labels[key] for key in labels.keys() - REASONED_LABELS}),
        sorted_pairs({key: annotations[key] for key in annotations.keys() - MIRROR_ANNOTATIONS}),
        tuple(finalizers),
    )


def cluster_of(endpoint_slice: EndpointSlice) -> str | None:
    """The cluster that svclink or its Go release mirrored a slice from; None if neither did."""
    owner = owner_of(endpoint_slice)
    return owner.cluster if isinstance(owner, Ours | Leftover) else None


def is_ours(endpoint_slice: EndpointSlice) -> bool:
    """Whether svclink mirrors the slice, and may write it."""
    return isinstance(owner_of(endpoint_slice), Ours)


def is_collected_with(endpoint_slice: EndpointSlice, service: NamespacedName) -> bool:
    """Whether the garbage collector removes a slice when this Service of its namespace is gone.

    It does not where a slice has no owner, or one that may still exist: a user who changes the
    Service label of a mirror leaves its owner as it is.
    """
    owners = endpoint_slice.metadata.owner_references
    return bool(owners) and all(owner.is_service and owner.name == service.name for owner in owners)


def is_mirror(endpoint_slice: EndpointSlice) -> bool:
    """Whether svclink, its Go release or an MCS controller mirrored a slice into its cluster.

    Mirroring it again would send traffic on a detour, and two clusters that link each other would
    mirror each other's mirrors forever. A cluster label alone is enough for that (KEP-1645).
    """
    return not isinstance(owner_of(endpoint_slice), Foreign) or any(
        key in _SOURCE_CLUSTER_LABELS for key, _ in endpoint_slice.metadata.labels
    )


_SOURCE_CLUSTER_LABELS: Final = frozenset({LABEL_CLUSTER, LABEL_MCS_SOURCE_CLUSTER})


def service_of(endpoint_slice: EndpointSlice) -> NamespacedName | None:
    """Return the Service that a slice belongs to according to its label, as in kube-proxy.

    If one of our slices lost the label, it belongs to the Service in its owner reference or,
    without one, to a Service with an empty name. No cluster has such a Service, so the slice is
    found and removed. Any other slice without the label belongs to no Service.
    """
    namespace = endpoint_slice.metadata.namespace
    if name := endpoint_slice.metadata.label(LABEL_SERVICE_NAME):
        return NamespacedName(namespace, name)
    if not is_ours(endpoint_slice):
        return None
    owners = (owner.name for owner in endpoint_slice.metadata.owner_references if owner.is_service)
    return NamespacedName(namespace, next(owners, ""))
