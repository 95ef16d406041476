"""How the demo is told: live on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, TypeAlias

from attrs import frozen
from rich.console import Console
from rich.text import Text

Endpoints: TypeAlias = Mapping[str, Mapping[str, bool]]
"""The endpoints of a Service by cluster: which address is ready."""

CHAPTER_PAUSE_SECONDS: Final = 1.2
"""How long a terminal shows the result of one chapter before the next begins."""


@frozen
class Narrator:
    """Prints the story."""

    console: Console
    chapter_pause: float = CHAPTER_PAUSE_SECONDS

    def opening(self, text: str) -> None:
        """What is done first."""
        self.console.print(Text(text, "bold"))

    async def chapter(self, text: str) -> None:
        """What is done next."""
        if self.console.is_terminal:
            await asyncio.sleep(self.chapter_pause)
        self.console.print()
        self.console.print(Text(text, "bold"))

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Shows on a terminal what is waited for."""
        return (
            self.console.status(f"[dim]{text} ...") if self.console.is_terminal else nullcontext()
        )

    def done(self, text: str, seconds: float) -> None:
        """What came of it, and how soon."""
        after = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
        self.console.print(Text.assemble(("  ✔ ", "green"), text, (f", after {after}", "dim")))

    def holds(self, text: str) -> None:
        """What stayed as it was."""
        self.console.print(Text.assemble(("  ✔ ", "green"), text))

    def endpoints(self, endpoints: Endpoints, before: Endpoints) -> None:
        """The endpoints of a Service, one line a cluster; what is new stands out."""
        for cluster, addresses in sorted(
            endpoints.items(), key=lambda item: (item[0] != "main", item[0])
        ):
            line = Text(f"    {cluster:11}")
            for address, is_ready in sorted(addresses.items()):
                is_new = before.get(cluster, {}).get(address) != is_ready
                style = ("bold " if is_new else "") + ("green" if is_ready else "yellow")
                line.append(f"{address} {'ready' if is_ready else 'NOT READY'}   ", style)
            line.rstrip()
            self.console.print(line)

    def text(self, text: str) -> None:
        """Something else worth knowing."""
        self.console.print(Text(text))
