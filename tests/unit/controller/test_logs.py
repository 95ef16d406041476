"""A log line is one line on standard error, and tells no secrets, however it came to be.

Real: the logger. Substituted: nothing.
"""

from __future__ import annotations

import pytest
import structlog

from svclink_controller import logs
from tests.unit.controller.servers import TOKEN


def test_traceback_shows_no_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """Tokens and kubeconfigs are in local variables wherever something can go wrong with them."""

    def connect(token: str) -> None:
        raise ValueError("unexpected", len(token))

    logs.configure()
    try:
        connect(TOKEN)
    except ValueError:
        structlog.get_logger().exception("internal error", cluster="c1")
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ValueError" in said
    assert TOKEN not in said


def test_value_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks and escape sequences in what a server said are shown, not carried out."""
    logs.configure()
    structlog.get_logger().warning("object not understood", object="a\x1b[31m\n2026 [error] forged")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b[31m\n" not in said


def test_lines_go_to_standard_error_and_only_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output stays free for output, and what is only for developers is left out."""
    logs.configure()
    structlog.get_logger().debug("not this")
    structlog.get_logger().info("but this", cluster="c1")
    said = capsys.readouterr()
    assert said.out == ""
    assert "not this" not in said.err
    assert "but this" in said.err
    assert "cluster=c1" in said.err
