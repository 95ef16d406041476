"""What turns observed EndpointSlices into desired ones: creates, updates and deletes.

Each change has its reason, and a precondition that keeps it from hitting another object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import ClassVar, Final, TypeAlias, assert_never

from attrs import evolve, frozen

from svclink_core.discovery_v1 import Endpoint, EndpointSlice
from svclink_core.errors import ProgrammerError
from svclink_core.meta_v1 import Additions, NamespacedName, ObjectMeta
from svclink_core.naming import Names, readable_name
from svclink_core.ownership import Leftover, Ours, cluster_of, is_ours, owner_of
from svclink_core.well_known import LABEL_SERVICE_NAME, Reason


@frozen
class Precondition:
    """The object and version that a change is based on; the API server rejects it for any other."""

    uid: str
    resource_version: str


@frozen
class _EndpointSliceChange:
    """What every change of an EndpointSlice has."""

    kind: ClassVar[str] = "EndpointSlice"

    endpoint_slice: EndpointSlice

    @property
    def key(self) -> NamespacedName:
        """Namespace and name of the EndpointSlice."""
        return self.endpoint_slice.metadata.key

    @property
    def cluster(self) -> str | None:
        """The cluster that svclink or its Go release mirrored the slice from."""
        return cluster_of(self.endpoint_slice)


@frozen
class Create(_EndpointSliceChange):
    """Create an EndpointSlice."""

    verb: ClassVar[str] = "create"

    reason: Reason


@frozen
class Update(_EndpointSliceChange):
    """Replace the content of an EndpointSlice."""

    verb: ClassVar[str] = "update"

    precondition: Precondition
    reason: Reason


@frozen
class Delete(_EndpointSliceChange):
    """Delete an EndpointSlice; `reason` proves that the deletion is safe."""

    verb: ClassVar[str] = "delete"

    precondition: Precondition
    reason: Reason


SliceChange: TypeAlias = Create | Update | Delete

AreEqual: TypeAlias = Callable[[tuple[Endpoint, ...], tuple[Endpoint, ...]], bool]
"""Compares endpoints: `are_equal`, or a faster function with the same results."""

WhyGone: TypeAlias = Callable[[EndpointSlice], Reason]
"""Says why an observed slice is not desired any more: the proof that it may go."""


def are_equal(wanted: tuple[Endpoint, ...], observed: tuple[Endpoint, ...]) -> bool:
    """Whether two sequences of endpoints are equal.

    Compares column by column, because objects that are shared between the columns cost nothing.
    """
    if wanted is observed:
        return True
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


def diff(
    service: NamespacedName,
    cluster: str,
    desired: Iterable[EndpointSlice],
    observed: Iterable[EndpointSlice],
    names: Names,
    compare: AreEqual = are_equal,
    why_gone: WhyGone = lambda _: Reason.SOURCE_GONE,
) -> list[SliceChange]:
    """The changes that turn the observed slices of one Service and cluster into the desired ones.

    Slices are matched by source and address type, never by name. Where one source is gone and
    another of the same address type is new, the mirror of the first becomes that of the second.

    Args:
        service: The Service.
        cluster: The cluster.
        desired: What the main cluster should have. These slices have no name: one that is created
            gets a name from `names`, and keeps it.
        observed: What the main cluster has.
        names: The names that can be given.
        compare: How endpoints are compared.
        why_gone: Why a slice goes that is not desired.
    """
    keepers, duplicates = _by_identity(service, observed)
    changes: list[SliceChange] = []
    added = []
    for wanted in desired:
        found = keepers.pop(_identity(wanted), None)
        if found is None:
            added.append(wanted)
        elif (update := update_to(wanted, found, compare)) is not None:
            changes.append(update)
    if added or keepers:
        changes += _succession(service, cluster, added, keepers.values(), names, why_gone)
    changes += [delete(each, Reason.DUPLICATE) for each in duplicates]
    return changes


def _succession(
    service: NamespacedName,
    cluster: str,
    added: Collection[EndpointSlice],
    gone: Collection[EndpointSlice],
    names: Names,
    why_gone: WhyGone,
) -> list[SliceChange]:
    """The changes for slices with new sources, and for mirrors whose sources are gone.

    The mirror with the readable name is the first to get another source, because a Service of the
    usual size has one slice of that name.
    """
    readable = readable_name(service, cluster)
    changes: list[SliceChange] = []
    deletes: list[Delete] = []
    for address_type in sorted({each.address_type for each in (*added, *gone)}):
        new = [each for each in added if each.address_type == address_type]
        old = [each for each in gone if each.address_type == address_type]
        new.sort(key=lambda each: each.source or "")
        old.sort(key=lambda each: (each.metadata.name != readable, each.metadata.name))
        changes += updates(zip(new, old, strict=False))
        for wanted in new[len(old) :]:
            name = names.choose(service, cluster, wanted.source or "")
            names = names.without(name)
            changes.append(Create(_with_name(wanted, name), Reason.SOURCE_ADDED))
        deletes += [delete(each, why_gone(each)) for each in old[len(new) :]]
    return [*changes, *deletes]


def update_to(
    wanted: EndpointSlice, observed: EndpointSlice, compare: AreEqual = are_equal
) -> Update | None:
    """The update that gives an observed slice the wanted content, or None if it has it."""
    if _has_content(observed, wanted, compare):
        if wanted.metadata.owner_references == observed.metadata.owner_references:
            return None
        reason = Reason.OWNER_CHANGED
    else:
        reason = Reason.CONTENT_CHANGED
    if not is_ours(observed):
        raise ProgrammerError(f"EndpointSlice {observed.metadata.key} is not managed by svclink")
    old = observed.metadata
    named = _with_name(wanted, old.name, old.additions)
    return Update(named, _precondition(observed), reason)


def updates(
    pairs: Iterable[tuple[EndpointSlice, EndpointSlice]], reason: Reason | None = None
) -> list[Update]:
    """The updates for pairs of a wanted and an observed slice. One being deleted gets none.

    Args:
        pairs: The wanted and the observed slices.
        reason: Why all of them change; None for the reason that each difference gives.
    """
    found = [
        update_to(wanted, observed)
        for wanted, observed in pairs
        if not observed.metadata.is_being_deleted
    ]
    return [
        evolve(update, reason=reason or update.reason) for update in found if update is not None
    ]


def delete(observed: EndpointSlice, reason: Reason) -> Delete:
    """The deletion of an observed slice, for a reason that proves that it may go.

    Raises:
        ProgrammerError: Neither svclink nor its Go release mirrored the slice (law L3).
    """
    if not isinstance(owner_of(observed), Ours | Leftover):
        raise ProgrammerError(f"EndpointSlice {observed.metadata.key} is not managed by svclink")
    return Delete(observed, _precondition(observed), reason)


def deletions(observed: Iterable[EndpointSlice], reason: Reason) -> list[Delete]:
    """The deletions of all observed slices that are not being deleted already."""
    return [delete(each, reason) for each in observed if not each.metadata.is_being_deleted]


def is_last(change: SliceChange) -> bool:
    """Whether a change takes endpoints away, so that it must come after those that add some."""
    return isinstance(change, Delete) or change.reason in _TAKING


_TAKING: Final = (Reason.UNREACHABLE_NOT_READY, Reason.STANDBY)


def without_losses(
    changes: Iterable[SliceChange], observed: Iterable[EndpointSlice]
) -> tuple[list[SliceChange], list[EndpointSlice]]:
    """The changes that take neither a slice nor a port away, and the slices that this keeps.

    Args:
        changes: Changes of one Service and cluster.
        observed: The slices of ours that they change.
    """
    held = {each.metadata.key: each for each in observed}
    kept = {change.key: held[change.key] for change in changes if _is_loss(change, held)}
    return [change for change in changes if change.key not in kept], [*kept.values()]


def _is_loss(change: SliceChange, held: Mapping[NamespacedName, EndpointSlice]) -> bool:
    match change:
        case Create():
            return False
        case Update(wanted):
            names = {port.name for port in wanted.ports}
            return any(port.name not in names for port in held[change.key].ports)
        case Delete():
            return change.key in held
        case unexpected:
            assert_never(unexpected)


_Identity: TypeAlias = tuple[str | None, str]


def _identity(endpoint_slice: EndpointSlice) -> _Identity:
    """What a slice mirrors. The API server does not let its address type change."""
    return endpoint_slice.source, endpoint_slice.address_type


def _by_identity(
    service: NamespacedName, observed: Iterable[EndpointSlice]
) -> tuple[dict[_Identity, EndpointSlice], list[EndpointSlice]]:
    """One observed slice for each identity, and the rest.

    A slice that is being deleted only holds its name. One that lost its Service label is replaced
    rather than updated: kube-proxy leaks endpoints when the label changes in place.
    """
    keepers: dict[_Identity, EndpointSlice] = {}
    rest = []
    for endpoint_slice in sorted(observed, key=lambda each: each.metadata.name):
        if endpoint_slice.metadata.is_being_deleted:
            continue
        identity = _identity(endpoint_slice)
        is_labelled = endpoint_slice.metadata.label(LABEL_SERVICE_NAME) == service.name
        if is_labelled and identity not in keepers:
            keepers[identity] = endpoint_slice
        else:
            rest.append(endpoint_slice)
    return keepers, rest


def _has_content(observed: EndpointSlice, wanted: EndpointSlice, compare: AreEqual) -> bool:
    """Compares what svclink writes and the cluster acts on; other annotations do not count."""
    return (
        compare(wanted.endpoints, observed.endpoints)
        and wanted.ports == observed.ports
        and wanted.address_type == observed.address_type
        and wanted.metadata.labels == observed.metadata.labels
        and _have_same_annotations(wanted, observed)
    )


def _have_same_annotations(wanted: EndpointSlice, observed: EndpointSlice) -> bool:
    return wanted.metadata.annotations == observed.metadata.annotations or (
        wanted.source == observed.source
        and wanted.is_marked_not_ready == observed.is_marked_not_ready
        and wanted.standby == observed.standby
    )


def _with_name(
    endpoint_slice: EndpointSlice, name: str, additions: Additions | None = None
) -> EndpointSlice:
    """The slice under a name. Written out, because `evolve` takes three times as long."""
    old = endpoint_slice.metadata
    metadata = ObjectMeta(
        name=name,
        namespace=old.namespace,
        labels=old.labels,
        annotations=old.annotations,
        owner_references=old.owner_references,
        additions=additions,
    )
    return EndpointSlice(
        metadata, endpoint_slice.address_type, endpoint_slice.endpoints, endpoint_slice.ports
    )


def _precondition(observed: EndpointSlice) -> Precondition:
    return Precondition(observed.metadata.uid, observed.metadata.resource_version)
