"""List and watch: select the objects of a collection, and stream their changes as lines."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Final

import msgspec
from attrs import define, frozen

from svclink_controller.demo.apiserver.resource_types import ResourceType
from svclink_controller.demo.apiserver.status_errors import JsonObject, StatusError, bad_request
from svclink_controller.demo.apiserver.storage import Storage, StorageKey, StoredChange
from svclink_controller.demo.apiserver.tables import table
from svclink_core.label_selector import Selector, SelectorError, parse_selector

BOOKMARK_SECONDS: Final = 60.0
"""How often an idle watch sends a bookmark, as in kube-apiserver."""
MAX_WATCH_SECONDS: Final = (1800, 3600)
"""Range of the length of a watch whose client sets none, as in kube-apiserver."""
END_OF_INITIAL_EVENTS: Final = {"annotations": {"k8s.io/initial-events-end": "true"}}

_FIELD_TERM: Final = re.compile(r"(?P<path>[\w.]+)(?P<operator>==|=|!=)(?P<value>[^=]*)")


@frozen
class FieldRequirement:
    """One term of a field selector, for example `metadata.name=web`."""

    path: str
    value: str
    is_equal: bool

    def matches(self, item: JsonObject) -> bool:
        """Report whether an object meets the requirement; a missing field counts as empty."""
        value: object = item
        for name in self.path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        text = "" if value is None else str(value)
        return (text == self.value) is self.is_equal


@frozen
class Collection:
    """The objects that a list or a watch asks for.

    Args:
        namespace: Only objects of this namespace; empty for all namespaces.
    """

    resource_type: ResourceType
    namespace: str
    labels: Selector
    fields: tuple[FieldRequirement, ...]

    def select(self, objects: Mapping[StorageKey, JsonObject]) -> list[JsonObject]:
        """Return the objects of this collection, sorted by namespace and name."""
        keys = sorted(key for key in objects if self._contains(key))
        return [objects[key] for key in keys if self._selects(objects[key])]

    def event_for(self, change: StoredChange) -> tuple[str, JsonObject] | None:
        """Return the type and object of the watch event for a change, or None.

        An object that the selectors no longer match is deleted for the client.
        """
        if not self._contains(change.key):
            return None
        was_selected = change.previous is not None and self._selects(change.previous)
        if change.type != "DELETED" and self._selects(change.item):
            return ("MODIFIED" if was_selected else "ADDED"), change.item
        if change.previous is None or not was_selected:
            return None
        version = {"resourceVersion": change.item["metadata"]["resourceVersion"]}
        return "DELETED", change.previous | {"metadata": change.previous["metadata"] | version}

    def _selects(self, item: JsonObject) -> bool:
        labels = item["metadata"].get("labels") or {}
        return self.labels.matches(labels) and all(each.matches(item) for each in self.fields)

    def _contains(self, key: StorageKey) -> bool:
        resource, namespace, _ = key
        return resource == self.resource_type.resource and self.namespace in ("", namespace)


def parse_collection(
    resource_type: ResourceType, namespace: str, query: Mapping[str, str]
) -> Collection:
    """Return the objects that the query of a list or watch request asks for.

    Raises:
        StatusError: 400, a selector is invalid.
    """
    try:
        labels = parse_selector(query.get("labelSelector", ""))
    except SelectorError as error:
        raise bad_request(f"unable to parse requirement: {error}") from error
    fields = tuple(_field_requirements(query.get("fieldSelector", "")))
    return Collection(resource_type, namespace, labels, fields)


def _field_requirements(selector: str) -> Iterable[FieldRequirement]:
    for text in filter(None, selector.split(",")):
        if (term := _FIELD_TERM.fullmatch(text)) is None:
            raise bad_request(f"invalid field selector: {selector!r}")
        yield FieldRequirement(term["path"], term["value"], is_equal=term["operator"] != "!=")


@define
class Watch:
    """One watch request.

    Args:
        query: The query of the request.
        as_table: Whether the client wants its objects as Tables.
        bookmark_seconds: How often an idle watch sends a bookmark.
    """

    storage: Storage
    collection: Collection
    query: Mapping[str, str]
    as_table: bool
    bookmark_seconds: float

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Stream events, one or more lines at a time, until the watch times out.

        Without a resourceVersion, the watch begins with the objects that exist.
        """
        clock = asyncio.get_running_loop().time
        end, sent = clock() + self._length(), int(self.query.get("resourceVersion") or 0)
        wants_initial_events = self.query.get("sendInitialEvents") == "true"
        if wants_initial_events or sent == 0:
            sent = self.storage.revision
            selected = self.collection.select(self.storage.objects)
            yield b"".join(self._line("ADDED", item) for item in selected)
            yield self._bookmark(sent, END_OF_INITIAL_EVENTS) if wants_initial_events else b""
        while clock() < end:
            changed = self.storage.changed
            try:
                changes = self.storage.since(sent)
            except StatusError as error:
                yield _event("ERROR", error.status)
                return
            sent = max(sent, self.storage.revision)
            yield b"".join(self._lines_for(changes))
            try:
                async with asyncio.timeout_at(min(end, clock() + self.bookmark_seconds)):
                    await changed.wait()
            except TimeoutError:
                allowed = self.query.get("allowWatchBookmarks") == "true"
                yield self._bookmark(sent, {}) if allowed else b""

    def _length(self) -> float:
        default = random.randint(*MAX_WATCH_SECONDS)  # noqa: S311
        return int(self.query.get("timeoutSeconds") or 0) or default

    def _lines_for(self, changes: Iterable[StoredChange]) -> Iterable[bytes]:
        for event in map(self.collection.event_for, changes):
            if event is not None:
                yield self._line(*event)

    def _line(self, event_type: str, item: JsonObject) -> bytes:
        if self.as_table:
            version = item["metadata"]["resourceVersion"]
            item = table(self.collection.resource_type, [item], version)
        return _event(event_type, item)

    def _bookmark(self, revision: int, metadata: JsonObject) -> bytes:
        if self.as_table:
            return b""
        resource_type = self.collection.resource_type
        bookmark: JsonObject = {
            "kind": resource_type.kind,
            "apiVersion": resource_type.api_version,
            "metadata": {"resourceVersion": str(revision), "creationTimestamp": None} | metadata,
        }
        return _event("BOOKMARK", bookmark)


def _event(event_type: str, item: JsonObject) -> bytes:
    return msgspec.json.encode({"type": event_type, "object": item}) + b"\n"
