"""Programs of the tests that run in a network namespace or in a Pod, and take orders."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .network import inside


class Program:
    """A running program; orders and results are lines of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._numbers = itertools.count()

    def call(self, order: dict[str, Any]) -> Any:
        """Send an order, and return its result."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        number = next(self._numbers)
        self._process.stdin.write(json.dumps([number, order]) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            answered, result = json.loads(line)
            if answered == number:
                return result
        raise AssertionError("a program of the test exited; see its log")


@contextmanager
def program(namespace: str, module: str, *arguments: str, log: Path) -> Iterator[Program]:
    """Run a module of this package in a namespace; it exits when its input is closed."""
    command = inside(namespace, sys.executable, "-m", f"{__package__}.{module}", *arguments)
    with running_program(command, log) as running:
        yield running


@contextmanager
def running_program(command: Sequence[str | Path], log: Path) -> Iterator[Program]:
    """Run a command that takes orders; it exits when its input is closed."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=Path(__file__).parents[3],
        ) as process,
    ):
        yield Program(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
