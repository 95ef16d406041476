"""Polling until a check passes, or to see that it keeps passing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from .api_client import ApiError

T = TypeVar("T")

# Long enough for a busy machine. It slows nothing down: a wait ends as soon as its check passes.
TIMEOUT_SECONDS: Final = 30.0


def eventually(check: Callable[[], T], timeout: float = TIMEOUT_SECONDS) -> T:
    """Call `check` every 20 ms until it succeeds, and return its result.

    Raises:
        AssertionError: `check` still fails after the timeout, in seconds; carries its last error.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return check()
        except (AssertionError, ApiError, OSError) as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"still failing after {timeout:g} s: {error}") from error
        time.sleep(0.02)


def consistently(seconds: float, check: Callable[[], object]) -> None:
    """Call `check` every 0.2 s for this many seconds; the first failure is raised at once."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        time.sleep(0.2)
    check()
