"""The session that a remote has in use."""

from __future__ import annotations

import asyncio
from typing import Final

from attrs import define, field

from svclink_controller.remotes.session import Session
from svclink_core.credential_expiry import Expiry

HEALTHY_CONNECTION_SECONDS: Final = 60
"""A connection that lasted this long was healthy: its end is a new problem, with short pauses."""


@define
class LiveSession:
    """The session in use, and the task that feeds the store from it.

    Args:
        session: The open session.
        following: The task.
        expiries: When the credentials of the session expire; None if that is not known.
    """

    session: Session
    following: asyncio.Task[None]
    expiries: tuple[Expiry, ...] | None
    since: float = field(factory=lambda: asyncio.get_running_loop().time())

    @property
    def is_healthy(self) -> bool:
        """Whether the connection lasted long."""
        return asyncio.get_running_loop().time() - self.since > HEALTHY_CONNECTION_SECONDS

    async def end(self) -> None:
        """Stop following, and close the session."""
        self.following.cancel()
        await asyncio.wait({self.following})
        await self.session.close()
