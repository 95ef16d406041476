"""The objects of a file: those of its documents, and the items of its lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from attrs import define, field, frozen

from svclink_controller.cli.snapshots.file_events import (
    ContentError,
    FileValue,
    ParseEvent,
    events_of,
    key_of,
    require_new,
    value_of,
)
from svclink_core.errors import SvclinkError

FileFields: TypeAlias = Mapping[str, FileValue]

USE_KUBECTL: Final = "use the output of kubectl get -o yaml"

_GZIP: Final = b"\x1f\x8b"


class DumpError(SvclinkError):
    """A file is not output of `kubectl get`; the message names file, document and field."""


@frozen
class FileObject:
    """An object of a file, and where it is: `main.yaml: document 0, item 3`."""

    where: str
    fields: FileFields

    def error(self, field_path: str, problem: str) -> DumpError:
        """The error of a field of the object."""
        return DumpError(f"{self.where}: {field_path}: {problem}")


def objects_in(path: Path) -> Iterator[FileObject]:
    """The objects of a file, each with its place; the items of a list one by one.

    Raises:
        DumpError: The file cannot be read, is empty, or is neither JSON nor YAML.
    """
    try:
        with path.open("rb") as stream:
            start = stream.peek(64)
            if start.startswith(_GZIP):
                raise DumpError(f"{path}: the file is compressed with gzip: decompress it first")
            yield from _objects(path, stream, is_json=start.lstrip()[:1] == b"{")
    except OSError as error:
        raise DumpError(f"{path}: {error.strerror}") from error


def _objects(path: Path, stream: BinaryIO, *, is_json: bool) -> Iterator[FileObject]:
    reader = _Reader(events_of(stream, is_json=is_json))
    try:
        for place, fields in reader.objects():
            yield FileObject(f"{path}: {place}", fields)
    except ContentError as error:
        raise DumpError(f"{path}: {reader.place}: {error}") from error
    if not reader.has_documents and not path.is_char_device():
        # kubectl prints a list even if there is nothing to list; /dev/null is empty on purpose.
        raise DumpError(f"{path}: the file is empty: rerun the command that created it")


@define
class _Reader:
    """Reads documents from events.

    Args:
        events: The events.
        place: The current document or item.
        has_documents: Whether any document had content.
    """

    events: Iterator[ParseEvent]
    place: str = "document 0"
    has_documents: bool = field(default=False, init=False)

    def objects(self) -> Iterator[tuple[str, FileFields]]:
        """The objects, each with its place."""
        for number, event in enumerate(self.events):
            self.place = f"document {number}"
            if event[0] == "start_map":
                self.has_documents = True
                yield from self._document()
            elif value_of(event, self.events) is not None:
                raise ContentError(f"not a Kubernetes object: {USE_KUBECTL}")

    def _document(self) -> Iterator[tuple[str, FileFields]]:
        """The object of a document, or the items of a list.

        Items are yielded before it is certain that this is a list: `kind` often comes after
        `items`. Those without a kind of their own wait for it.
        """
        document, listed = self.place, False
        fields: dict[str, FileValue] = {}
        untyped: list[tuple[str, FileFields]] = []
        while (key := key_of(next(self.events))) is not None:
            require_new(key, fields)
            event = next(self.events)
            if key == "items" and event[0] == "start_array":
                listed = True
                for place, item in self._items(document):
                    if "kind" in item or "kind" in fields:
                        yield place, _with_kind_of(fields, item)
                    else:
                        untyped.append((place, item))
                self.place = document
            else:
                fields[key] = value_of(event, self.events, 2)
        if _require_consistent(fields, listed=listed):
            yield from ((place, _with_kind_of(fields, item)) for place, item in untyped)
        else:
            yield document, fields

    def _items(self, document: str) -> Iterator[tuple[str, FileFields]]:
        rest: Iterable[ParseEvent] = iter(lambda: next(self.events), ("end_array", None))
        for index, event in enumerate(rest):
            self.place = f"{document}, item {index}"
            item = value_of(event, self.events, 3)
            is_list = isinstance(item, dict) and isinstance(item.get("items"), list)
            if not isinstance(item, dict) or (is_list and _is_list(item)):
                self.place = document
                problem = "must not be a list" if is_list else "must be an object"
                raise ContentError(f"$.items[{index}]: {problem}")
            yield self.place, item


def _is_list(fields: FileFields) -> bool:
    return str(fields.get("kind", "")).endswith("List")


def _require_consistent(fields: FileFields, *, listed: bool) -> bool:
    """Whether a document is a list."""
    is_list = _is_list(fields)
    if listed and not is_list:
        kind = str(fields.get("kind"))[:100]
        raise ContentError(f"$.kind: must be List, not {kind!r}, if there are items")
    if is_list and fields.get("items") is not None:
        raise ContentError("$.items: must be a list")
    return is_list


def _with_kind_of(fields: FileFields, item: FileFields) -> FileFields:
    """An item of a list. The API server leaves out the kind of items: that of the list says it."""
    kind = str(fields.get("kind", "")).removesuffix("List")
    if "kind" in item or not kind:
        return item
    return {"apiVersion": fields.get("apiVersion"), "kind": kind, **item}
