"""Polling until a check passes, or to see that it keeps passing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from .api_client import ApiError

T = TypeVar("T")

# Long enough for a busy machine. It slows nothing down: a wait ends as soon as its check passes.
TIMEOUT_SECONDS: Final = 30.0

# A check often sends requests. The longer a wait lasts, the less it matters to notice its end at
# once, and the more it costs to look often.
PAUSES: Final = (0.02, 0.2)
SHARE_OF_WAIT: Final = 0.1


def eventually(check: Callable[[], T], timeout: float = TIMEOUT_SECONDS) -> T:
    """Call `check` until it succeeds, and return its result.

    The pauses begin with 20 ms, and grow with the time that the wait has taken so far.

    The last check begins after the timeout: on a busy machine, one check may take that long.

    Raises:
        AssertionError: `check` still fails after the timeout, in seconds; carries its last error.
    """
    started = time.monotonic()
    while True:
        is_last = time.monotonic() > started + timeout
        try:
            return check()
        except (AssertionError, ApiError, OSError) as error:
            if is_last:
                raise AssertionError(f"still failing after {timeout:g} s: {error}") from error
        shortest, longest = PAUSES
        time.sleep(min(longest, max(shortest, SHARE_OF_WAIT * (time.monotonic() - started))))


def consistently(seconds: float, check: Callable[[], object]) -> None:
    """Call `check` every 0.2 s for this many seconds; the first failure is raised at once."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        time.sleep(0.2)
    check()
