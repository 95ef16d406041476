"""How far a command has come: a bar, lines or JSON.

Real: the terminal control of rich. Substituted: the terminal.
"""

from __future__ import annotations

import json

import pytest

from svclink_controller.cli.traffic.progress import Report, reporter

REPORTS = (
    Report("2 Services [still] use b", 1, 3, {"inUse": 2}),
    Report("2 Services [still] use b", 1, 3, {"inUse": 2}),
    Report("b is drained", data={"isDrained": True}, is_lasting=True),
)


def show(output: str) -> None:
    with reporter(output) as shown:
        for each in REPORTS:
            shown.show(each)


def test_pipe_gets_each_sentence_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A line is printed when something changes."""
    show("table")
    assert capsys.readouterr().out == "2 Services [still] use b\nb is drained\n"


def test_json_has_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has the sentence, the numbers and the facts."""
    show("json")
    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"message": "2 Services [still] use b", "done": 1, "total": 3, "inUse": 2}
    assert last == {"message": "b is drained", "done": 0, "total": 0, "isDrained": True}


def test_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sentences that last are above the bar; brackets are not markup."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    show("table")
    printed = capsys.readouterr().out
    assert "1/3" in printed
    assert "2 Services [still] use b" in printed
    assert "b is drained" in printed
