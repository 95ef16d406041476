"""Splits long work into short turns, so that other tasks run in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from attrs import Factory, define, field

T = TypeVar("T")

TURN_SECONDS: Final = 0.01
"""The length of one turn. Lease renewals and health probes wait no longer than one turn."""

EVENT_TURN_SECONDS: Final = 0.001
"""The length of one turn of watch events: a change passes several turns on its way."""


class Line(Enum):
    """Where a task waits for its turn. The first tasks of both lines take turns.

    A plan takes longer than a turn of events. In one line, the events of a cluster would wait for
    as many plans as there are workers, and a plan for all clusters that are listed.
    """

    READING = auto()
    PLANNING = auto()


@define
class _Turns:
    """One turn at a time in an event loop, however many clusters are listed at once.

    A task holds its line while it waits for the turn, and both are locks, which are fair.
    """

    turn: asyncio.Lock = field(factory=asyncio.Lock)
    lines: dict[Line, asyncio.Lock] = field(factory=lambda: {line: asyncio.Lock() for line in Line})


_TURNS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns]] = WeakKeyDictionary()


def _turns() -> _Turns:
    loop = asyncio.get_running_loop()
    if (turns := _TURNS.get(loop)) is None:
        turns = _TURNS[loop] = _Turns()
    return turns


async def next_turn(line: Line = Line.READING) -> None:
    """Let other tasks run first. Each caller that waits here gets a turn of its own."""
    turns = _turns()
    async with turns.lines[line], turns.turn:
        await asyncio.sleep(0)


@define
class LoopShare:
    """The event loop as one cluster may use it, however many streams it has.

    The cluster works in short turns, one at a time. In any period its work takes no more than its
    share of that period and `burst` seconds: it pauses between its turns when it has to.

    Args:
        share: Part of the time of the event loop; 1 does not pause.
        burst: How many seconds of work it may be ahead of its share.
        turn_seconds: The length of one turn.
    """

    share: float = 1
    burst: float = 0
    turn_seconds: float = EVENT_TURN_SECONDS
    paused_seconds: float = 0
    _left: float = field(default=Factory(lambda self: self.turn_seconds, takes_self=True))
    _ahead: float = 0
    _counted_at: float = 0
    _one_at_a_time: asyncio.Lock = field(factory=asyncio.Lock)

    @property
    def is_turn_over(self) -> bool:
        """Whether the cluster has to wait for its next turn."""
        return self._left <= 0

    def spend(self, seconds: float) -> None:
        """Count work of the current turn."""
        self._left -= seconds

    async def turn(self) -> None:
        """Wait for the next turn of the cluster, unless another of its streams got it meanwhile."""
        async with self._one_at_a_time:
            if self.is_turn_over:
                pause = self._pause()
                self.paused_seconds += pause
                await asyncio.sleep(pause)
                await next_turn()
                self._left = self.turn_seconds

    def _pause(self) -> float:
        """Seconds until the cluster is no more than its burst ahead of its share."""
        now = asyncio.get_running_loop().time()
        worked, share = self.turn_seconds - self._left, (now - self._counted_at) * self.share
        self._ahead, self._counted_at = max(self._ahead + worked - share, 0), now
        return max(self._ahead - self.burst, 0) / self.share


async def in_turns(
    values: Iterable[T], turn_seconds: float = TURN_SECONDS, share: LoopShare | None = None
) -> list[T]:
    """Collect the values of a slow iterable, and let other tasks run in between.

    Args:
        values: Computes the next value whenever it is asked.
        turn_seconds: The length of one turn.
        share: Counts the work of a cluster whose share of the event loop is limited.
    """
    loop, turns = asyncio.get_running_loop(), _turns()
    computed: list[T] = []
    rest, is_done = iter(values), False
    while not is_done:
        if share is not None and share.is_turn_over:
            await share.turn()
        async with turns.lines[Line.READING], turns.turn:
            started = loop.time()
            is_done = _collect(rest, computed, loop, started + turn_seconds)
            if share is not None:
                share.spend(loop.time() - started)
            if not is_done:
                await asyncio.sleep(0)
    return computed


def _collect(
    values: Iterator[T], computed: list[T], loop: asyncio.AbstractEventLoop, end: float
) -> bool:
    """Collect values until a turn ends. Returns whether there are no more."""
    for value in values:
        computed.append(value)
        if loop.time() >= end:
            return False
    return True
