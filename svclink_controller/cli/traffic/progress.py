"""How far a command has come: a bar on a terminal, else lines of text or of JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import click
import msgspec
from attrs import define, field, frozen
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from svclink_controller.cli.printing import console, print_line, printable
from svclink_core.codec import Json


@frozen
class Report:
    """How far a command has come.

    Args:
        message: A sentence for people.
        done: How much is done.
        total: How much there is to do.
        data: The facts in the sentence, for programs.
        is_lasting: Whether the sentence stays on a terminal, above the bar.
    """

    message: str
    done: int = 0
    total: int = 0
    data: Mapping[str, Json] = field(factory=dict)
    is_lasting: bool = False


class Reporter(Protocol):
    """Shows reports."""

    def show(self, report: Report) -> None:
        """Show a report. One that equals the last one is not shown again."""


@contextmanager
def reporter(output: str) -> Iterator[Reporter]:
    """Shows reports on standard output, as JSON if `output` says so."""
    shown_on = console()
    if output == "json":
        yield _JsonLines()
    elif not shown_on.is_terminal:
        yield _Lines()
    else:
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=shown_on) as progress:
            yield _Bar(progress)


@define
class _Lines:
    """Prints each sentence once, on a line of its own."""

    _last: str | None = None

    def show(self, report: Report) -> None:
        if report.message != self._last:
            self._last = report.message
            print_line(report.message)


@define
class _JsonLines:
    """Prints each report as a JSON object, on a line of its own."""

    _last: Report | None = None

    def show(self, report: Report) -> None:
        if report != self._last:
            self._last = report
            numbers = {"done": report.done, "total": report.total}
            content = {"message": report.message, **numbers, **report.data}
            click.echo(msgspec.json.encode(content).decode())


@define
class _Bar:
    """Moves a bar. Sentences that last are printed above it."""

    _progress: Progress
    _task: TaskID | None = None

    def show(self, report: Report) -> None:
        text = Text(printable(report.message))
        if report.is_lasting:
            self._progress.console.print(text)
        if not report.total:
            return
        if self._task is None:
            self._task = self._progress.add_task("", total=report.total)
        description = "" if report.is_lasting else text.markup
        self._progress.update(
            self._task, completed=report.done, total=report.total, description=description
        )
