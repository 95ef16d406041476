"""Sessions that keep the store up to date while a test runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from svclink_controller.remotes.session import Session
from svclink_controller.state.store import Store
from tests.unit.controller.waiting import in_background


@asynccontextmanager
async def followed(opened: Session, store: Store) -> AsyncIterator[asyncio.Task[None]]:
    """A session of the cluster c1 that is handed over and followed; closed in the end."""
    await opened.hand_over(store, "c1")
    try:
        async with in_background(opened.follow(store, "c1")) as task:
            yield task
    finally:
        await opened.close()
