"""The clocks of the controller. No other module reads the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> str:
    """The current time as in the Kubernetes API: RFC 3339 in UTC, `2026-01-31T12:00:00Z`."""
    return rfc3339(seconds())


def seconds() -> float:
    """The current time as POSIX seconds. An administrator can set it: use it to show times."""
    return time.time()


def rfc3339(at: float) -> str:
    """A time in POSIX seconds as in the Kubernetes API."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(since: str | None, at: float) -> str:
    """The time since a timestamp of the API, in one unit as in kubectl: `5s`, `3m`, `4d`.

    Args:
        since: RFC 3339; None gives `-`.
        at: The current time in POSIX seconds.
    """
    if since is None:
        return "-"
    passed = max(0, int(at - datetime.fromisoformat(since).timestamp()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if passed >= 2 * size:
            return f"{passed // size}{unit}"
    return f"{passed}s"


def micro_time() -> str:
    """The current time as a MicroTime of the Kubernetes API: RFC 3339 in UTC with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def epoch() -> float:
    """The POSIX time at which the monotonic clock read zero, if the wall clock is right now."""
    return seconds() - elapsed()


def elapsed() -> float:
    """Seconds on the monotonic clock, for durations and deadlines: the clock of the event loop."""
    return time.monotonic()
