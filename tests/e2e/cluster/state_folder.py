"""The folder of a test process: its lock is free when the process ends, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.e2e.loopback_ports import TEST_PROCESS
from tests.e2e.traffic.network import run

from .cgroups import remove_groups
from .images import cache_of

SIZE: Final = "4g"


@contextmanager
def state_folder() -> Iterator[Path]:
    """An empty folder in memory. What killed runs have left is removed first.

    The kernel releases the lock when the process dies, and kills its machines. Its folder and
    control groups may be left over. Files in memory are removed at once; those of unpacked images
    on a disk can take a minute.
    """
    base = cache_of("clusters")
    folder = base / f"run-{TEST_PROCESS}"
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(base)
    with (base / f"lock-{TEST_PROCESS}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", str(folder))
        try:
            yield folder
        finally:
            _remove(TEST_PROCESS, folder)


def _remove_leftovers(base: Path) -> None:
    """Remove the folders and control groups of all test processes that have ended."""
    for folder in base.glob("run-*"):
        process = int(folder.name.removeprefix("run-"))
        with (base / f"lock-{process}").open("w") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(process, folder)


def _remove(process: int, folder: Path) -> None:
    remove_groups(process)
    while folder.is_mount():
        run("umount", "--lazy", str(folder))
