"""Files that `kubectl get -o yaml` or `-o json` printed, read object by object, and the snapshot they amount to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec
from attrs import define, field

from svclink_controller.cli.snapshots.file_events import (
    ContentError,
    FileValue,
    ParseEvent,
    events_of,
    key_of,
    require_new,
    value_of,
)
from svclink_controller.cli.snapshots.view import FleetView
from svclink_controller.wire.resources import (
    CLUSTER_LINKS,
    ENDPOINT_SLICES,
    NAMESPACES,
    REMOTE_ENDPOINT_SLICES,
    SERVICES,
    Resource,
)
from svclink_core import codec
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import BadInputError, SvclinkError
from svclink_core.link_identity import Claim, elected, refusals
from svclink_core.meta_v1 import ObjectMeta
from svclink_core.snapshot import (
    PENDING,
    Options,
    RemoteCluster,
    main_cluster,
    remote_cluster,
    snapshot,
)
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM

T = TypeVar("T", Service, Namespace, EndpointSlice, ClusterLink)

_UNDECODED: Final = (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError)


class DumpError(SvclinkError):
    """A file is not what `kubectl get -o yaml` or `-o json` prints; the message names file, document and field."""


@define
class Dump:
    """The objects of one cluster. `cluster_id` is the uid of its namespace `kube-system`, None where that is absent."""

    services: list[Service] = field(factory=list)
    endpoint_slices: list[EndpointSlice] = field(factory=list)
    links: list[ClusterLink] = field(factory=list)
    namespaces: list[Namespace] = field(factory=list)
    cluster_id: str | None = None


def read_dump(path: Path, *, is_main: bool = True) -> Dump:
    """The objects of a file that svclink knows; those of other kinds are passed over.

    Objects are decoded as the controller decodes them, so of the slices of a remote only what is mirrored is kept.

    Args:
        path: The file: YAML or JSON, one or more documents, lists or single objects. A pipe will do.
        is_main: Whether the objects are those of the main cluster.

    Raises:
        DumpError: The file cannot be read, or an object in it is not as the API serves it.
    """
    dump = Dump()
    slices = ENDPOINT_SLICES if is_main else REMOTE_ENDPOINT_SLICES
    for place, content in _objects(path):
        match content.get("kind"):
            case "Service":
                dump.services.append(_decode(path, place, content, Service, SERVICES))
            case "EndpointSlice":
                dump.endpoint_slices.append(_decode(path, place, content, EndpointSlice, slices))
            case "ClusterLink":
                dump.links.append(_decode(path, place, content, ClusterLink, CLUSTER_LINKS))
            case "Namespace":
                _add_namespace(dump, _decode(path, place, content, Namespace, NAMESPACES))
            case str():
                pass
            case _:
                raise DumpError(
                    f"{path}: {place}: $.kind: required field missing: give what kubectl get -o yaml prints"
                )
    return dump


def fleet_view(main: Dump, remotes: Mapping[str, Dump], options: Options) -> FleetView:
    """What dumps amount to.

    A remote without a ClusterLink in the main dump has one that filters nothing. Of a ClusterLink without a dump, and
    of one that must not be used for the cluster its dump is of, nothing is known, as of a cluster not listed yet.
    """
    namesakes: dict[str, list[ClusterLink]] = {name: [] for name in remotes}
    for link in main.links:
        namesakes.setdefault(link.metadata.name, []).append(link)
    links = {
        name: elected(found) if found else ClusterLink(ObjectMeta(name))
        for name, found in namesakes.items()
    }
    claims = {
        name: Claim(links[name], dump.cluster_id)
        for name, dump in remotes.items()
        if dump.cluster_id
    }
    problems = refusals(main.cluster_id, claims)
    clusters = [
        _remote(link, None if name in problems else remotes.get(name))
        for name, link in links.items()
    ]
    # A cluster has namespaces: where the file has none, they were not asked for.
    known = main_cluster(main.services, main.endpoint_slices, main.namespaces or None)
    return FleetView(snapshot(known, clusters, options), problems)


def _remote(link: ClusterLink, dump: Dump | None) -> RemoteCluster:
    if dump is None:
        return remote_cluster(link, connection=PENDING)
    return remote_cluster(link, dump.services, dump.endpoint_slices)


def _add_namespace(dump: Dump, namespace: Namespace) -> None:
    dump.namespaces.append(namespace)
    if namespace.metadata.name == NAMESPACE_KUBE_SYSTEM:
        dump.cluster_id = namespace.metadata.uid or None


def _decode(
    path: Path, place: str, content: Mapping[str, FileValue], kind: type[T], resource: Resource[T]
) -> T:
    """One object, fast; where that fails the core's codec, which says which field is wrong."""
    try:
        return resource.decode(msgspec.json.encode(content))
    except (BadInputError, *_UNDECODED):
        pass
    try:
        return codec.structure(content, kind)
    except BadInputError as error:
        raise DumpError(f"{path}: {place}: {error}") from error


# Documents


def _objects(path: Path) -> Iterator[tuple[str, Mapping[str, FileValue]]]:
    """The objects of a file with the place of each, the items of lists one by one."""
    try:
        with path.open("rb") as stream:
            reader = _Reader(events_of(stream, is_json=_is_json(stream)))
            try:
                yield from reader.objects()
            except ContentError as error:
                raise DumpError(f"{path}: {reader.place}: {error}") from error
    except OSError as error:
        raise DumpError(f"{path}: {error.strerror}") from error


def _is_json(stream: BinaryIO) -> bool:
    """Whether a stream starts as JSON does; nothing of it is taken, it may be a pipe."""
    return stream.peek(64).lstrip()[:1] == b"{"  # type: ignore[attr-defined,no-any-return]  # it is buffered


@define
class _Reader:
    """Reads documents from events; `place` is where it is."""

    events: Iterator[ParseEvent]
    place: str = "document 0"

    def objects(self) -> Iterator[tuple[str, Mapping[str, FileValue]]]:
        """The objects, each with its place."""
        for number, event in enumerate(self.events):
            self.place = f"document {number}"
            if event[0] == "start_map":
                yield from self._document()
            elif value_of(event, self.events) is not None:
                raise ContentError(
                    "it is no Kubernetes object: give what kubectl get -o yaml prints"
                )

    def _document(self) -> Iterator[tuple[str, Mapping[str, FileValue]]]:
        """The object of a document, or the items of a list: `items` often comes before `kind`, which says it is one."""
        document, listed = self.place, False
        fields: dict[str, FileValue] = {}
        while (key := key_of(next(self.events))) is not None:
            require_new(key, fields)
            event = next(self.events)
            if key == "items" and event[0] == "start_array":
                listed = True
                yield from self._items(document)
                self.place = document
            else:
                fields[key] = value_of(event, self.events, 2)
        is_list = str(fields.get("kind", "")).endswith("List")
        if listed and not is_list:
            raise ContentError(
                f"$.kind: must be List where there are items, is {str(fields.get('kind'))[:100]}"
            )
        if is_list and fields.get("items") is not None:
            raise ContentError("$.items: must be a list")
        if not is_list:
            yield document, fields

    def _items(self, document: str) -> Iterator[tuple[str, Mapping[str, FileValue]]]:
        rest: Iterable[ParseEvent] = iter(lambda: next(self.events), ("end_array", None))
        for index, event in enumerate(rest):
            self.place = f"{document}, item {index}"
            item = value_of(event, self.events, 3)
            if not isinstance(item, dict):
                self.place = document
                raise ContentError(f"$.items[{index}]: must be an object")
            yield self.place, item
