"""Interrupts while svclink starts. Real: a new interpreter, its imports, the signal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
from svclink_controller import __main__
__main__.main(sys.argv[2:])
"""


def interrupted_at(module: str, *arguments: str, tmp_path: Path) -> tuple[int, str, list[str]]:
    """The exit code, the output and the files of svclink if Ctrl-C comes as it imports a module."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, [each.name for each in tmp_path.iterdir()]


@pytest.mark.parametrize(
    "module",
    [
        "aiohttp",
        "click",
        "svclink_controller.slim_imports",
        "svclink_controller.cli.main",
        "svclink_core.snapshot",
    ],
)
def test_interrupt_while_modules_are_imported_is_silent(module: str, tmp_path: Path) -> None:
    """Every command imports them, which takes a third of a second."""
    assert interrupted_at(module, "demo", tmp_path=tmp_path) == (130, "", [])


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("demo", "svclink_controller.demo.fleet"),
        ("demo", "cryptography.x509"),
        ("dashboard", "svclink_controller.dashboard.live"),
        ("plan", "svclink_controller.cli.snapshots.live"),
    ],
)
def test_interrupt_while_a_command_is_imported_is_silent(
    command: str, module: str, tmp_path: Path
) -> None:
    """A command imports what it alone needs once its name was read."""
    assert interrupted_at(module, command, tmp_path=tmp_path) == (130, "", [])


def test_interrupt_while_the_controller_is_imported_is_silent(tmp_path: Path) -> None:
    """The controller is imported once the event loop runs."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("{}", encoding="utf-8")
    ended = interrupted_at(
        "svclink_controller.manager", f"--kubeconfig={kubeconfig}", tmp_path=tmp_path
    )
    assert ended == (130, "\n", ["kubeconfig"])  # The line break goes after the ^C of a terminal.


def test_signal_that_is_ignored_stays_ignored() -> None:
    """A shell starts background jobs of a script so."""
    program = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
import svclink_controller.__main__
print(signal.getsignal(signal.SIGINT).name)"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "SIG_IGN\n"


def test_interrupts_are_exceptions_after_the_imports() -> None:
    """From then on commands remove what they made."""
    program = """
import signal, svclink_controller.__main__
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
