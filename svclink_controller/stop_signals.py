"""The signals that ask a process to stop: it ends in order, and removes its files."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Callable
from typing import Final

_HANGUP: Final = getattr(signal, "SIGHUP", None)


def stop_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM, SIGINT, and SIGHUP unless it is ignored, as under `nohup`."""
    always = (signal.SIGTERM, signal.SIGINT)
    if _HANGUP is None or signal.getsignal(_HANGUP) == signal.SIG_IGN:
        return always
    return (*always, _HANGUP)


def on_signal(number: signal.Signals, stop: Callable[[], None]) -> Callable[[], None]:
    """What to do when a signal comes: stop, without output to a terminal that is gone."""
    if number != _HANGUP:
        return stop

    def stop_after_hangup() -> None:
        _discard_output_to_closed_terminal()
        stop()

    return stop_after_hangup


def _discard_output_to_closed_terminal() -> None:
    """Writing to a terminal that hung up fails, and would keep the process from its last work."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None or stream.closed:
            continue
        descriptor = stream.fileno()
        # A terminal that hung up is still a character device, but does not answer as one.
        if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
            discard = os.open(os.devnull, os.O_WRONLY)
            os.dup2(discard, descriptor)
            os.close(discard)
