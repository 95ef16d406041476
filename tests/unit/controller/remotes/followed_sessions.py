"""Sessions that keep the store up to date while a test runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from svclink_controller.remotes.session import Session
from svclink_controller.state.store import Store


@asynccontextmanager
async def followed(opened: Session, store: Store) -> AsyncIterator[asyncio.Task[None]]:
    """A session of the cluster c1 that is handed over and followed; closed in the end."""
    await opened.hand_over(store, "c1")
    task = asyncio.create_task(opened.follow(store, "c1"))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        await opened.close()
