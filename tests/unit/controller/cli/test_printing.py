"""Tables of commands. Real: rich. Substituted: the terminal."""

from __future__ import annotations

import sys

import pytest

from svclink_controller.cli.printing import print_table, print_table_with_notes

FIX = 'kubectl patch clusterlink cluster-a -p {"spec":{"allowedCIDRs":["10.1.0.0/16"]}}'
COLUMNS = ("", "CLUSTER", "WHAT", "FOUND", "FIX")
ROWS = (
    ("ok", "MAIN", "api", "answers", ""),
    ("skip", "cluster-a", "addresses", "the link does not limit its addresses", FIX),
)


def use_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Make standard output a terminal with a number of columns."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "25")
    monkeypatch.setenv("TERM", "dumb")


@pytest.mark.parametrize("columns", [80, 100])
def test_note_is_never_cut_nor_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    """On a narrow terminal it stands below the table, on a line of its own, to be copied."""
    use_terminal(monkeypatch, columns)
    print_table_with_notes(COLUMNS, ROWS, named_by=slice(1, 3))
    printed = capsys.readouterr().out
    assert printed.splitlines()[-2:] == ["cluster-a addresses:", FIX]
    assert "FIX" not in printed
    assert "…" not in printed


def test_note_is_a_column_where_it_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a pipe."""
    use_terminal(monkeypatch, 400)
    print_table_with_notes(COLUMNS, ROWS, named_by=slice(1, 3))
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.split() == ["CLUSTER", "WHAT", "FOUND", "FIX"]
    assert last.endswith(FIX)


def test_cell_is_continued_in_the_next_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Long words are not cut in any table."""
    use_terminal(monkeypatch, 20)
    print_table(("NAME",), [("a" * 50,)])
    printed = capsys.readouterr().out
    assert printed.count("a") == 50
    assert "…" not in printed
