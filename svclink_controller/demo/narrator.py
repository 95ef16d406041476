"""Print the demo: live on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, TypeAlias

from attrs import frozen
from rich.console import Console
from rich.text import Text

Endpoints: TypeAlias = Mapping[str, Mapping[str, bool | None]]
"""Whether each endpoint of a Service is ready, by cluster name and address; None for a standby."""

_WORDS: Final = {True: ("ready", "green"), False: ("NOT READY", "yellow"), None: ("standby", "")}
"""What an endpoint is called, and its color."""

CHAPTER_PAUSE_SECONDS: Final = 1.2
"""How long a terminal shows the result of one chapter before the next begins."""


@frozen
class Narrator:
    """Print the story of the demo.

    Args:
        chapter_pause: Seconds between two chapters on a terminal, so that a person can read along.
    """

    console: Console
    chapter_pause: float = CHAPTER_PAUSE_SECONDS

    def title(self, text: str) -> None:
        """Print the first line in bold, with no pause before it."""
        self.console.print(Text(text, "bold"))

    async def chapter(self, text: str) -> None:
        """Announce in bold what happens next."""
        if self.console.is_terminal:
            await asyncio.sleep(self.chapter_pause)
        self.console.print()
        self.title(text)

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Show a spinner on a terminal while the context is active."""
        if self.console.is_terminal:
            return self.console.status(f"[dim]{text} ...")
        return nullcontext()

    def verified(self, text: str, seconds: float | None = None) -> None:
        """Print a fact that was checked, and how long it took to become true."""
        line = Text.assemble(("  ✔ ", "green"), text)
        if seconds is not None:
            line.append(f", after {_duration(seconds)}", "dim")
        self.console.print(line)

    def endpoints(self, endpoints: Endpoints, before: Endpoints) -> None:
        """Print one line per cluster, the main cluster first; changed endpoints are bold."""
        for cluster in sorted(endpoints, key=lambda name: (name != "main", name)):
            line = Text(f"    {cluster:11}")
            for address, is_ready in sorted(endpoints[cluster].items()):
                has_changed = before.get(cluster, {}).get(address) != is_ready
                word, color = _WORDS[is_ready]
                line.append(f"{address} {word}   ", f"{'bold ' if has_changed else ''}{color}")
            line.rstrip()
            self.console.print(line)

    def paragraph(self, text: str) -> None:
        """Print text as it is."""
        self.console.print(Text(text))


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
