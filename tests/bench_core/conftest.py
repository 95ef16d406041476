"""A table of figures after the benchmarks. No benchmark fails because it is slow."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import pytest

Report: TypeAlias = Callable[[str, str], None]

_LINES: Final = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LINES] = []


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Report:
    """Adds a figure to the table."""

    def add(what: str, number: str) -> None:
        pytestconfig.stash[_LINES].append(f"{what}: {number}")

    return add


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    terminalreporter.section("numbers")
    for line in config.stash[_LINES]:
        terminalreporter.line(line)


@pytest.fixture(autouse=True)
def frozen() -> Iterator[None]:
    """Hides existing objects from the garbage collector, as the controller does."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
