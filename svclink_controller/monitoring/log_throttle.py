"""Trouble that goes on is logged when it begins, when it changes, and at growing intervals, with a count.

What is tried again fails again, for every object alike: without this, a main cluster that is away for an hour would
fill the log with one sentence.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import MutableMapping
from typing import Final, TypeAlias

import structlog
from attrs import define, field

from svclink_controller import clock

QUIET_SECONDS: Final = 10
MAX_QUIET_SECONDS: Final = 600
"""The same line is shown again after 10 s, then 20 s, 40 s and so on, up to 10 minutes."""

BURST: Final = 20
"""Lines of one kind that are shown in `QUIET_SECONDS`, when many objects meet the same trouble."""

MAX_KNOWN: Final = 1000
TROUBLE: Final = frozenset({"warning", "error", "exception", "critical"})

LogEvent: TypeAlias = MutableMapping[str, object]


@define
class _Line:
    """When a line may be shown again, and how often it was not."""

    next_at: float = 0
    quiet: float = QUIET_SECONDS / 2
    left_out: int = 0


@define
class _Kind:
    """Lines of one event, of whatever object, in the present interval."""

    until: float = 0
    shown: int = 0
    left_out: int = 0


@define
class Repetitions:
    """A structlog processor that lets through what is new. Below warnings everything is.

    Adds `repeated`: how often the very line was left out since it was last shown; and `left_out`: how many lines of
    the same event, about other objects, were.
    """

    _lines: OrderedDict[object, _Line] = field(factory=OrderedDict)
    _kinds: dict[str, _Kind] = field(factory=dict)

    def __call__(self, _: object, method: str, event: LogEvent) -> LogEvent:
        """The event, or `DropEvent` is raised."""
        if method not in TROUBLE:
            return event
        now = clock.elapsed()
        line = self._line(event)
        if now < line.next_at:
            line.left_out += 1
            raise structlog.DropEvent
        kind = self._kind(str(event.get("event")), now)
        if kind.shown >= BURST:
            kind.left_out += 1
            raise structlog.DropEvent
        return _shown(event, line, kind, now)

    def _line(self, event: LogEvent) -> _Line:
        key = tuple(
            (name, _gist(name, value)) for name, value in event.items() if name != "exc_info"
        )
        line = self._lines.setdefault(key, _Line())
        self._lines.move_to_end(key)
        if len(self._lines) > MAX_KNOWN:
            self._lines.popitem(last=False)
        return line

    def _kind(self, name: str, now: float) -> _Kind:
        kind = self._kinds.setdefault(name, _Kind())
        if now >= kind.until:
            kind.until, kind.shown = now + QUIET_SECONDS, 0
        return kind


def _shown(event: LogEvent, line: _Line, kind: _Kind, now: float) -> LogEvent:
    """The event with what was left out, which is counted anew from here on."""
    if line.left_out:
        event["repeated"] = line.left_out
    if kind.left_out:
        event["left_out"] = kind.left_out
    was_long_ago = now > line.next_at + MAX_QUIET_SECONDS
    line.quiet = QUIET_SECONDS if was_long_ago else min(line.quiet * 2, MAX_QUIET_SECONDS)
    line.next_at, line.left_out = now + line.quiet, 0
    kind.shown, kind.left_out = kind.shown + 1, 0
    return event


def _gist(name: str, value: object) -> str:
    """What makes a value another: numbers in the text of an error, such as resourceVersions and ports, do not."""
    return re.sub(r"\d+", "0", str(value)) if name == "problem" else str(value)
