"""Notices files that are read, programs that are started, and connections: audit events."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PROGRAMS: Final = (
    "subprocess.Popen",
    "os.exec",
    "os.system",
    "os.posix_spawn",
    "os.fork",
    "pty.spawn",
)
NETWORK: Final = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
)

_OWN: Final = tuple(
    str(Path(each).resolve())
    for each in (sys.prefix, sys.base_prefix, os.__file__.rpartition("/")[0])
)
_SOURCES: Final = (".py", ".pyc", ".so")


class Audit:
    """What happened in this process while it was watched. A hook cannot be removed from Python."""

    def __init__(self) -> None:
        self._seen: list[str] | None = None
        self._allowed: tuple[str, ...] = ()
        sys.addaudithook(self._notice)

    @contextmanager
    def watching(self, *allowed: str, reads_files: bool = False) -> Iterator[list[str]]:
        """The events of a block, apart from files in the allowed directories.

        Args:
            allowed: Directories whose files may be read.
            reads_files: Whether any file may be read.
        """
        seen: list[str] = []
        self._allowed = ("",) if reads_files else allowed
        self._seen = seen
        try:
            yield seen
        finally:
            self._seen = None

    def _notice(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._seen is None:
            return
        if event.startswith(PROGRAMS + NETWORK):
            self._seen.append(event)
        elif event == "open" and not self._may_open(arguments[0]):
            self._seen.append(f"open {arguments[0]!r}")

    def _may_open(self, name: object) -> bool:
        if not isinstance(name, str | bytes):  # A descriptor that is open already.
            return isinstance(name, int)
        path = str(Path(os.fsdecode(name)).absolute())
        is_source = path.endswith(_SOURCES) and path.startswith(_OWN)
        return is_source or path.startswith(self._allowed)


def temporary_directories() -> tuple[str, ...]:
    """Where svclink writes certificates for OpenSSL, with the prefix of names that it chooses."""
    return tuple(f"{each}/tmp" for each in ("/dev/shm", tempfile.gettempdir()))  # noqa: S108
