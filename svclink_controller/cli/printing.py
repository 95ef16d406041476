"""How commands print: tables for people, JSON and YAML for programs. Colour only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import click
import msgspec
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from svclink_core.codec import Json

WIDEST: Final = 10_000
"""Columns of a line in a file or pipe, which has no end."""

COLOURS: Final = {
    "ok": "green",
    "Ready": "green",
    "Mirrored": "green",
    "create": "green",
    "warn": "yellow",
    "Kept": "yellow",
    "Pending": "yellow",
    "update": "yellow",
    "fail": "red",
    "NotReady": "red",
    "delete": "red",
}
"""Words of which the colour says what they mean."""


def console() -> Console:
    """Standard output. Where nobody looks but a program, one row is one line."""
    return Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDEST, highlight=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under column heads, aligned with spaces as kubectl does it."""
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(printable(cell), COLOURS.get(cell, "")) for cell in row))
    console().print(table)


def print_line(text: str, style: str = "") -> None:
    """A line of text, in which nothing is markup."""
    console().print(Text(printable(text), style))


def printable(text: str) -> str:
    """The text without what could move a cursor or change a colour: some of it is what a remote API server said."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def print_data(output: str, data: Json | Mapping[str, Json] | Sequence[Json]) -> None:
    """The same for a program, as `json` or `yaml`."""
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(data)))
    else:
        click.echo(yaml_text(data), nl=False)


def yaml_text(data: object) -> str:
    """A YAML document, its fields in the order they have."""
    return yaml.dump(data, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=WIDEST)


_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
