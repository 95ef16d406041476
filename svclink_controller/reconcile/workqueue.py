"""Keys that wait to be worked on: each once, never by two workers, again later where it failed, never given up."""

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
    """A queue of keys as client-go's: a key added while it is worked on is worked on once more afterwards.

    Args:
        waited: Called with the time, in seconds, that a key waited for a worker.
    """

    waited: Callable[[float], object] = lambda _: None
    _since: dict[Key, float] = field(factory=dict)
    _queue: deque[Key] = field(factory=deque)
    _dirty: set[Key] = field(factory=set)
    _processing: set[Key] = field(factory=set)
    _waiting: dict[Key, asyncio.TimerHandle] = field(factory=dict)
    _failures: dict[Key, Backoff] = field(factory=dict)
    _available: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(0))

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, keys: Iterable[Key]) -> None:
        """Work on these keys soon."""
        for key in keys:
            if key not in self._dirty:
                self._dirty.add(key)
                if key not in self._processing:
                    self._push(key)

    async def get(self) -> Key:
        """The next key; call `done` with it afterwards."""
        await self._available.acquire()
        key = self._queue.popleft()
        self.waited(clock.elapsed() - self._since.pop(key))
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: Key) -> None:
        """A worker finished with a key."""
        self._processing.discard(key)
        if key in self._dirty:
            self._push(key)

    def retry(self, key: Key, after: float | None = None) -> float:
        """Work on a key again after a delay, which grows with its failures, or after a given one; returns it."""
        delay = self._failures.setdefault(
            key, Backoff(RETRY_BASE_SECONDS, RETRY_CAP_SECONDS)
        ).next_delay()
        delay = max(delay, after or 0)
        self.postpone(key, delay)
        return delay

    def postpone(self, key: Key, seconds: float) -> None:
        """Work on a key again after a delay, though nothing failed."""
        if (earlier := self._waiting.pop(key, None)) is not None:
            earlier.cancel()
        self._waiting[key] = asyncio.get_running_loop().call_later(seconds, self._wake, key)

    def forget(self, key: Key) -> None:
        """A key succeeded: its next failure is its first."""
        self._failures.pop(key, None)
        if (waiting := self._waiting.pop(key, None)) is not None:
            waiting.cancel()

    def _wake(self, key: Key) -> None:
        self._waiting.pop(key, None)
        self.add([key])

    def _push(self, key: Key) -> None:
        self._queue.append(key)
        self._since[key] = clock.elapsed()
        self._available.release()
