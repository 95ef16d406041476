"""Objects by key, and the changes that led to them: what etcd and the watch cache are to a real API server."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from attrs import define, field, frozen

from svclink_controller.demo.apiserver.status_errors import JsonObject, expired

StorageKey: TypeAlias = tuple[str, str, str]
"""Resource, namespace (empty for what has none) and name."""

HISTORY: Final = 5000
"""Changes that are remembered at least; a watch from before them is refused."""


@frozen
class StoredChange:
    """One write. `item` carries the resourceVersion of the change, also where it was deleted."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    key: StorageKey
    item: JsonObject
    previous: JsonObject | None


@define
class Storage:
    """Everything a cluster holds. Each write has the next resourceVersion.

    Args:
        journal: File that writes are appended to, and read from at the start; None: the content goes with the process.
        history: See `HISTORY`.
    """

    journal: Path | None = None
    history: int = HISTORY
    objects: dict[StorageKey, JsonObject] = field(factory=dict)
    revision: int = 1
    news: asyncio.Event = field(factory=asyncio.Event)
    _changes: list[StoredChange] = field(factory=list)
    _file: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.journal is None:
            return
        self._file = os.open(self.journal, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        *lines, torn = self.journal.read_bytes().split(b"\n")
        for line in lines:
            key, item, deleted = msgspec.json.decode(line, type=tuple[StorageKey, JsonObject, bool])
            self._record(key, item, deleted=deleted)
        if torn:
            os.ftruncate(self._file, sum(len(line) + 1 for line in lines))

    def put(self, key: StorageKey, item: JsonObject) -> JsonObject:
        """Store an object; returns it with its new resourceVersion."""
        return self._write(key, item, deleted=False)

    def remove(self, key: StorageKey) -> JsonObject:
        """Delete an object; returns its last state, with the resourceVersion of the deletion."""
        return self._write(key, self.objects[key], deleted=True)

    def since(self, revision: int) -> list[StoredChange]:
        """The changes after a resourceVersion.

        Raises:
            StatusError: 410, not all of them are remembered.
        """
        missed = self.revision - revision
        if missed > len(self._changes):
            oldest = self.revision - len(self._changes)
            raise expired(f"too old resource version: {revision} ({oldest})")
        return self._changes[len(self._changes) - missed :] if missed > 0 else []

    def _write(self, key: StorageKey, item: JsonObject, *, deleted: bool) -> JsonObject:
        stored = item | {"metadata": item["metadata"] | {"resourceVersion": str(self.revision + 1)}}
        if self._file is not None:
            os.write(self._file, msgspec.json.encode((key, stored, deleted)) + b"\n")
        self._record(key, stored, deleted=deleted)
        return stored

    def _record(self, key: StorageKey, item: JsonObject, *, deleted: bool) -> None:
        previous = self.objects.get(key)
        self.revision += 1
        if deleted:
            del self.objects[key]
        else:
            self.objects[key] = item
        kind: Literal["ADDED", "MODIFIED", "DELETED"] = (
            "DELETED" if deleted else "ADDED" if previous is None else "MODIFIED"
        )
        self._changes.append(StoredChange(kind, key, item, previous))
        if len(self._changes) > 2 * self.history:
            del self._changes[: self.history]
        self.news.set()
        self.news = asyncio.Event()
