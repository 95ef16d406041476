"""The only place that asks what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> str:
    """The present time as the Kubernetes API writes it (RFC 3339, UTC, whole seconds): `2026-01-31T12:00:00Z`."""
    return rfc3339(seconds())


def seconds() -> float:
    """The present time as POSIX seconds, for deadlines."""
    return time.time()


def rfc3339(at: float) -> str:
    """A time in POSIX seconds as the Kubernetes API writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(since: str | None, at: float) -> str:
    """The time from a timestamp of the API to one in POSIX seconds, in one unit as kubectl has it: `5s`, `3m`, `4d`."""
    if since is None:
        return "-"
    passed = max(0, int(at - datetime.fromisoformat(since).timestamp()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if passed >= 2 * size:
            return f"{passed // size}{unit}"
    return f"{passed}s"


def micro_time() -> str:
    """The present time as the Kubernetes API writes a MicroTime: RFC 3339, UTC, always six digits after the seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def elapsed() -> float:
    """Seconds since some moment of the past, by a clock that nobody sets: that of the event loop, for durations."""
    return time.monotonic()
