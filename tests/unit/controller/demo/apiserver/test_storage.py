"""Writes have one order, are remembered for a while, and outlive the process where there is a journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from svclink_controller.demo.apiserver.status_errors import JsonObject, StatusError
from svclink_controller.demo.apiserver.storage import Storage, StorageKey

KEY: StorageKey = ("services", "default", "web")


def item(**fields: object) -> JsonObject:
    return {"metadata": {"name": "web"}} | fields


def test_each_write_has_the_next_resource_version() -> None:
    """So has a deletion, and the changes since any of them are told in order."""
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


def test_what_is_too_long_ago_is_forgotten() -> None:
    """At least `history` changes are remembered, never more than twice as many."""
    storage = Storage(history=5)
    for i in range(100):
        storage.put(KEY, item(a=i))

    assert len(storage.since(storage.revision - 5)) == 5
    with pytest.raises(StatusError, match="too old resource version: 1 ") as caught:
        storage.since(1)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


def test_a_journal_brings_everything_back(tmp_path: Path) -> None:
    """Objects, resourceVersions and the changes that are remembered; the file is for its user alone."""
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


def test_a_line_that_was_cut_off_is_as_if_never_written(tmp_path: Path) -> None:
    """A server that was killed in the middle of a write had not answered it."""
    journal = tmp_path / "journal"
    Storage(journal).put(KEY, item(a=1))
    with journal.open("ab") as file:
        file.write(b'[["services","def')

    storage = Storage(journal)
    storage.put(KEY, item(a=2))

    assert Storage(journal).objects[KEY]["a"] == 2
