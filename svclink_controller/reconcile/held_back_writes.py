"""Remembers which writes failed, and holds each of them back until it may be tried again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final, TypeAlias

from attrs import define, field

from svclink_core.meta_v1 import NamespacedName
from svclink_core.write_retries import FailedWrite, RetryPauses, delay_before, failed_again

FORGET_SECONDS: Final = 60
"""How long after its next attempt was due a failure is forgotten, if there was none.

The write is not wanted any more. It is not forgotten at once, because a Pod that starts and stops
would make it wanted again and again, each time with short pauses.
"""

Write: TypeAlias = tuple[str, str, NamespacedName]
"""Verb, kind and key of an object: a permission or a quota may concern one verb alone."""


@define
class HeldBackWrites:
    """The writes to the main cluster that failed when they were last tried.

    Args:
        jitter: Returns a number from 0 to 1, which spreads the pauses.
    """

    jitter: Callable[[], float] = random.random
    _failed: dict[Write, FailedWrite] = field(factory=dict)

    def delay_of(self, write: Write, content: object) -> float:
        """Seconds until this content may be written; 0 if it may be now."""
        if (failed := self._failed.get(write)) is None:
            return 0
        return delay_before(failed, content, asyncio.get_running_loop().time())

    def message_of(self, write: Write) -> str:
        """Why a write failed when it was last tried; empty if it did not fail."""
        failed = self._failed.get(write)
        return "" if failed is None else failed.message

    def record_failure(
        self,
        write: Write,
        content: object,
        message: str,
        pauses: RetryPauses,
        at_least: float = 0,
    ) -> float:
        """Note a failed write; arguments as for `failed_again`. Returns the pause after it."""
        loop = asyncio.get_running_loop()
        failed = self._failed[write] = failed_again(
            self._failed.get(write),
            content,
            message,
            pauses=pauses,
            at=loop.time(),
            jitter=self.jitter(),
            at_least=at_least,
        )
        loop.call_later(failed.pause + FORGET_SECONDS, self._forget, write, failed)
        return failed.pause

    def record_success(self, write: Write) -> None:
        """Note that a write succeeded."""
        self._failed.pop(write, None)

    def forget_all(self) -> None:
        """Forget every failure."""
        self._failed.clear()

    def _forget(self, write: Write, failed: FailedWrite) -> None:
        if self._failed.get(write) is failed:
            del self._failed[write]
