"""Reads files printed by `kubectl get -o yaml` or `-o json`, object by object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from attrs import define, evolve, field

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
)
from svclink_controller.wire.api_server_callers import CALLERS
from svclink_controller.wire.resources import (
    CLUSTER_LINKS,
    ENDPOINT_SLICES,
    NAMESPACES,
    REMOTE_ENDPOINT_SLICES,
    SERVICES,
    TRAFFIC_POLICIES,
    Resource,
)
from svclink_core import codec
from svclink_core.api_server_calls import ApiServerCaller, calls_by
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import BadInputError
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.snapshot import Options
from svclink_core.svclink_v1alpha1 import ClusterLink
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
    "Status": "says that a request failed",
    "Table": "is text for people",
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
    content.links += [ClusterLink(ObjectMeta(name)) for name in remotes if name not in linked]
    contents = {name: read_dump(path, is_main=False) for name, path in remotes.items()}
    warnings = [warning for each in (content, *contents.values()) for warning in each.warnings]
    return evolve(partial_snapshot(content, contents, options), warnings=tuple(warnings))


def read_dump(path: Path, *, is_main: bool = True) -> ClusterContent:
    """The objects of a file that svclink knows; those of other kinds are skipped.

    Objects are decoded as the controller decodes them: slices of a remote keep only the fields
    that are mirrored. Of several objects with one name the last counts, with a warning.

    Args:
        path: The file: YAML or JSON, one or more documents, lists or single objects. It may be a
            pipe.
        is_main: Whether the objects are those of the main cluster.

    Raises:
        DumpError: The file cannot be read, or an object in it is not as the API serves it.
    """
    found = _Found(ENDPOINT_SLICES if is_main else REMOTE_ENDPOINT_SLICES)
    for each in objects_in(path):
        found.add(each)
    content = found.content()
    if found.has_only_others:
        raise DumpError(f"{path}: no object in it is one that svclink reads: {USE_ALL_KINDS}")
    content.warnings = [f"{path}: {problem}" for problem in _oddities(content, found.repeated)]
    return content


def _oddities(content: ClusterContent, repeated: Sequence[str]) -> Iterable[str]:
    if repeated:
        objects = repeated[0]
        if repeated[1:]:
            objects += f" (and {len(repeated) - 1} more)"
        yield f"{objects} occurs more than once: the last one counts"
    # Every Service has an EndpointSlice, even without endpoints.
    if content.services and not content.endpoint_slices:
        yield f"it has Services and no EndpointSlice (kubectl get all prints none): {USE_ALL_KINDS}"
    if content.endpoint_slices and not content.services:
        yield f"it has EndpointSlices and no Service: {USE_ALL_KINDS}"


@define
class _Found:
    """The objects of a file, by kind, and by namespace and name.

    Args:
        slices: How EndpointSlices are decoded.
        repeated: The objects that occurred before, for people.
        has_others: Whether an object of the file is of a kind that svclink does not read.
    """

    slices: Resource[EndpointSlice]
    repeated: list[str] = field(factory=list)
    has_others: bool = False
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
                self._put(self._services, _decoded(each, Service, SERVICES))
            case "EndpointSlice":
                self._put(self._endpoint_slices, _decoded(each, EndpointSlice, self.slices))
            case "ClusterLink":
                self._put(self._links, _decoded(each, ClusterLink, CLUSTER_LINKS))
            case "Namespace":
                self._put(self._namespaces, _decoded(each, Namespace, NAMESPACES))
            case "TrafficPolicy":
                self._put(self._policies, _decoded(each, TrafficPolicy, TRAFFIC_POLICIES))
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
        raise each.error("$.kind", f"{kind} {_NO_OBJECTS[kind]}: {USE_KUBECTL}")
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


def _decoded_caller(each: FileObject, resource: Resource[ApiServerCaller]) -> ApiServerCaller:
    try:
        return resource.decode(msgspec.json.encode(each.fields))
    except _UNDECODED as error:
        raise DumpError(f"{each.where}: {error}") from error
