"""Desired against observed EndpointSlices: what to create, update and delete, each with its precondition and reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import frozen

from svclink_core.discovery_v1 import Endpoint, EndpointSlice
from svclink_core.errors import ProgrammerError
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.naming import Names
from svclink_core.well_known import LABEL_SERVICE_NAME, Reason


@frozen
class Precondition:
    """The very object, in the very version, a change was decided on. The API server refuses the change otherwise."""

    uid: str
    resource_version: str


@frozen
class Create:
    """Make an EndpointSlice that does not exist."""

    endpoint_slice: EndpointSlice
    reason: Reason

    @property
    def key(self) -> NamespacedName:
        """Namespace and name of the EndpointSlice."""
        return self.endpoint_slice.metadata.key

    @property
    def cluster(self) -> str | None:
        """The cluster it is mirrored from."""
        return self.endpoint_slice.cluster


@frozen
class Update:
    """Replace the content of an EndpointSlice."""

    endpoint_slice: EndpointSlice
    precondition: Precondition
    reason: Reason

    @property
    def key(self) -> NamespacedName:
        """Namespace and name of the EndpointSlice."""
        return self.endpoint_slice.metadata.key

    @property
    def cluster(self) -> str | None:
        """The cluster it is mirrored from."""
        return self.endpoint_slice.cluster


@frozen
class Delete:
    """Remove an EndpointSlice; `reason` is the proof that it may go."""

    endpoint_slice: EndpointSlice
    precondition: Precondition
    reason: Reason

    @property
    def key(self) -> NamespacedName:
        """Namespace and name of the EndpointSlice."""
        return self.endpoint_slice.metadata.key

    @property
    def cluster(self) -> str | None:
        """The cluster it was mirrored from, by svclink or by its Go release."""
        return self.endpoint_slice.cluster or self.endpoint_slice.go_cluster


SliceChange: TypeAlias = Create | Update | Delete


def diff(
    service: NamespacedName,
    cluster: str,
    desired: Iterable[EndpointSlice],
    observed: Iterable[EndpointSlice],
    names: Names,
) -> list[SliceChange]:
    """The changes that turn the observed slices of one Service and cluster into the desired ones.

    Desired slices have no name; one is given (`names.give`) when a slice is created, and kept from then on. The two are
    matched by source, address type and Service, never by name.
    """
    keepers, duplicates = _by_identity(service, observed)
    changes: list[SliceChange] = []
    for wanted in sorted(
        desired,
        key=lambda endpoint_slice: (endpoint_slice.address_type, endpoint_slice.source or ""),
    ):
        found = keepers.pop(_identity(wanted), None)
        if found is None:
            name = names.give(service, cluster, wanted.source or "")
            changes.append(Create(_with_name(wanted, name), Reason.SOURCE_ADDED))
        elif (update := update_to(wanted, found)) is not None:
            changes.append(update)
    changes += [delete(endpoint_slice, Reason.SOURCE_GONE) for endpoint_slice in keepers.values()]
    changes += [delete(endpoint_slice, Reason.DUPLICATE) for endpoint_slice in duplicates]
    return changes


def update_to(wanted: EndpointSlice, observed: EndpointSlice) -> Update | None:
    """The update that gives an observed slice the wanted content, or None where it has it."""
    if _is_same_content(wanted, observed):
        if wanted.metadata.owner_references == observed.metadata.owner_references:
            return None
        reason = Reason.OWNER_CHANGED
    else:
        reason = Reason.CONTENT_CHANGED
    _require_ours(observed)
    return Update(_with_name(wanted, observed.metadata.name), _precondition(observed), reason)


def delete(observed: EndpointSlice, reason: Reason) -> Delete:
    """The deletion of an observed slice, for a reason that proves it may go."""
    _require_ours(observed)
    return Delete(observed, _precondition(observed), reason)


def delete_leftover(leftover: EndpointSlice, replacement: EndpointSlice) -> Delete:
    """The deletion of a slice that the Go release of svclink left in the main cluster.

    It is the only slice that is deleted without being ours. The proof is a mirrored slice of ours, which exists, of the
    same Service and cluster; that everything else of it exists too is for the caller to know.

    Raises:
        ProgrammerError: One is not the leftover of a Service and cluster, or the other not ours of the same.
    """
    place = (
        replacement.metadata.namespace,
        replacement.metadata.label(LABEL_SERVICE_NAME),
        replacement.cluster,
    )
    if (
        not replacement.is_ours
        or leftover.is_ours
        or None in place
        or (
            leftover.metadata.namespace,
            leftover.metadata.label(LABEL_SERVICE_NAME),
            leftover.go_cluster,
        )
        != place
    ):
        raise ProgrammerError(
            f"EndpointSlice {leftover.metadata.key} has not been replaced by svclink"
        )
    return Delete(leftover, _precondition(leftover), Reason.LEFTOVER_REPLACED)


_Identity: TypeAlias = tuple[str | None, str]


def _identity(endpoint_slice: EndpointSlice) -> _Identity:
    """What a slice mirrors. The address type belongs to it because the API server does not let it change."""
    return endpoint_slice.source, endpoint_slice.address_type


def _by_identity(
    service: NamespacedName, observed: Iterable[EndpointSlice]
) -> tuple[dict[_Identity, EndpointSlice], list[EndpointSlice]]:
    """One observed slice for each identity, and the rest.

    A slice that is being deleted only holds its name. One that lost its Service label is not mended but replaced:
    kube-proxy leaks endpoints when the label changes in place.
    """
    keepers: dict[_Identity, EndpointSlice] = {}
    rest = []
    for endpoint_slice in sorted(observed, key=lambda endpoint_slice: endpoint_slice.metadata.name):
        if endpoint_slice.metadata.deletion_timestamp is not None:
            continue
        if (identity := _identity(endpoint_slice)) in keepers or not _has_service_label(
            endpoint_slice, service
        ):
            rest.append(endpoint_slice)
        else:
            keepers[identity] = endpoint_slice
    return keepers, rest


def _has_service_label(endpoint_slice: EndpointSlice, service: NamespacedName) -> bool:
    return endpoint_slice.metadata.label(LABEL_SERVICE_NAME) == service.name


def _is_same_content(wanted: EndpointSlice, observed: EndpointSlice) -> bool:
    """Compares what svclink writes and the cluster acts on; other annotations are nobody's business here."""
    return (
        _has_endpoints(observed, wanted.endpoints)
        and wanted.ports == observed.ports
        and wanted.address_type == observed.address_type
        and wanted.metadata.labels == observed.metadata.labels
        and wanted.source == observed.source
    )


