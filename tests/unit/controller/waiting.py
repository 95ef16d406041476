"""Tests wait for a state, and never for a duration."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable


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
