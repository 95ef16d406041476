"""A de-duplicating work queue: each key is queued once and handled by one worker at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Final, Generic, TypeVar

from attrs import define, field

from svclink_controller import clock
from svclink_controller.backoff import Backoff
from svclink_controller.loop_turns import Line, next_turn

Key = TypeVar("Key")

RETRY_BASE_SECONDS: Final = 0.1
RETRY_CAP_SECONDS: Final = 30

OWN_LANE: Final = ""
"""The lane of keys that are added without a lane, such as those that the main cluster changes."""

RETRY_LANE: Final = "(retries)"
"""The lane of keys that come back after a delay. No link has this name or the next one."""

SWEEP_LANE: Final = "(sweep)"
"""The lane of what concerns every key, such as a resync. It holds each key once."""

TRUSTED_LANES: Final = frozenset({OWN_LANE, RETRY_LANE, SWEEP_LANE})
"""Lanes whose keys do not rest."""


@define
class WorkQueue(Generic[Key]):
    """A queue of keys with the semantics of client-go's workqueue, in lanes that take turns.

    A key that is added while a worker handles it is queued again once the worker is done. A key
    that fails is retried with growing delays, and never dropped while the queue is open.

    Every cause of work has a lane, such as each remote cluster. The next key of a lane waits for at
    most one key of every other lane, however many these hold. A key in several lanes is handled
    once.

    Args:
        waited: Called with the time, in seconds, that a key waited for a worker.
        rest_seconds: How long a key rests after it was handled for a remote cluster, before it is
            handled for the same cluster again. A key that changes all the time leaves time for
            the others.
    """

    waited: Callable[[float], object] = lambda _: None
    rest_seconds: float = 0
    _is_open: bool = True
    _lanes: OrderedDict[str, OrderedDict[Key, None]] = field(factory=OrderedDict)
    _queued_at: dict[Key, float] = field(factory=dict)
    _dirty: dict[Key, tuple[str, ...]] = field(factory=dict)
    _processing: dict[Key, tuple[str, ...]] = field(factory=dict)
    _resting_until: OrderedDict[tuple[str, Key], float] = field(factory=OrderedDict)
    _resting: dict[tuple[str, Key], asyncio.TimerHandle] = field(factory=dict)
    _delayed: dict[Key, asyncio.TimerHandle] = field(factory=dict)
    _failures: dict[Key, Backoff] = field(factory=dict)
    _available: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(0))

    def __len__(self) -> int:
        return len(self._queued_at)

    @property
    def is_idle(self) -> bool:
        """Whether no key is queued and no worker handles one; delayed keys do not count."""
        return not self._dirty and not self._processing

    @property
    def unfinished(self) -> frozenset[Key]:
        """The keys that are queued, or that a worker handles; delayed keys do not count."""
        return frozenset(self._dirty.keys() | self._processing.keys())

    def queued_in(self, *lanes: str) -> frozenset[Key]:
        """The keys that wait for a worker in one of these lanes, or rest before they enter it."""
        wanted = set(lanes)
        return frozenset(
            key for key, its_lanes in self._dirty.items() if not wanted.isdisjoint(its_lanes)
        )

    def add(self, keys: Iterable[Key], lane: str = OWN_LANE) -> None:
        """Queue keys in a lane, if the queue is open."""
        if not self._is_open:
            return
        for key in keys:
            lanes = self._dirty.get(key, ())
            if lane not in lanes:
                self._dirty[key] = (*lanes, lane)
                if key not in self._processing:
                    self._push(lane, key)

    def open(self) -> None:
        """Take keys from now on."""
        self._is_open = True

    def close(self) -> None:
        """Drop every key, and take none: what no worker will handle would only fill the memory.

        No worker may wait for a key.
        """
        self._is_open = False
        for timer in (*self._delayed.values(), *self._resting.values()):
            timer.cancel()
        for each in (self._lanes, self._queued_at, self._dirty, self._delayed, self._failures):
            each.clear()
        self._resting.clear()
        self._resting_until.clear()
        self._available = asyncio.Semaphore(0)

    async def get(self) -> Key:
        """Wait for a key and for a turn of the event loop; call `done` with the key afterwards.

        The key is chosen when the turn comes, so that it is from the lane whose turn it is then.
        """
        available = self._available
        await available.acquire()
        try:
            # A full queue would return keys without a pause; a large plan takes 5 ms.
            await next_turn(Line.PLANNING)
        except asyncio.CancelledError:
            available.release()
            raise
        return self._take()

    def done(self, key: Key) -> None:
        """Release a key that a worker has handled."""
        for lane in self._processing.pop(key, ()):
            if self.rest_seconds and lane not in TRUSTED_LANES:
                self._begin_rest(lane, key)
        for lane in self._dirty.get(key, ()):
            self._push(lane, key)

    def retry(self, key: Key, after: float | None = None) -> float:
        """Queue a failed key after a delay, and return the delay in seconds.

        Args:
            key: The key.
            after: The minimum delay in seconds, for example from a Retry-After header.
        """
        backoff = self._failures.setdefault(key, Backoff(RETRY_BASE_SECONDS, RETRY_CAP_SECONDS))
        delay = max(backoff.next_delay(), after or 0)
        self.postpone(key, delay)
        return delay

    def postpone(self, key: Key, seconds: float) -> None:
        """Queue a key after a delay, without counting a failure; replaces an earlier delay."""
        if (earlier := self._delayed.pop(key, None)) is not None:
            earlier.cancel()
        self._delayed[key] = asyncio.get_running_loop().call_later(seconds, self._resume, key)

    def forget(self, key: Key) -> None:
        """Reset the failures of a key that succeeded, and cancel its delayed retry."""
        self._failures.pop(key, None)
        if (delayed := self._delayed.pop(key, None)) is not None:
            delayed.cancel()

    def _resume(self, key: Key) -> None:
        self._delayed.pop(key, None)
        self.add([key], RETRY_LANE)

    def _begin_rest(self, lane: str, key: Key) -> None:
        """Note when a lane may have a key handled again, and forget the rests that are over."""
        now = asyncio.get_running_loop().time()
        self._resting_until[lane, key] = now + self.rest_seconds
        self._resting_until.move_to_end((lane, key))
        over = takewhile(lambda rest: rest[1] <= now, self._resting_until.items())
        for each, _ in list(over):
            del self._resting_until[each]

    def _push(self, lane: str, key: Key) -> None:
        """Put a key into a lane, now or at the end of its rest."""
        if (end := self._resting_until.get((lane, key))) is not None:
            loop = asyncio.get_running_loop()
            if loop.time() < end:
                self._resting[lane, key] = loop.call_at(end, self._end_rest, lane, key)
                return
        self._enter(lane, key)

    def _end_rest(self, lane: str, key: Key) -> None:
        del self._resting[lane, key]
        self._enter(lane, key)

    def _enter(self, lane: str, key: Key) -> None:
        self._lanes.setdefault(lane, OrderedDict())[key] = None
        if key not in self._queued_at:
            self._queued_at[key] = clock.elapsed()
            self._available.release()

    def _take(self) -> Key:
        """Remove and return the first key of the first lane, which becomes the last one."""
        lane, keys = next(iter(self._lanes.items()))
        key = next(iter(keys))
        self._lanes.move_to_end(lane)
        lanes = self._processing[key] = self._dirty.pop(key)
        for each in lanes:
            self._leave(each, key)
        self.waited(clock.elapsed() - self._queued_at.pop(key))
        return key

    def _leave(self, lane: str, key: Key) -> None:
        """Remove a key from a lane, or from those that rest before they enter it."""
        if (resting := self._resting.pop((lane, key), None)) is not None:
            resting.cancel()
        elif keys := self._lanes.get(lane):
            del keys[key]
            if not keys:
                del self._lanes[lane]


@define
class Settling(Generic[Key]):
    """Waits for the keys that a queue holds at one moment.

    A cluster that keeps changing keeps the queue full, so an empty queue may never be seen.

    Args:
        queue: The queue.
    """

    queue: WorkQueue[Key]
    _left: set[Key] | None = field(default=None, init=False)

    @property
    def is_settled(self) -> bool:
        """Whether the moment came, and every key of it was handled."""
        return self._left is not None and not self._left

    def begin(self) -> None:
        """Wait for the keys that are unfinished now. Only the first call counts."""
        if self._left is None:
            self._left = set(self.queue.unfinished)

    def done(self, key: Key) -> None:
        """Note that a key was handled."""
        if self._left:
            self._left.discard(key)
