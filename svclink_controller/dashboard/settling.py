"""Whether everything that waited at one moment was handled since, whatever came later."""

from __future__ import annotations

from typing import Generic

from attrs import define, field

from svclink_controller.reconcile.workqueue import Key, WorkQueue


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
