"""Ends a command that waits when a signal comes, at a place that it chooses itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from attrs import define, field

from svclink_controller.stop_signals import on_signal, stop_signals

POLL_SECONDS: Final = 1.0
"""How long a command that waits pauses before it looks again."""


@define
class Interrupt:
    """Whether the user wants a command to end."""

    _event: asyncio.Event = field(factory=asyncio.Event)

    @property
    def has_come(self) -> bool:
        """Whether a signal came."""
        return self._event.is_set()

    def take(self) -> bool:
        """Whether a signal came since the last call."""
        has_come = self.has_come
        self._event.clear()
        return has_come

    def request(self) -> None:
        """Ask the command to end."""
        self._event.set()

    async def pause(self) -> None:
        """Wait before looking again, at most until a signal comes."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), POLL_SECONDS)


@contextmanager
def catching_interrupts() -> Iterator[Interrupt]:
    """Signals to stop do not end the process while the context is active; the first one is kept.

    A second one ends it, as usual. Only the main thread gets signals.
    """
    interrupt, loop = Interrupt(), asyncio.get_running_loop()
    signals = stop_signals() if _is_main_thread() else ()

    def catch() -> None:
        interrupt.request()
        release()

    def release() -> None:
        for each in signals:
            loop.remove_signal_handler(each)

    for each in signals:
        loop.add_signal_handler(each, on_signal(each, catch))
    try:
        yield interrupt
    finally:
        release()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
