"""Kubernetes meta/v1: object metadata, as far as the core reasons about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import field, frozen

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Labels or annotations as pairs sorted by key: hashable, and equal whenever the maps are."""


def sorted_pairs(pairs: Mapping[str, str]) -> Labels:
    """The pairs of a map in the order of their keys."""
    return tuple(sorted(pairs.items()))


@frozen(cache_hash=True)
class NamespacedName:
    """Identifies a namespaced object of one kind: `namespace/name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def __lt__(self, other: NamespacedName) -> bool:
        # Thousands of keys are sorted, and a generated comparison takes ten times as long.
        return (self.namespace, self.name) < (other.namespace, other.name)


LabelOperator = Literal["In", "NotIn", "Exists", "DoesNotExist"]


@frozen
class LabelSelectorRequirement:
    """One condition of a label selector. `In` and `NotIn` have values, the others have none."""

    key: str
    operator: LabelOperator
    values: tuple[str, ...] = ()


@frozen
class LabelSelector:
    """Selects objects by their labels; all conditions must hold."""

    match_labels: Labels = ()
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


@frozen
class OwnerReference:
    """Makes an object depend on its owner, so that it is deleted with the owner.

    The garbage collector compares uids, so it treats a re-created owner as deleted.
    """

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None

    @property
    def is_service(self) -> bool:
        """Whether the owner is a Kubernetes Service. Knative also has a kind with that name."""
        return (self.api_version, self.kind) == ("v1", "Service")


@frozen
class Additions:
    """What others put on an EndpointSlice of ours. It decides nothing, and stays at every update.

    Args:
        labels: Labels with other keys than `well_known.REASONED_LABELS`.
        annotations: Annotations with other keys than those that svclink writes.
        finalizers: All finalizers, because svclink has none.
    """

    labels: Labels = ()
    annotations: Labels = ()
    finalizers: tuple[str, ...] = ()


@frozen
class ObjectMeta:
    """Metadata of an object. Labels and annotations contain only keys in `well_known.REASONED_*`.

    `namespace` is empty for a cluster-scoped object. Times are RFC 3339, as in the API. `additions`
    contains all other metadata, but only for EndpointSlices that svclink may have to update.
    """

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: Labels = ()
    annotations: Labels = ()
    owner_references: tuple[OwnerReference, ...] = ()
    additions: Additions | None = field(default=None, metadata={"json": ""})

    @property
    def key(self) -> NamespacedName:
        """The object's namespace and name."""
        return NamespacedName(self.namespace, self.name)

    @property
    def is_being_deleted(self) -> bool:
        """Whether the object is being deleted and waiting for its finalizers or dependents."""
        return self.deletion_timestamp is not None

    def label(self, key: str) -> str | None:
        """The value of a label, or None."""
        return _lookup(self.labels, key)

    def annotation(self, key: str) -> str | None:
        """The value of an annotation, or None."""
        return _lookup(self.annotations, key)


def _lookup(pairs: Labels, wanted: str) -> str | None:
    for key, value in pairs:
        if key == wanted:
            return value
    return None
