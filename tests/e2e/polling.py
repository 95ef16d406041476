"""Waiting for the world to become, or to stay, as it should be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from .api_client import ApiError

T = TypeVar("T")

# Long enough for a busy machine. Nothing is slower for it: a wait ends as soon as what it waits for is so.
PATIENCE: Final = 30.0


def eventually(check: Callable[[], T], timeout: float = PATIENCE) -> T:
    """Call `check` every 20 ms until it raises nothing, and return what it returned.

    Raises:
        AssertionError: the last failure of `check`, when the timeout (in seconds) is over.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return check()
        except (AssertionError, ApiError, OSError) as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"still not so after {timeout:g} s: {error}") from error
        time.sleep(0.02)


def throughout(seconds: float, check: Callable[[], object]) -> None:
    """Call `check` again and again for so many seconds; its first failure ends the wait."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        time.sleep(0.2)
    check()
