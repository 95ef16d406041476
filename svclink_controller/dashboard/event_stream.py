"""The stream of server-sent events: everything once, then what changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec
from attrs import frozen

from svclink_controller import clock
from svclink_controller.dashboard.board import Board
from svclink_controller.dashboard.documents import SourceName, delta_document, snapshot_document
from svclink_core.codec import Json

RETRY = b"retry: 1000\n\n"
"""After how many milliseconds the browser connects again."""


@frozen
class EventStream:
    """What the page is sent.

    Args:
        board: What the page shows.
        source: Where that comes from.
        started: Since when news are kept, as RFC 3339.
        pause_seconds: The shortest time between two deltas, in which changes are gathered.
        alive_seconds: The longest time without an event.
    """

    board: Board
    source: SourceName
    started: str
    pause_seconds: float = 0.1
    alive_seconds: float = 15

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """Events as they are sent, without an end."""
        yield RETRY
        shown = -1
        while True:
            if shown < self.board.complete_since:
                shown, document = self.board.revision, self._snapshot()
                yield _message("snapshot", document)
            elif shown < self.board.revision:
                since, shown = shown, self.board.revision
                yield _message("delta", delta_document(self.board, since))
            await asyncio.sleep(self.pause_seconds)
            try:
                async with asyncio.timeout(self.alive_seconds):
                    await self.board.changed_after(shown)
            except TimeoutError:
                yield _message("alive", {"now": clock.now()})

    def _snapshot(self) -> dict[str, Json]:
        return snapshot_document(self.board, self.source, self.started)


def _message(event: str, document: dict[str, Json]) -> bytes:
    """One event. JSON has no line break in it, so it is one line of data."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), msgspec.json.encode(document))