def _has_endpoints(observed: EndpointSlice, wanted: tuple[Endpoint, ...]) -> bool:
    """Whether a slice has these endpoints. Remembers the last it had, for they are asked for until one changes.

    Not where they have hints: such endpoints are made anew for every plan, and would only take memory.
    """
    known = observed.known_equals
    if wanted is observed.endpoints or any(each is wanted for each in known):
        return True
    is_equal = are_equal(wanted, observed.endpoints)
    if is_equal and not any(each.hints for each in wanted[:1]):
        known[:] = [wanted]
    return is_equal


def are_equal(wanted: Sequence[Endpoint], observed: Sequence[Endpoint]) -> bool:
    """Whether endpoints are equal, found out column by column: texts and conditions that are shared cost nothing."""
    return (
        [each.addresses for each in wanted] == [each.addresses for each in observed]
        and [each.conditions for each in wanted] == [each.conditions for each in observed]
        and [each.zone for each in wanted] == [each.zone for each in observed]
        and all(
            one == other
            for one, other in zip(wanted, observed, strict=True)
            if one.hints is not other.hints
            or one.hostname is not other.hostname
            or one.node_name is not other.node_name
            or one.target_ref is not other.target_ref
        )
    )


def _with_name(endpoint_slice: EndpointSlice, name: str) -> EndpointSlice:
    """The slice under a name. Said in full, because `evolve` takes three times as long."""
    old = endpoint_slice.metadata
    metadata = ObjectMeta(
        name=name,
        namespace=old.namespace,
        labels=old.labels,
        annotations=old.annotations,
        owner_references=old.owner_references,
    )
    return EndpointSlice(
        metadata, endpoint_slice.address_type, endpoint_slice.endpoints, endpoint_slice.ports
    )


def _precondition(observed: EndpointSlice) -> Precondition:
    return Precondition(observed.metadata.uid, observed.metadata.resource_version)


def _require_ours(observed: EndpointSlice) -> None:
    """Law L3 as an assertion: a slice of somebody else never becomes an update or a deletion."""
    if not observed.is_ours:
        raise ProgrammerError(f"EndpointSlice {observed.metadata.key} is not managed by svclink")
