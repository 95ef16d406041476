"""Tests wait for a state, and never for a duration, while something runs beside them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager


async def eventually(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Waits until a condition holds.

    The deadline only ends a test that would wait forever; no test fails because it is slow.
    """
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - a state of the world has no event to wait for
                await asyncio.sleep(0.002)
    except TimeoutError:
        source = inspect.getsource(condition).strip()
        raise AssertionError(f"not reached in {seconds:g} s: {source}") from None


@asynccontextmanager
async def in_background(
    coroutine: Coroutine[None, None, None],
) -> AsyncIterator[asyncio.Task[None]]:
    """Runs a coroutine while the context is active, and waits for its end."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
