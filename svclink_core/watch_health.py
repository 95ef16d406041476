"""When a watch is replaced, and when its kind is listed again. Silence is not health.

A proxy can keep a watch open and forward nothing, or cut it before anything was said. An API server
sends a bookmark about every minute, and another one about two seconds before a watch times out.

Source: docs/how-to/runbook.md, "SvclinkWatchIsSilent".
"""

from __future__ import annotations

from typing import Final

from attrs import evolve, frozen

BOOKMARK_INTERVAL_SECONDS: Final = 60
MISSED_BOOKMARKS: Final = 3
SILENT_WATCHES: Final = 3

SILENCE_SECONDS: Final = MISSED_BOOKMARKS * BOOKMARK_INTERVAL_SECONDS + 15
"""A watch that sent nothing for this long is replaced. A bookmark may be a little late."""

LONGEST_WATCH_SECONDS: Final = 600
SHORTEST_WATCH_SECONDS: Final = 5


@frozen
class WatchHealth:
    """What the watches of one kind have shown. Times are in seconds, on a clock without jumps.

    Args:
        heard_at: When a watch last sent anything. Before the first event, when the kind was listed.
        listed_at: When the kind was last listed.
        lifetime: For how long the next watch may stay open.
    """

    heard_at: float
    listed_at: float
    lifetime: int = LONGEST_WATCH_SECONDS


@frozen
class EndedWatch:
    """A watch that ended, whichever side ended it.

    Args:
        began_at: When it was requested.
        ended_at: When it ended.
        heard_at: When it last sent an event or a bookmark; None if it sent nothing.
    """

    began_at: float
    ended_at: float
    heard_at: float | None = None


def after_watch(health: WatchHealth, watch: EndedWatch) -> WatchHealth:
    """What is known after a watch ended.

    The next watch is shorter if this one was silent and ended early. The server then ends it before
    the proxy does, and sends a bookmark first. A proxy that buffers passes on what it has.
    """
    seconds = watch.ended_at - watch.began_at
    if watch.heard_at is None and seconds < health.lifetime:
        shorter = min(int(seconds * 3 / 4), BOOKMARK_INTERVAL_SECONDS)
        return evolve(health, lifetime=max(shorter, SHORTEST_WATCH_SECONDS))
    heard_at = health.heard_at if watch.heard_at is None else watch.heard_at
    lifetime = min(2 * health.lifetime, LONGEST_WATCH_SECONDS)
    return evolve(health, heard_at=heard_at, lifetime=lifetime)


def is_silent(health: WatchHealth, now: float) -> bool:
    """Whether one watch after the other sent nothing, for so long that changes may be missing."""
    return now - health.heard_at >= SILENT_WATCHES * MISSED_BOOKMARKS * BOOKMARK_INTERVAL_SECONDS


def must_relist(health: WatchHealth, now: float) -> bool:
    """Whether the kind has to be listed, because its watches are silent."""
    return (
        is_silent(health, now)
        and now - health.listed_at >= MISSED_BOOKMARKS * BOOKMARK_INTERVAL_SECONDS
    )
