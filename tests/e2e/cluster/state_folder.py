"""The folder of a run: its lock is free when the run is over, however it ended."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .cgroups import remove_groups
from .images import cache_of


@contextmanager
def state_folder() -> Iterator[Path]:
    """An empty folder for one run; other runs on this machine wait until it is over.

    The kernel releases the lock when the process of a run dies, and kills the machines of that run.
    Its files and control groups may be left over, and are removed here.
    """
    base = cache_of("clusters")
    base.mkdir(parents=True, exist_ok=True)
    folder = base / "run"
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove(folder)
        folder.mkdir()
        try:
            yield folder
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    remove_groups()
    if folder.exists():
        shutil.rmtree(folder)
