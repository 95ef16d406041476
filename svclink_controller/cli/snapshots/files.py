"""Reads files printed by `kubectl get -o yaml` or `-o json`, object by object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from attrs import define, evolve, field, frozen

from svclink_controller.cli.snapshots.file_objects import (
    USE_KUBECTL,
    DumpError,
    FileObject,
    objects_in,
)
from svclink_controller.cli.snapshots.partial import (
    ClusterContent,
    PartialSnapshot,
    partial_snapshot,
    used_links,
)
from svclink_controller.wire.api_server_callers import CALLERS
from svclink_controller.wire.resources import (
    CLUSTER_LINKS,
    ENDPOINT_SLICES,
    REMOTE_ENDPOINT_SLICES,
    SERVICES,
    TRAFFIC_POLICIES,
    Resource,
    namespaces_selected_by,
)
from svclink_core import codec
from svclink_core.api_server_calls import ApiServerCaller, calls_by
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import BadInputError
from svclink_core.label_selector import EVERYTHING, Selector
from svclink_core.link_target import namespace_selector, service_selector
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.snapshot import Options, UnreadNamespace
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.traffic_policy_rules import why_policy_refused
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM

T = TypeVar("T", Service, Namespace, EndpointSlice, ClusterLink, TrafficPolicy)

USE_ALL_KINDS: Final = "use the output of kubectl get services,endpointslices,namespaces -A -o yaml"
"""What prints everything of a remote cluster that a plan depends on.

