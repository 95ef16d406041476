"""Programs of the tests that run in a network namespace and do what they are told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.builders.manifests import Manifest

from .network import inside


class Program:
    """A module of this package as a process. It takes orders as lines of JSON, and answers each with one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, order: Manifest) -> Any:
        """Give an order, and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "a program of the test has ended; see its log"
        return json.loads(answer)


@contextmanager
def program(namespace: str, module: str, *arguments: str, log: Path) -> Iterator[Program]:
    """Start a module in a namespace. It ends when its input does, whatever becomes of the tests."""
    command = inside(namespace, sys.executable, "-m", f"{__package__}.{module}", *arguments)
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
