"""A log line is one line on standard error without secrets, also for libraries.

Real: the logger. Substituted: nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from svclink_controller.monitoring import logs
from tests.unit.controller.http_server import TOKEN


def test_traceback_shows_no_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """Local variables hold tokens and kubeconfigs, so a traceback does not print them."""

    def connect(token: str) -> None:
        raise ValueError("unexpected", len(token))

    logs.configure()
    try:
        connect(TOKEN)
    except ValueError:
        structlog.get_logger().exception("internal error", cluster="c1")
    output = capsys.readouterr().err
    assert "Traceback" in output
    assert "ValueError" in output
    assert TOKEN not in output


def test_value_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks and escape sequences from a server are escaped."""
    logs.configure()
    structlog.get_logger().warning("object not decoded", object="a\x1b[31m\n2026 [error] forged")
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert "\x1b[31m\n" not in output


def test_info_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Standard output stays free for output, and debug lines are left out by default."""
    logs.configure()
    structlog.get_logger().debug("not this")
    structlog.get_logger().info("but this", cluster="c1")
    output = capsys.readouterr()
    assert output.out == ""
    assert "not this" not in output.err
    assert "but this" in output.err
    assert "cluster=c1" in output.err


# JSON


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_is_one_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line is an object with time, level and event, whatever the values are."""
    logs.configure("json")
    structlog.get_logger().info(
        "endpointslice written", slice="a/b", path=Path("/x"), text='"\n\x1b[31m'
    )
    structlog.get_logger().warning("cluster not connected", cluster="c1")
    first, second = lines(capsys)
    assert (first["event"], first["level"], first["slice"], first["text"]) == (
        "endpointslice written",
        "info",
        "a/b",
        '"\n\x1b[31m',
    )
    assert first["timestamp"].endswith("Z")
    assert second["level"] == "warning"


def test_json_traceback_shows_no_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON does not contain the values of local variables either."""

    def connect(token: str) -> None:
        raise ValueError("unexpected", len(token))

    logs.configure("json")
    try:
        connect(TOKEN)
    except ValueError:
        structlog.get_logger().exception("internal error", cluster="c1")
    (line,) = lines(capsys)
    assert "Traceback" in line["exception"]
    assert TOKEN not in json.dumps(line)


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_lines_below_the_level_are_left_out(
    capsys: pytest.CaptureFixture[str], level: logs.LogLevel, shown: int
) -> None:
    """Lines below the configured level are left out."""
    logs.configure("json", level)
    log = structlog.get_logger()
    for say in (log.debug, log.info, log.warning, log.error):
        say("something")
    assert len(lines(capsys)) == shown


def test_libraries_log_in_the_same_format() -> None:
    """Warnings of libraries are lines of the same format; lower levels are left out."""
    program = """
import logging, warnings
from svclink_controller.monitoring import logs
logs.configure("json")
logs.take_in_libraries()
logging.getLogger("asyncio").error("task %s was lost", 5)
logging.getLogger("aiohttp.access").info("not this")
warnings.warn("old", stacklevel=1)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    error, warning = (json.loads(line) for line in done.stderr.splitlines())
    assert (error["library"], error["event"], error["level"]) == (
        "asyncio",
        "task 5 was lost",
        "error",
    )
    assert (warning["library"], warning["level"]) == ("py.warnings", "warning")
