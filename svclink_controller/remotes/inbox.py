"""What woke a remote up and was not handled yet, in the order in which it happened."""

from __future__ import annotations

import asyncio
from collections import deque

from attrs import define, field

from svclink_core.remote_lifecycle import WakeUp, aborts_connecting


@define
class Inbox:
    """Wake-ups of one remote, each with its cause: only an edit interrupts work in progress."""

    _waiting: deque[WakeUp] = field(factory=deque)
    _has_any: asyncio.Event = field(factory=asyncio.Event)
    _has_interruption: asyncio.Event = field(factory=asyncio.Event)

    def put(self, wake_up: WakeUp) -> None:
        """Wake the remote up, now or when the current work ends."""
        self._waiting.append(wake_up)
        self._has_any.set()
        if aborts_connecting(wake_up):
            self._has_interruption.set()

    def take(self) -> WakeUp | None:
        """Remove and return the oldest wake-up; None if there is none."""
        if self._waiting:
            return self._waiting.popleft()
        self._has_any.clear()
        self._has_interruption.clear()
        return None

    async def any(self) -> None:
        """Wait until there is a wake-up."""
        await self._has_any.wait()

    async def interruption(self) -> None:
        """Wait until there is a wake-up that interrupts work."""
        await self._has_interruption.wait()
