"""The controller under test, as users run it: a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from svclink_controller.demo.processes import Process

STOP_SECONDS: Final = 5.0
# What it logs with the traceback of a fault of svclink itself.
INTERNAL_ERROR: Final = "internal error"


class Controller:
    """Runs `svclink` against one main cluster, one process at a time."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self._kubeconfig = kubeconfig
        self._log = log
        self._process: Process | None = None
        self._told_to_end = False

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def is_as_told(self) -> None:
        """Assert that it has not ended by itself, and that none of its own errors is in its log."""
        assert self.running or self._process is None or self._told_to_end, (
            "svclink ended by itself; see its log"
        )
        printed = (
            self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        )
        _, _, error = printed.partition(INTERNAL_ERROR)
        assert not error, f"svclink met an error of its own: {error[:3000]}"

    def use(self, kubeconfig: str) -> None:
        """Give it another kubeconfig of the main cluster, from its next start on."""
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
        self._told_to_end = False

    def stop(self) -> int:
        """Ask it to end with SIGTERM, and return its exit code.

        Raises:
            AssertionError: it is still there after five seconds; it is killed then.
        """
        assert self._process is not None, "the controller was never started"
        self._told_to_end = True
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            raise AssertionError(f"svclink still runs {STOP_SECONDS:g} s after SIGTERM") from error

    def pause(self) -> None:
        """Stop it in mid-flight with SIGSTOP."""
        assert self._process is not None, "the controller was never started"
        self._process.pause()

    def resume(self) -> None:
        """Let it go on with SIGCONT; whether it ends then is its own affair."""
        assert self._process is not None, "the controller was never started"
        self._told_to_end = True
        self._process.resume()

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        assert self._process is not None, "the controller was never started"
        self._told_to_end = True
        self._process.kill()

    def tail(self) -> str:
        return "" if self._process is None else self._process.tail(60)


@contextmanager
def controller_of(kubeconfig: str, directory: Path, name: str) -> Iterator[Controller]:
    """The controller for a main cluster, to be started by the test; it must end well in the end.

    Its kubeconfig is a file in the directory, and its log, too, under the name.
    """
    file = directory / f"{name}.kubeconfig"
    file.write_text(kubeconfig, encoding="utf-8")
    controller = Controller(file, directory / f"{name}.log")
    yield controller
    controller.is_as_told()
    if controller.running:
        assert controller.stop() == 0, "the controller must end with exit code 0 after SIGTERM"
    controller.is_as_told()
