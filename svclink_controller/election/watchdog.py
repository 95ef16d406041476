"""Ends the process at a deadline, even if the event loop hangs: the last resort of a leader."""

from __future__ import annotations

import asyncio
import faulthandler
import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from attrs import define

EXIT_CODE: Final = 1
"""The exit code of faulthandler, which cannot be changed."""


@define
class Watchdog:
    """A deadline at which the process ends with a traceback on standard error.

    It runs in a thread of faulthandler, which is written in C and needs neither the event loop nor
    the interpreter lock, so it works even if one of them is blocked.
    """

    _deadline: float = math.inf

    def set(self, deadline: float) -> None:
        """Replace the deadline, a time of the event loop."""
        self._deadline = deadline
        seconds = max(deadline - asyncio.get_running_loop().time(), 0.001)
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)

    def clear(self) -> None:
        """Remove the deadline."""
        self._deadline = math.inf
        faulthandler.cancel_dump_traceback_later()

    @contextmanager
    def checking_on_wake_up(self) -> Iterator[None]:
        """Check the deadline when the process continues after SIGSTOP, before anything else runs.

        Python runs a signal handler before the next callback of the event loop, so data that waits
        for a socket is not sent. Call this in the main thread.
        """
        before = signal.signal(signal.SIGCONT, lambda *_: self._check())
        try:
            yield
        finally:
            signal.signal(signal.SIGCONT, before)

    def _check(self) -> None:
        if asyncio.get_running_loop().time() >= self._deadline:
            os.write(
                2, b"this process was suspended for too long: another replica may hold the Lease\n"
            )
            os._exit(EXIT_CODE)
