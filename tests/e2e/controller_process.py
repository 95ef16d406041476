"""The controller under test, which runs as a process as it does in production."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from svclink_controller.demo.processes import Process

STOP_SECONDS: Final = 5.0
# The controller logs this with the traceback of a bug in svclink.
INTERNAL_ERROR: Final = "internal error"


class Controller:
    """Runs `svclink` against one main cluster, at most one process at a time."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self._kubeconfig = kubeconfig
        self._log = log
        self._process: Process | None = None
        self._may_exit = False

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def assert_healthy(self) -> None:
        """Assert that the process did not exit by itself and logged no internal error."""
        assert self.running or self._process is None or self._may_exit, (
            "svclink exited by itself; see its log"
        )
        log = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        _, _, error = log.partition(INTERNAL_ERROR)
        assert not error, f"svclink logged an internal error: {error[:3000]}"

    def set_kubeconfig(self, kubeconfig: str) -> None:
        """Replace the kubeconfig of the main cluster; it is read at the next start."""
        self._kubeconfig.write_text(kubeconfig, encoding="utf-8")

    @property
    def process_id(self) -> int:
        assert self._process is not None, "the controller was never started"
        return self._process.process_id

    def start(self, *flags: str, sync_interval: str = "5s") -> None:
        command: list[str | Path] = [
            *(sys.executable, "-m", "svclink_controller"),
            *("--kubeconfig", self._kubeconfig),
            *("--sync-interval", sync_interval),
            *flags,
        ]
        self._process = Process("svclink", command, self._log)
        self._process.start()
        self._may_exit = False

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Send SIGTERM and return the exit code.

        Raises:
            AssertionError: the process still ran after this time and was killed.
        """
        assert self._process is not None, "the controller was never started"
        self._may_exit = True
        self._process.terminate()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            raise AssertionError(f"svclink still runs {seconds:g} s after SIGTERM") from error

    def pause(self) -> None:
        """Suspend it with SIGSTOP."""
        assert self._process is not None, "the controller was never started"
        self._process.pause()

    def resume(self) -> None:
        """Resume it with SIGCONT; afterwards it may exit by itself."""
        assert self._process is not None, "the controller was never started"
        self._may_exit = True
        self._process.resume()

    def kill(self) -> None:
        """Send SIGKILL."""
        assert self._process is not None, "the controller was never started"
        self._may_exit = True
        self._process.kill()

    def has_logged(self, text: str) -> bool:
        """Whether the log of any of its processes contains this text."""
        return self._log.exists() and text in self._log.read_text("utf-8", errors="replace")

    def tail(self) -> str:
        return "" if self._process is None else self._process.tail(60)


def new_controller(kubeconfig: str, directory: Path, name: str) -> Controller:
    """A controller for a main cluster, with kubeconfig and log as files of the directory."""
    file = directory / f"{name}.kubeconfig"
    file.write_text(kubeconfig, encoding="utf-8")
    return Controller(file, directory / f"{name}.log")


@contextmanager
def controller_of(kubeconfig: str, directory: Path, name: str) -> Iterator[Controller]:
    """A new controller; the test starts it, and it must exit cleanly at the end."""
    controller = new_controller(kubeconfig, directory, name)
    yield controller
    controller.assert_healthy()
    if controller.running:
        code = controller.stop()
        assert code == 0, f"after SIGTERM the controller exited with code {code} instead of 0"
    controller.assert_healthy()
