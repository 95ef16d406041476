"""Where metrics and probes are served."""

from __future__ import annotations

from attrs import frozen


@frozen
class ListenAddress:
    """A host (empty: every interface) and a port (0: any free port)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
