"""Where metrics and probes are served."""

from __future__ import annotations

import errno
import os

from attrs import frozen


@frozen
class ListenAddress:
    """A host (empty: every interface) and a port (0: any free port)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def why_not_listening(error: OSError | OverflowError) -> str:
    """Why a port cannot be listened on, without the address, which asyncio adds to the cause."""
    if isinstance(error, OverflowError):
        return str(error)
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return error.strerror or str(error)
