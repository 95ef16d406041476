"""Watches: what happened since a resourceVersion, as lines, until the time is over or the client leaves."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Final

import msgspec
from attrs import define, frozen

from svclink_controller.demo.apiserver.resource_types import ResourceType
from svclink_controller.demo.apiserver.status_errors import JsonObject, StatusError, bad_request
from svclink_controller.demo.apiserver.storage import Storage, StoredChange
from svclink_controller.demo.apiserver.tables import table
from svclink_controller.wire import label_selector
from svclink_controller.wire.label_selector import LabelSelector, SelectorError

BOOKMARK_SECONDS: Final = 60.0
"""How often an idle watch sends a bookmark, as in kube-apiserver."""
MAX_WATCH_SECONDS: Final = (1800, 3600)
END_OF_INITIAL_EVENTS: Final = {"annotations": {"k8s.io/initial-events-end": "true"}}


@frozen
class Collection:
    """The objects of a kind, in one namespace or (empty) in all, that selectors let through.

    Args:
        fields: Paths in an object, each with a value and whether it is to be this value.
    """

    kind: ResourceType
    namespace: str
    labels: LabelSelector
    fields: tuple[tuple[str, str, bool], ...]

    def among(self, objects: Mapping[tuple[str, str, str], JsonObject]) -> list[JsonObject]:
        """Those of some objects, by namespace and name."""
        keys = sorted(key for key in objects if self._has(key))
        return [objects[key] for key in keys if self._selects(objects[key])]

    def sees(self, change: StoredChange) -> tuple[str, JsonObject] | None:
        """A change as it is for this collection: an object that is no longer let through is deleted."""
        if not self._has(change.key):
            return None
        was_here = change.previous is not None and self._selects(change.previous)
        if change.type != "DELETED" and self._selects(change.item):
            return ("MODIFIED" if was_here else "ADDED"), change.item
        if change.previous is None or not was_here:
            return None
        version = {"resourceVersion": change.item["metadata"]["resourceVersion"]}
        return "DELETED", change.previous | {"metadata": change.previous["metadata"] | version}

    def _selects(self, item: JsonObject) -> bool:
        labels = item["metadata"].get("labels") or {}
        wanted = (
            (_field(item, path) == value) is is_wanted for path, value, is_wanted in self.fields
        )
        return self.labels.matches(labels) and all(wanted)

    def _has(self, key: tuple[str, str, str]) -> bool:
        return key[0] == self.kind.resource and self.namespace in ("", key[1])


def collection(kind: ResourceType, namespace: str, query: Mapping[str, str]) -> Collection:
    """The objects a list or a watch asks for.

    Raises:
        StatusError: 400, a selector makes no sense.
    """
    try:
        labels = label_selector.parse(query.get("labelSelector", ""))
    except SelectorError as error:
        raise bad_request(f"unable to parse requirement: {error}") from error
    terms = [_TERM.fullmatch(text) for text in query.get("fieldSelector", "").split(",") if text]
    if None in terms:
        raise bad_request(f"invalid field selector: {query['fieldSelector']!r}")
    fields = tuple(
        (term["path"], term["value"], term["operator"] != "!=")
        for term in terms
        if term is not None
    )
    return Collection(kind, namespace, labels, fields)


_TERM: Final = re.compile(r"(?P<path>[\w.]+)(?P<operator>==|=|!=)(?P<value>[^=]*)")


def _field(item: JsonObject, path: str) -> str:
    """A field that is not there is empty, unlike a label."""
    value: object = item
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return "" if value is None else str(value)


@define
class Watch:
    """One watch. `lines` gives its lines in portions, as they become known."""

    storage: Storage
    collection: Collection
    query: Mapping[str, str]
    as_table: bool
    bookmark_seconds: float

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """What is there (where the watch does not say from where on), and then what happens."""
        seconds = int(self.query.get("timeoutSeconds") or 0) or random.randint(*MAX_WATCH_SECONDS)  # noqa: S311
        now = asyncio.get_running_loop().time
        end, reached = now() + seconds, int(self.query.get("resourceVersion") or 0)
        wants_all = self.query.get("sendInitialEvents") == "true"
        if wants_all or reached == 0:
            reached = self.storage.revision
            yield b"".join(
                self._line("ADDED", item) for item in self.collection.among(self.storage.objects)
            )
            yield self._bookmark(reached, END_OF_INITIAL_EVENTS) if wants_all else b""
        while now() < end:
            news = self.storage.news
            try:
                changes = self.storage.since(reached)
            except StatusError as error:
                yield _event("ERROR", error.status)
                return
            reached = max(reached, self.storage.revision)
            yield b"".join(
                self._line(*seen) for seen in map(self.collection.sees, changes) if seen is not None
            )
            try:
                async with asyncio.timeout_at(min(end, now() + self.bookmark_seconds)):
                    await news.wait()
            except TimeoutError:
                yield (
                    self._bookmark(reached, {})
                    if self.query.get("allowWatchBookmarks") == "true"
                    else b""
                )

    def _line(self, kind: str, item: JsonObject) -> bytes:
        version = item["metadata"]["resourceVersion"]
        return _event(kind, table(self.collection.kind, [item], version) if self.as_table else item)

    def _bookmark(self, revision: int, metadata: JsonObject) -> bytes:
        kind = self.collection.kind
        item = {"kind": kind.name, "apiVersion": kind.api_version}
        meta: JsonObject = {"resourceVersion": str(revision), "creationTimestamp": None} | metadata
        return self._line("BOOKMARK", item | {"metadata": meta}) if not self.as_table else b""


def _event(kind: str, content: JsonObject) -> bytes:
    return msgspec.json.encode({"type": kind, "object": content}) + b"\n"