The main cluster has clusterlinks and trafficpolicies, too.
"""

_UNDECODED: Final = (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError)

_API_VERSIONS: Final = {kind: api_version for api_version, kind in codec.KINDS.values()} | {
    kind: resource.prefix.removeprefix("/apis/") for kind, resource in CALLERS.items()
}

_NAMESPACED: Final = (Service, EndpointSlice, TrafficPolicy)

_NO_OBJECTS: Final = {
    "Status": "a Status object means that a request failed",
    "Table": "a Table object is only for display",
}
"""Kinds of answers of an API server that are not objects."""


def read_files(main: Path, remotes: Mapping[str, Path], options: Options) -> PartialSnapshot:
    """The snapshot of the clusters whose objects are in files.

    A remote without a ClusterLink in the main file gets one without filters.

    Args:
        main: The file of the main cluster.
        remotes: The files of remote clusters, by the names of their links.
        options: The settings of the controller.

    Raises:
        DumpError: A file cannot be read, or an object in it is not as the API serves it.
    """
    content = read_dump(main)
    linked = {link.metadata.name for link in content.links}
    mistyped = list(_unlinked(main, linked, remotes)) if linked else []
    content.links += [ClusterLink(ObjectMeta(name)) for name in remotes if name not in linked]
    links = {link.metadata.name: link for link in used_links(content.links)}
    contents = {
        name: read_dump(path, selection_of(links[name], options)) for name, path in remotes.items()
    }
    found = [warning for each in (content, *contents.values()) for warning in each.warnings]
    warnings = [*mistyped, *_swapped(contents, remotes), *found]
    return evolve(partial_snapshot(content, contents, options), warnings=tuple(warnings))


def _unlinked(main: Path, linked: set[str], remotes: Iterable[str]) -> Iterable[str]:
    for name in remotes:
        if name not in linked:
            known = ", ".join(sorted(linked))
            yield (
                f"{main}: the file has no ClusterLink {name}, so no filters apply to --remote"
                f" {name}; the file contains these ClusterLinks: {known}"
            )


def _swapped(contents: Mapping[str, ClusterContent], remotes: Mapping[str, Path]) -> Iterable[str]:
    for name, content in contents.items():
        if content.links:
            yield (
                f"{remotes[name]}: the file has ClusterLinks, which belong in the main cluster's"
                f" file and are ignored here: did you swap --main and --remote {name}?"
            )


@frozen
class ObjectSelection:
    """Which objects of the file of a remote cluster its link selects by their labels."""

    services: Selector = EVERYTHING
    namespaces: Selector = EVERYTHING


def selection_of(link: ClusterLink, options: Options) -> ObjectSelection:
    """What a link selects by labels."""
    return ObjectSelection(service_selector(link, options), namespace_selector(link))


def read_dump(path: Path, selection: ObjectSelection | None = None) -> ClusterContent:
    """The objects of a file that svclink knows; those of other kinds are skipped.

    Objects are decoded as the controller decodes them: slices of a remote keep only the fields
    that are mirrored. Of several objects with one name the last counts, with a warning.

    Args:
        path: The file: YAML or JSON, one or more documents, lists or single objects. It may be a
            pipe.
        selection: What is selected of a remote cluster; None for the main cluster.

    Raises:
        DumpError: The file cannot be read, or an object in it is not as the API serves it.
    """
    slices = ENDPOINT_SLICES if selection is None else REMOTE_ENDPOINT_SLICES
    found = _Found(slices, selection or ObjectSelection())
    for each in objects_in(path):
        found.add(each)
    content = found.content()
    if found.has_only_others:
        raise DumpError(f"{path}: the file contains no object that svclink reads: {USE_ALL_KINDS}")
    content.warnings = [f"{path}: {problem}" for problem in _oddities(content, found.repeated)]
    if found.selection.namespaces != EVERYTHING and content.namespaces is None:
        needed = (
            "the file contains no Namespaces, but the ClusterLink's namespaceSelector needs them"
        )
        raise DumpError(f"{path}: {needed}: {USE_ALL_KINDS}")
    found.select(content)
    return content


def read_policies(path: Path) -> list[TrafficPolicy]:
    """The TrafficPolicies of a file.

    Raises:
        DumpError: There is none, the file cannot be read, or an object in it is not valid.
    """
    if not (policies := read_dump(path).traffic_policies):
        raise DumpError(
            f"{path}: the file contains no TrafficPolicy: pass a file with TrafficPolicy manifests"
        )
    return policies


def _oddities(content: ClusterContent, repeated: Sequence[str]) -> Iterable[str]:
    if objects := [*dict.fromkeys(repeated)]:
        first, *others = objects
        if others:
            first += f" and {len(others)} more"
        verb, used = ("occur", "last one of each") if others else ("occurs", "last one")
        yield f"{first} {verb} more than once: the {used} is used"
    # Every Service has an EndpointSlice, even without endpoints.
    if content.services and not content.endpoint_slices:
        yield (
            "the file has Services but no EndpointSlices (kubectl get all prints none):"
            f" {USE_ALL_KINDS}"
        )
    if content.endpoint_slices and not content.services:
        yield f"the file has EndpointSlices but no Services: {USE_ALL_KINDS}"


@define
class _Found:
    """The objects of a file, by kind, and by namespace and name.

    Args:
        slices: How EndpointSlices are decoded.
        selection: Which objects are selected.
        repeated: The objects that occurred before, for people.
        has_others: Whether an object of the file is of a kind that svclink does not read.
    """

    slices: Resource[EndpointSlice]
    selection: ObjectSelection
    repeated: list[str] = field(factory=list)
    has_others: bool = False
    _unselected: set[NamespacedName] = field(factory=set)
    _services: dict[NamespacedName, Service] = field(factory=dict)
    _endpoint_slices: dict[NamespacedName, EndpointSlice] = field(factory=dict)
    _links: dict[NamespacedName, ClusterLink] = field(factory=dict)
    _namespaces: dict[NamespacedName, Namespace] = field(factory=dict)
    _policies: dict[NamespacedName, TrafficPolicy] = field(factory=dict)
    _callers: dict[str, ApiServerCaller] = field(factory=dict)

    def add(self, each: FileObject) -> None:
        """Add an object, unless it is of another kind."""
        match _known_kind(each):
            case "Service":
                service = _decoded(each, Service, SERVICES)
                self._put(self._services, service)
                if not self.selection.services.matches(_labels(each)):
                    self._unselected.add(service.metadata.key)
            case "EndpointSlice":
                self._put(self._endpoint_slices, _decoded(each, EndpointSlice, self.slices))
            case "ClusterLink":
                self._put(self._links, _decoded(each, ClusterLink, CLUSTER_LINKS))
            case "Namespace":
                resource = namespaces_selected_by(self.selection.namespaces)
                self._put(self._namespaces, _decoded(each, Namespace, resource))
            case "TrafficPolicy":
                self._put(self._policies, _decoded_policy(each))
            case str(kind) if kind in CALLERS:
                self._put_caller(_decoded_caller(each, CALLERS[kind]))
            case _:
                self.has_others = True

    def content(self) -> ClusterContent:
        """All objects."""
        namespaces = list(self._namespaces.values())
        return ClusterContent(
            services=list(self._services.values()),
            endpoint_slices=list(self._endpoint_slices.values()),
            links=list(self._links.values()),
            traffic_policies=list(self._policies.values()),
            cluster_id=_cluster_id(namespaces),
            # Every cluster has namespaces: a file without any comes from a command that did not
            # ask for them.
            namespaces=namespaces or None,
            api_server_calls=calls_by(self._callers.values()),
        )

    def select(self, content: ClusterContent) -> None:
        """Leave out what is not selected. Namespaces that are not in the file are not known."""
        content.services = [
            each for each in content.services if each.metadata.key not in self._unselected
        ]
        if self.selection.namespaces == EVERYTHING:
            return
        used = {key.namespace for key in (*self._services, *self._endpoint_slices)}
        content.unread_namespaces = dict.fromkeys(used, UnreadNamespace.NOT_LISTED)
        for each in self._namespaces.values():
            content.unread_namespaces.pop(each.metadata.name, None)
            if not each.is_selected:
                content.unread_namespaces[each.metadata.name] = UnreadNamespace.NOT_SELECTED

    @property
    def has_only_others(self) -> bool:
        """Whether the file has objects, and all are of kinds that svclink does not read."""
        known = (self._services, self._endpoint_slices, self._links, self._namespaces)
        return self.has_others and not any((*known, self._policies, self._callers))

    def _put(self, known: dict[NamespacedName, T], item: T) -> None:
        key = item.metadata.key
        if key in known:
            _, kind = codec.KINDS[type(item)]
            self.repeated.append(f"{kind} {key if key.namespace else key.name}")
        known[key] = item

    def _put_caller(self, caller: ApiServerCaller) -> None:
        if caller.reference in self._callers:
            self.repeated.append(f"{caller.kind} {caller.metadata.name}")
        self._callers[caller.reference] = caller


def _labels(each: FileObject) -> dict[str, str]:
    metadata = each.fields.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    found = labels if isinstance(labels, dict) else {}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _cluster_id(namespaces: Iterable[Namespace]) -> str | None:
    uids = (each.metadata.uid for each in namespaces if each.metadata.name == NAMESPACE_KUBE_SYSTEM)
    return next(uids, None) or None


def _known_kind(each: FileObject) -> str | None:
    """The kind of an object that svclink reads; None for one of another kind or group.

    Raises:
        DumpError: It is not an object, or one of a version that svclink does not read.
    """
    kind, api_version = each.fields.get("kind"), each.fields.get("apiVersion")
    if not isinstance(kind, str):
        raise each.error("$.kind", f"required field missing: {USE_KUBECTL}")
    if kind in _NO_OBJECTS and api_version in ("v1", "meta.k8s.io/v1"):
        raise each.error("$.kind", f"{_NO_OBJECTS[kind]}: {USE_KUBECTL}")
    if (expected := _API_VERSIONS.get(kind)) is None:
        return None
    if not isinstance(api_version, str):
        raise each.error("$.apiVersion", f"required field missing: {USE_KUBECTL}")
    if _group(api_version) != _group(expected):  # Knative has a kind Service too.
        return None
    if api_version != expected:
        raise each.error("$.apiVersion", f"must be {expected}: {USE_KUBECTL}")
    return kind


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def _decoded(each: FileObject, kind: type[T], resource: Resource[T]) -> T:
    """Decode one object: with the fast decoder, then with the codec, which names the bad field."""
    try:
        item = resource.decode(msgspec.json.encode(each.fields))
    except (BadInputError, *_UNDECODED):
        try:
            item = codec.structure(each.fields, kind)
        except BadInputError as error:
            raise DumpError(f"{each.where}: {error}") from error
    if not item.metadata.name:
        raise each.error("$.metadata.name", "must not be empty")
    if not item.metadata.namespace and kind in _NAMESPACED:
        raise each.error("$.metadata.namespace", f"required field missing: {USE_KUBECTL}")
    return item


def _decoded_policy(each: FileObject) -> TrafficPolicy:
    """Decode a TrafficPolicy, which no API server may have seen yet: its CRD's rules apply."""
    policy = _decoded(each, TrafficPolicy, TRAFFIC_POLICIES)
    if (refusal := why_policy_refused(policy.spec)) is not None:
        raise DumpError(f"{each.where}: $.{refusal}")
    return policy


def _decoded_caller(each: FileObject, resource: Resource[ApiServerCaller]) -> ApiServerCaller:
    try:
        return resource.decode(msgspec.json.encode(each.fields))
    except _UNDECODED as error:
        raise DumpError(f"{each.where}: {error}") from error
