"""Child processes that log to a file and end with their parent, even if the parent is killed."""

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

# A fresh interpreter runs this before it executes the command, since preexec_fn is not safe in a
# program with threads. It asks Linux to kill the child when the parent dies, even by SIGKILL. 1
# is PR_SET_PDEATHSIG, 9 is SIGKILL.
DIE_WITH_PARENT: Final = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""

_started: set[Process] = set()


class Process:
    """A command that runs as a child process.

    Start it from the main thread: for Linux, the end of the thread that starts a process is the
    end of its parent.

    Args:
        name: Names the process in errors.
        log: The output of the command is appended to this file.
        environment: The environment of the command; None inherits the environment of this process.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.command = [str(part) for part in command]
        self._environment = environment
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process was started and has not exited."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def process_id(self) -> int:
        """The id of the process that was started last."""
        if self._popen is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._popen.pid

    def start(self) -> None:
        """Start the command, again if it has exited."""
        if self.running:
            raise RuntimeError(f"{self.name} is already running")
        launcher = [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid())]
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                launcher + self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        _started.add(self)

    def pause(self) -> None:
        """Suspend the process: its connections stay open, and it does not answer."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the process after a pause."""
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask the process to exit, even if it is paused; does not wait."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process, and wait until it has ended."""
        self._signal(signal.SIGKILL)
        self.wait(10)

    def wait(self, seconds: float) -> int:
        """Wait for the exit code.

        Raises:
            subprocess.TimeoutExpired: The process is still running after this many seconds.
        """
        if self._popen is None:
            raise RuntimeError(f"{self.name} was never started")
        code = self._popen.wait(seconds)
        _started.discard(self)
        return code

    def stop(self, grace: float = 5) -> None:
        """Ask the process to exit, and kill it if it is still running after `grace` seconds."""
        if self._popen is None:
            return
        self.terminate()
        try:
            self.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._popen is not None:
            # This does nothing once the exit code was read, so a reused process id is safe.
            self._popen.send_signal(number)


def stop_all(processes: Sequence[Process], grace: float = 5) -> None:
    """Stop the processes in this order, with one grace period (in seconds) for all."""
    deadline = time.monotonic() + grace
    for process in processes:
        process.terminate()
    for process in processes:
        process.stop(max(0.1, deadline - time.monotonic()))


@atexit.register
def _stop_remaining() -> None:
    stop_all(list(_started), grace=2)
