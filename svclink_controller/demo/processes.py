"""Child processes that log to a file and never outlive the one that started them, however it ends."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

# Run between fork and exec in a fresh interpreter (preexec_fn is not safe once there are threads): asks Linux to kill
# the child when its parent dies, which also covers a parent that is killed. 1 is PR_SET_PDEATHSIG, 9 is SIGKILL.
LEASH: Final = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""

_started: set[Process] = set()


class Process:
    """One command. Start it from the main thread: Linux takes the end of the starting thread for the parent's end."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [str(part) for part in command]
        self._environment = environment
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def process_id(self) -> int:
        """Of the process that was started last."""
        if self._popen is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._popen.pid

    def start(self) -> None:
        """Start the command; what it prints is appended to the log."""
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        leashed = [sys.executable, "-I", "-S", "-c", LEASH, str(os.getpid()), *self._command]
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                leashed,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        _started.add(self)

    def pause(self) -> None:
        """Stop it in mid-flight: its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after a pause."""
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end, without waiting."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._signal(signal.SIGKILL)
        self.wait(10)

    def wait(self, seconds: float) -> int:
        """The exit code; raises subprocess.TimeoutExpired when it is still running after so many seconds."""
        if self._popen is None:
            raise RuntimeError(f"{self.name} was never started")
        code = self._popen.wait(seconds)
        _started.discard(self)
        return code

    def stop(self, grace: float = 5) -> None:
        """End it for certain, by its own process id: asked first, killed after the grace."""
        if self._popen is None:
            return
        self.terminate()
        try:
            self.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self, lines: int = 20) -> str:
        """The end of the log, for the message of a failure."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._popen is not None:
            self._popen.send_signal(
                number
            )  # does nothing once the process was seen to end, so no pid is hit twice


def stop_all(processes: Sequence[Process], grace: float = 5) -> None:
    """Stop them in the order given, with one grace period for all."""
    deadline = time.monotonic() + grace
    for process in processes:
        process.terminate()
    for process in processes:
        process.stop(max(0.1, deadline - time.monotonic()))


@atexit.register
def _stop_what_is_left() -> None:
    stop_all(list(_started), grace=2)
