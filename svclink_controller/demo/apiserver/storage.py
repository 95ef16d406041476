"""Objects and their recent changes, like etcd and the watch cache of a real API server."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from attrs import define, field, frozen

from svclink_controller.demo.apiserver.status_errors import JsonObject, expired

StorageKey: TypeAlias = tuple[str, str, str]
"""Resource, namespace (empty for a cluster-scoped object) and name."""

ChangeType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]

HISTORY: Final = 5000
"""Minimum number of changes kept; a watch from before them gets 410 Expired."""


@frozen
class StoredChange:
    """One write. `item` has the resourceVersion of the change, even for a deletion."""

    type: ChangeType
    key: StorageKey
    item: JsonObject
    previous: JsonObject | None


@define
class Storage:
    """All objects of a cluster. Each write gets the next resourceVersion.

    Args:
        journal: Storage reads this file at the start and appends each write to it; None keeps
            the objects in memory only.
        history: Minimum number of changes kept.
    """

    journal: Path | None = None
    history: int = HISTORY
    objects: dict[StorageKey, JsonObject] = field(factory=dict)
    revision: int = 1
    changed: asyncio.Event = field(factory=asyncio.Event)
    """Set by the next write, which also replaces it by a new event."""
    _changes: list[StoredChange] = field(factory=list)
    _file: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.journal is None:
            return
        self._file = os.open(self.journal, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        *lines, incomplete = self.journal.read_bytes().split(b"\n")
        for line in lines:
            key, item, deleted = msgspec.json.decode(line, type=tuple[StorageKey, JsonObject, bool])
            self._record(key, item, deleted=deleted)
        if incomplete:
            os.ftruncate(self._file, sum(len(line) + 1 for line in lines))

    def put(self, key: StorageKey, item: JsonObject) -> JsonObject:
        """Store an object and return it with its new resourceVersion."""
        return self._write(key, item, deleted=False)

    def remove(self, key: StorageKey) -> JsonObject:
        """Delete an object and return it with the resourceVersion of the deletion."""
        return self._write(key, self.objects[key], deleted=True)

    def since(self, revision: int) -> list[StoredChange]:
        """Return the changes after a resourceVersion.

        Raises:
            StatusError: 410, some of these changes are no longer kept.
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
        self._changes.append(
            StoredChange(_change_type(previous, deleted=deleted), key, item, previous)
        )
        if len(self._changes) > 2 * self.history:
            del self._changes[: self.history]
        self.changed.set()
        self.changed = asyncio.Event()


def _change_type(previous: JsonObject | None, *, deleted: bool) -> ChangeType:
    if deleted:
        return "DELETED"
    return "ADDED" if previous is None else "MODIFIED"
