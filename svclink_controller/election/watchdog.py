"""Ends the process at a deadline, whatever the rest of it does: the last resort of a leader."""

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
"""That of faulthandler, which knows no other."""


@define
class Watchdog:
    """A deadline that the process does not outlive.

    The thread that watches it belongs to faulthandler, written in C: it needs neither the event loop nor the
    interpreter's lock, so that it bites also where one of them is stuck. It shows where on standard error.
    """

    _deadline: float = math.inf

    def set(self, deadline: float) -> None:
        """End the process at this time of the event loop, unless told otherwise before."""
        self._deadline = deadline
        seconds = max(deadline - asyncio.get_running_loop().time(), 0.001)
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)

    def clear(self) -> None:
        """The process may live on."""
        self._deadline = math.inf
        faulthandler.cancel_dump_traceback_later()

    @contextmanager
    def checking_on_wake_up(self) -> Iterator[None]:
        """Look at the deadline also when the process goes on after SIGSTOP, before it does anything else.

        Python runs a signal handler before the event loop's next callback: bytes of a request that were waiting for
        the socket are not sent any more. Call it in the main thread.
        """
        before = signal.signal(signal.SIGCONT, lambda *_: self._check())
        try:
            yield
        finally:
            signal.signal(signal.SIGCONT, before)

    def _check(self) -> None:
        if asyncio.get_running_loop().time() >= self._deadline:
            os.write(2, b"stopped for too long: the lease may be another replica's\n")
            os._exit(EXIT_CODE)
