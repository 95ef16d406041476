"""Throttles repeated warnings and errors: they are logged at growing intervals, with a count.

Every failed request is retried, for every object: without this, an hour without the main cluster
would fill the log with one repeated line.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Final, TypeAlias

import structlog
from attrs import define, field

from svclink_controller import clock

QUIET_SECONDS: Final = 10
MAX_QUIET_SECONDS: Final = 600
"""An equal line is logged again after 10 s, then 20 s, 40 s and so on, up to 10 minutes."""

BURST: Final = 20
"""Lines of one event that are logged within `QUIET_SECONDS`, if many objects fail alike."""

MAX_REMEMBERED_LINES: Final = 1000
"""Lines to remember; the line that has not been seen for the longest time is forgotten first."""

THROTTLED: Final = frozenset({"warning", "error", "exception", "critical"})

LogEvent: TypeAlias = MutableMapping[str, object]


@define
class _Line:
    """When a line may be logged again, and how often it was suppressed."""

    next_at: float = 0
    quiet: float = QUIET_SECONDS / 2
    suppressed: int = 0


@define
class _Kind:
    """The lines of one event, for any object, in the current interval."""

    until: float = 0
    logged: int = 0
    suppressed: int = 0


@define
class LogThrottle:
    """A structlog processor that drops repeated warnings and errors.

    It adds `repeated`, how often an equal line was dropped since it was last logged, and
    `left_out`, how many lines of the same event about other objects were dropped.

    Args:
        now: Returns seconds on a monotonic clock.
    """

    now: Callable[[], float] = clock.elapsed
    _lines: OrderedDict[object, _Line] = field(factory=OrderedDict)
    _kinds: dict[str, _Kind] = field(factory=dict)

    def __call__(self, _: object, method: str, event: LogEvent) -> LogEvent:
        """The event with its counts.

        Raises:
            structlog.DropEvent: The event is not logged.
        """
        if method not in THROTTLED:
            return event
        now = self.now()
        line = self._line(event)
        if now < line.next_at:
            line.suppressed += 1
            raise structlog.DropEvent
        kind = self._kind(str(event.get("event")), now)
        if kind.logged >= BURST:
            kind.suppressed += 1
            raise structlog.DropEvent
        return _counted(event, line, kind, now)

    def _line(self, event: LogEvent) -> _Line:
        key = tuple(
            (name, _comparable(name, value)) for name, value in event.items() if name != "exc_info"
        )
        line = self._lines.setdefault(key, _Line())
        self._lines.move_to_end(key)
        if len(self._lines) > MAX_REMEMBERED_LINES:
            self._lines.popitem(last=False)
        return line

    def _kind(self, name: str, now: float) -> _Kind:
        kind = self._kinds.setdefault(name, _Kind())
        if now >= kind.until:
            kind.until, kind.logged = now + QUIET_SECONDS, 0
        return kind


def _counted(event: LogEvent, line: _Line, kind: _Kind, now: float) -> LogEvent:
    """The event with the counts of dropped lines, which start again from 0."""
    if line.suppressed:
        event["repeated"] = line.suppressed
    if kind.suppressed:
        event["left_out"] = kind.suppressed
    was_long_ago = now > line.next_at + MAX_QUIET_SECONDS
    line.quiet = QUIET_SECONDS if was_long_ago else min(line.quiet * 2, MAX_QUIET_SECONDS)
    line.next_at, line.suppressed = now + line.quiet, 0
    kind.logged, kind.suppressed = kind.logged + 1, 0
    return event


def _comparable(name: str, value: object) -> str:
    """A value for comparison: numbers in an error message, such as ports, make no difference."""
    return re.sub(r"\d+", "0", str(value)) if name == "problem" else str(value)
