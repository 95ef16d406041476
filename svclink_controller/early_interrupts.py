"""Ends the process silently when Ctrl-C comes during imports, which take most of its start.

It imports next to nothing itself: before it is in use, an interrupt prints a traceback.
"""

from __future__ import annotations

import os
import signal

INTERRUPTED = 130
"""Exit code of an interrupted command, as shells report a process that SIGINT ended."""


class EarlyInterrupts:
    """While the context is active, Ctrl-C ends the process. It has nothing to remove yet.

    An exception would not do: modules that are half imported catch it, or report it as theirs.
    """

    def __enter__(self) -> None:
        self._is_python_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._handle(_end)

    def __exit__(self, *_: object) -> None:
        self._handle(signal.default_int_handler)

    def _handle(self, handler: signal._HANDLER) -> None:
        if not self._is_python_default:
            return  # It is ignored, or handled by the program that imports svclink.
        try:
            signal.signal(signal.SIGINT, handler)
        except ValueError:  # Only the main thread gets signals.
            return


def _end(*_: object) -> None:
    if os.isatty(2):
        os.write(2, b"\n")  # The terminal has printed ^C.
    os._exit(INTERRUPTED)
