"""A de-duplicating work queue: each key is queued once and handled by one worker at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

from attrs import define, field

from svclink_controller import clock
from svclink_controller.backoff import Backoff

Key = TypeVar("Key")

RETRY_BASE_SECONDS: Final = 0.1
RETRY_CAP_SECONDS: Final = 30


@define
class WorkQueue(Generic[Key]):
    """A queue of keys with the semantics of client-go's workqueue.

    A key that is added while a worker handles it is queued again once the worker is done. A key
    that fails is retried with growing delays, and never dropped while the queue is open.

    Args:
        waited: Called with the time, in seconds, that a key waited for a worker.
    """

    waited: Callable[[float], object] = lambda _: None
    _is_open: bool = True
    _queued_at: dict[Key, float] = field(factory=dict)
    _queue: deque[Key] = field(factory=deque)
    _dirty: set[Key] = field(factory=set)
    _processing: set[Key] = field(factory=set)
    _delayed: dict[Key, asyncio.TimerHandle] = field(factory=dict)
    _failures: dict[Key, Backoff] = field(factory=dict)
    _available: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(0))

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_idle(self) -> bool:
        """Whether no key is queued and no worker handles one; delayed keys do not count."""
        return not self._dirty and not self._processing

    @property
    def unfinished(self) -> frozenset[Key]:
        """The keys that are queued, or that a worker handles; delayed keys do not count."""
        return frozenset(self._dirty | self._processing)

    def add(self, keys: Iterable[Key]) -> None:
        """Queue keys, if the queue is open."""
        if not self._is_open:
            return
        for key in keys:
            if key not in self._dirty:
                self._dirty.add(key)
                if key not in self._processing:
                    self._push(key)

    def open(self) -> None:
        """Take keys from now on."""
        self._is_open = True

    def close(self) -> None:
        """Drop every key, and take none: what no worker will handle would only fill the memory.

        No worker may wait for a key.
        """
        self._is_open = False
        for delayed in self._delayed.values():
            delayed.cancel()
        for each in (self._queue, self._queued_at, self._dirty, self._delayed, self._failures):
            each.clear()
        self._available = asyncio.Semaphore(0)

    async def get(self) -> Key:
        """Wait for the next key; call `done` with it afterwards."""
        await self._available.acquire()
        key = self._queue.popleft()
        self.waited(clock.elapsed() - self._queued_at.pop(key))
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: Key) -> None:
        """Release a key that a worker has handled."""
        self._processing.discard(key)
        if key in self._dirty:
            self._push(key)

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
        self.add([key])

    def _push(self, key: Key) -> None:
        self._queue.append(key)
        self._queued_at[key] = clock.elapsed()
        self._available.release()


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
