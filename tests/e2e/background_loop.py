"""Servers in a thread of their own, so that a test may block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

from .control_planes import START_SECONDS

T = TypeVar("T")


@contextmanager
def in_background(
    servers: AbstractAsyncContextManager[T],
) -> Iterator[tuple[T, asyncio.AbstractEventLoop]]:
    """Enter an asynchronous context in a thread, until this one is left; also gives its loop."""
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    entered: list[T] = []

    async def serve() -> None:
        async with servers as value:
            entered.append(value)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        assert started.wait(START_SECONDS), "the servers did not start"
        yield entered[0], loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
