"""How commands print: tables for people, JSON and YAML for programs. Colors only on a terminal."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import click
import msgspec
import yaml
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from svclink_core.codec import Json

WIDEST: Final = 10_000
"""Columns of a line in a file or pipe: lines are not wrapped there."""

COLOURS: Final = {
    "ok": "green",
    "Ready": "green",
    "Mirrored": "green",
    "create": "green",
    "warn": "yellow",
    "skip": "yellow",
    "Kept": "yellow",
    "Pending": "yellow",
    "update": "yellow",
    "fail": "red",
    "NotReady": "red",
    "delete": "red",
}
"""Words that are colored in tables."""


def console() -> Console:
    """Standard output. In a file or pipe, one row is one line."""
    return _Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDEST, highlight=False)


class _Console(Console):
    """A console that leaves a closed pipe to its caller.

    rich would raise SystemExit, which in a task stops the event loop before anything is cleaned up.
    """

    def on_broken_pipe(self) -> None:
        """Print no more, and raise the error as any other write would."""
        self.quiet = True
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under column headers, aligned with spaces as in kubectl.

    A cell that is too wide for the terminal is continued in the next line, never cut.
    """
    console().print(_table(columns, rows))


def print_table_with_notes(
    columns: Sequence[str], rows: Iterable[Sequence[str]], named_by: slice
) -> None:
    """Print a table whose last column may be long, and may be meant to be copied.

    If the table is too wide for the terminal, the last cell of each row is printed below it, in a
    line of its own that svclink does not break.

    Args:
        columns: The column headers.
        rows: The cells.
        named_by: The cells that a note below the table is named by.
    """
    shown_on, content = console(), list(rows)
    table = _table(columns, content)
    unlimited = shown_on.options.update(width=WIDEST)
    if shown_on.measure(table, options=unlimited).maximum <= shown_on.width:
        shown_on.print(table)
        return
    shown_on.print(_table(columns[:-1], [row[:-1] for row in content]))
    for row in content:
        if row[-1]:
            shown_on.print()
            print_line(f"{' '.join(row[named_by])}:", "bold")
            print_line(row[-1])


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    headers = [Column(each, overflow="fold") for each in columns]
    table = Table(*headers, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(printable(cell), COLOURS.get(cell, "")) for cell in row))
    return table


def print_line(text: str, style: str = "") -> None:
    """Print a line of text without interpreting markup in it."""
    console().print(Text(printable(text), style))


def printable(text: str) -> str:
    """The text without control characters: part of it may come from a remote API server."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def print_data(output: str, data: Json | Mapping[str, Json] | Sequence[Json]) -> None:
    """Print data as `json` or `yaml`."""
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(data)))
    else:
        click.echo(yaml_text(data), nl=False)


def yaml_text(data: object) -> str:
    """A YAML document, with the fields in the order of the data."""
    return yaml.dump(data, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=WIDEST)


_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def percent_text(share: int | None) -> str:
    """A share for people; `-` without one."""
    return "-" if share is None else f"{share}%"
