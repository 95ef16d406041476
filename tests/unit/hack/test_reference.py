"""The generated pages of docs/reference say what the CRDs say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from svclink_controller.cli.main import svclink

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "hack"))
import reference  # noqa: E402


def test_defaults_are_allowed_values() -> None:
    """The default of a field with a list of values is spelled as in that list."""
    choices_and_default = re.compile(
        r"^\| `[^`]+` \| (`\w+`(?: or `\w+`)+) \| .* \| (`\w+`) \|$", re.MULTILINE
    )
    pages = reference.pages()
    rows = choices_and_default.findall(pages["clusterlink.md"] + pages["trafficpolicy.md"])
    assert rows
    assert [default for choices, default in rows if default not in choices.split(" or ")] == []


def test_every_flag_is_described() -> None:
    """The page on flags describes each flag of each command, those that commands share once."""
    page = reference.pages()["flags.md"]
    context = click.Context(svclink)
    commands = [svclink.get_command(context, name) for name in svclink.list_commands(context)]
    flags = {
        option.opts[-1]
        for command in [svclink, *filter(None, commands)]
        for option in command.params
        if isinstance(option, click.Option)
    }
    rows = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    described = {row.split(", ")[-1].split()[0] for row in rows}
    assert flags - described == set()
    assert page.count("| `--kubeconfig FILE` |") == 2, "the controller's, and that of all commands"
