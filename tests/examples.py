"""Runs the examples of README and docs, as a pytest plugin.

    pytest -p tests.examples README.md docs

`console` blocks are commands after `$ ` with their expected output, `python` blocks are programs,
`sh` blocks are set-up commands. An end-to-end test runs those that need clusters (`sh cluster`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = Path(__file__).parents[1]
# Commands take seconds on an idle machine, and an installation minutes beside other work.
COMMAND_SECONDS = 1200


def run_console(example: Example) -> str | None:
    """Run the commands of a block one after the other; returns the difference, or None."""
    for command, expected in sessions(str(example.parsed)):
        environment = os.environ | {
            "COLUMNS": "160",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        printed = [line.rstrip() for line in (done.stdout + done.stderr).rstrip().splitlines()]
        if timeless(printed) != timeless(expected):
            return (
                f"`{command}` printed\n" + "\n".join(printed) + "\nand not\n" + "\n".join(expected)
            )
    return None


def timeless(lines: list[str]) -> list[str]:
    """The lines without durations, which differ in every run."""
    return [re.sub(r", after [\d.]+ m?s$", ", after a while", line) for line in lines]


def sessions(block: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with its expected lines."""
    commands: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif commands:
            commands[-1][1].append(line.rstrip())
    for _, expected in commands:
        while expected and not expected[-1]:
            expected.pop()
    return commands


def run_set_up(example: Example) -> str | None:
    """Run a set-up command in a copy of the tree, except `nox`, which CI runs."""
    command = str(example.parsed).strip()
    if "/bin/nox" in command:
        return None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        tree = Path(directory, "svclink")
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests"))
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tree,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
    return (
        None
        if done.returncode == 0
        else f"`{command}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    )


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser(language="console", evaluator=run_console),
        CodeBlockParser(language="sh", evaluator=run_set_up),
        PythonCodeBlockParser(),
    ],
    path=str(ROOT),
    pattern="*.md",
).pytest()
