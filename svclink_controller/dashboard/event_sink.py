"""Reads the Kubernetes Events that svclink wrote, or shows why they cannot be read."""

from __future__ import annotations

from typing import Final

import structlog
from attrs import frozen

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.dashboard.board import Board
from svclink_controller.election.access_reviews import is_allowed
from svclink_controller.reflect.reflector import ReadError, Reflector, reflect_forever
from svclink_controller.wire.messages import Listing, Undecodable, WireError
from svclink_controller.wire.resources import EVENTS
from svclink_controller.wire.written_events import FROM_SVCLINK, WrittenEvent
from svclink_core.meta_v1 import NamespacedName

NOT_PERMITTED: Final = "you do not have permission to list Events in the main cluster"

log = structlog.get_logger()


@frozen
class EventSink:
    """Shows Events. One that was deleted stays: the API server deletes each after an hour."""

    board: Board

    async def replace(self, listing: Listing[WrittenEvent]) -> None:
        """Take a complete list."""
        self.board.replace_events(listing.items)

    def apply(self, item: WrittenEvent) -> None:
        """Add or change an Event."""
        self.board.put_event(item)

    def remove(self, key: NamespacedName) -> None:
        """Keep what happened."""

    def mark_undecodable(self, each: Undecodable) -> None:
        """Leave an Event out that could not be decoded."""


async def reflect_events(client: Client, board: Board) -> None:
    """List and watch the Events until cancelled, unless that is not permitted."""
    if not await _may_list(client):
        log.info("events not read", problem=NOT_PERMITTED)
        board.note_events_problem(NOT_PERMITTED)
        return

    def fail(error: ReadError) -> None:
        log.info("events not read", problem=str(error))
        board.note_events_problem(f"cannot list Events in the main cluster: {error}")

    reflector = Reflector(client, EVENTS, field_selector=FROM_SVCLINK)
    await reflect_forever(reflector, EventSink(board), fail)


async def _may_list(client: Client) -> bool:
    """Whether to list Events. A request that would be denied shows in the audit log."""
    try:
        return await is_allowed(client, {"resource": EVENTS.plural, "verb": "list"})
    except (ApiError, TransportError, WireError):
        return True  # The list tells.
