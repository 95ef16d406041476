"""The measured processes: svclink, and the mirrors without logic in Python and in Go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from .fleet import Fleet

SVCLINK: Final = "svclink"
FLOOR: Final = "floor"
NATIVE: Final = "native"
SUBJECTS: Final = (NATIVE, FLOOR, SVCLINK)
ROOT: Final = Path(__file__).parents[2]
CPUCLOCK_SCHED: Final = 2
"""The clock in nanoseconds; /proc/PID/stat counts ticks of 10 ms (Linux, posix-timers.h)."""


@dataclass(frozen=True)
class Subject:
    """A running process."""

    pid: int

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def memory(self) -> tuple[float, float]:
        """Return the peak and the current resident memory in megabytes."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        sizes = {name: value.split() for name, value in (line.split(":", 1) for line in lines)}
        return int(sizes["VmHWM"][0]) / 1024, int(sizes["VmRSS"][0]) / 1024

    def cpu(self) -> float:
        """Return the CPU time so far in seconds, from the clock that Linux keeps for a process."""
        return time.clock_gettime((~self.pid << 3) | CPUCLOCK_SCHED)


@contextmanager
def started(name: str, fleet: Fleet, log: Path, *flags: str) -> Iterator[Subject]:
    """Run a subject on a fleet while the context is active."""
    with running(command_of(name, fleet, flags), log) as subject:
        yield subject


@contextmanager
def running(command: list[str], log: Path) -> Iterator[Subject]:
    """Run a command while the context is active."""
    # Keep compiled modules: a program that starts more than once has them.
    environment = {
        key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"
    }
    with (
        log.open("ab") as output,
        subprocess.Popen(command, cwd=ROOT, stderr=output, env=environment) as process,
    ):
        try:
            yield Subject(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def command_of(name: str, fleet: Fleet, flags: tuple[str, ...]) -> list[str]:
    main = str(fleet.kubeconfigs["main"])
    remotes = [f"{remote}={fleet.kubeconfigs[remote]}" for remote in fleet.remotes]
    if name == NATIVE:
        return [str(built("--mirror") / "native-mirror"), main, *remotes]
    if name == FLOOR:
        return [sys.executable, "-m", "tests.bench.floor", main, *remotes]
    return [sys.executable, "-m", "svclink_controller", "--kubeconfig", main, *flags]


@cache
def built(*options: str) -> Path:
    """Return the directory of programs of `hack/envtest/assets.py`, built if they are missing."""
    command = [sys.executable, str(ROOT / "hack" / "envtest" / "assets.py"), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())
