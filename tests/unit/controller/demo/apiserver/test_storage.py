"""Storage orders writes, keeps recent ones, and restores them from a journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from svclink_controller.demo.apiserver.status_errors import JsonObject, StatusError
from svclink_controller.demo.apiserver.storage import Storage, StorageKey

KEY: StorageKey = ("services", "default", "web")


def item(**fields: object) -> JsonObject:
    return {"metadata": {"name": "web"}} | fields


def test_each_write_gets_the_next_resource_version() -> None:
    """A deletion gets one as well, and `since` returns changes in order."""
    storage = Storage()
    first = storage.put(KEY, item(a=1))
    storage.put(KEY, item(a=2))
    storage.remove(KEY)

    changes = storage.since(int(first["metadata"]["resourceVersion"]))

    assert [(change.type, change.item["metadata"]["resourceVersion"]) for change in changes] == [
        ("MODIFIED", "3"),
        ("DELETED", "4"),
    ]
    assert storage.since(storage.revision) == []
    assert storage.since(10_000) == []


def test_old_changes_are_dropped() -> None:
    """Storage keeps at least `history` changes, and at most twice as many."""
    storage = Storage(history=5)
    for i in range(100):
        storage.put(KEY, item(a=i))

    assert len(storage.since(storage.revision - 5)) == 5
    with pytest.raises(StatusError, match="too old resource version: 1 ") as caught:
        storage.since(1)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


def test_journal_restores_everything(tmp_path: Path) -> None:
    """It restores objects, resourceVersions and changes; only its owner can read the file."""
    journal = tmp_path / "journal"
    before = Storage(journal)
    before.put(KEY, item(a=1))
    before.put(("services", "default", "gone"), item())
    before.remove(("services", "default", "gone"))

    after = Storage(journal)

    assert (after.objects, after.revision, after.since(1)) == (
        before.objects,
        before.revision,
        before.since(1),
    )
    assert journal.stat().st_mode & 0o077 == 0


def test_incomplete_line_of_journal_is_dropped(tmp_path: Path) -> None:
    """A server that was killed during a write had not answered the request."""
    journal = tmp_path / "journal"
    Storage(journal).put(KEY, item(a=1))
    with journal.open("ab") as file:
        file.write(b'[["services","def')

    storage = Storage(journal)
    storage.put(KEY, item(a=2))

    assert Storage(journal).objects[KEY]["a"] == 2
