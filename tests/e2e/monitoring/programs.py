"""Prometheus and promtool, as a distribution packages them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("prometheus", "promtool")


def missing_program() -> str | None:
    """Which program is missing, and how to get it; None if there are both."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    names = " and ".join(missing)
    return f"{names} not found: install Prometheus (Debian: prometheus)." if missing else None


def promtool(*arguments: str | Path, directory: Path | None = None, answer: str = "") -> str:
    """The output of promtool, which must accept its input; `answer` is its standard input."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)],
        cwd=directory,
        input=answer,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"promtool {arguments}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
