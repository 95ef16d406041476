"""Reads files printed by `kubectl get -o yaml` or `-o json`, object by object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec
from attrs import define

from svclink_controller.cli.snapshots.file_events import (
    ContentError,
    FileValue,
    ParseEvent,
    events_of,
    key_of,
    require_new,
    value_of,
)
from svclink_controller.cli.snapshots.partial import (
    ClusterContent,
    PartialSnapshot,
    partial_snapshot,
)
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
from svclink_core.meta_v1 import ObjectMeta
from svclink_core.snapshot import Options
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM

T = TypeVar("T", Service, Namespace, EndpointSlice, ClusterLink)

_UNDECODED: Final = (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError)


class DumpError(SvclinkError):
    """A file is not output of `kubectl get`; the message names file, document and field."""


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
    return partial_snapshot(content, contents, options)


def read_dump(path: Path, *, is_main: bool = True) -> ClusterContent:
    """The objects of a file that svclink knows; those of other kinds are skipped.

    Objects are decoded as the controller decodes them: slices of a remote keep only the fields
    that are mirrored.

    Args:
        path: The file: YAML or JSON, one or more documents, lists or single objects. It may be a
            pipe.
        is_main: Whether the objects are those of the main cluster.

    Raises:
        DumpError: The file cannot be read, or an object in it is not as the API serves it.
    """
    content = ClusterContent()
    slices = ENDPOINT_SLICES if is_main else REMOTE_ENDPOINT_SLICES
    namespaces: list[Namespace] = []
    for place, fields in _objects(path):
        match fields.get("kind"):
            case "Service":
                content.services.append(_decode(path, place, fields, Service, SERVICES))
            case "EndpointSlice":
                content.endpoint_slices.append(_decode(path, place, fields, EndpointSlice, slices))
            case "ClusterLink":
                content.links.append(_decode(path, place, fields, ClusterLink, CLUSTER_LINKS))
            case "Namespace":
                namespaces.append(_decode(path, place, fields, Namespace, NAMESPACES))
            case str():
                pass
            case _:
                raise DumpError(
                    f"{path}: {place}: $.kind: required field missing: use the output of"
                    " kubectl get -o yaml"
                )
    content.cluster_id = _cluster_id(namespaces)
    # Every cluster has namespaces: a file without any comes from a command that did not ask for
    # them.
    content.namespaces = namespaces or None
    return content


def _cluster_id(namespaces: Iterable[Namespace]) -> str | None:
    uids = (each.metadata.uid for each in namespaces if each.metadata.name == NAMESPACE_KUBE_SYSTEM)
    return next(uids, None) or None


def _decode(
    path: Path, place: str, content: Mapping[str, FileValue], kind: type[T], resource: Resource[T]
) -> T:
    """Decode one object: with the fast decoder, then with the codec, which names the bad field."""
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
    """The objects of a file, each with its place; the items of a list one by one."""
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
    """Whether a stream starts like JSON. Nothing is consumed: the stream may be a pipe."""
    return stream.peek(64).lstrip()[:1] == b"{"  # type: ignore[attr-defined,no-any-return]  # it is buffered


@define
class _Reader:
    """Reads documents from events; `place` is the current document or item."""

    events: Iterator[ParseEvent]
    place: str = "document 0"

    def objects(self) -> Iterator[tuple[str, Mapping[str, FileValue]]]:
        """The objects, each with its place."""
        for number, event in enumerate(self.events):
            self.place = f"document {number}"
            if event[0] == "start_map":
                yield from self._document()
            elif value_of(event, self.events) is not None:
                raise ContentError("not a Kubernetes object: use the output of kubectl get -o yaml")

    def _document(self) -> Iterator[tuple[str, Mapping[str, FileValue]]]:
        """The object of a document, or the items of a list.

        Items are yielded before it is certain that this is a list: `kind` often comes after
        `items`.
        """
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
                f"$.kind: must be List if there are items, is {str(fields.get('kind'))[:100]}"
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
