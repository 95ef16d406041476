"""Prometheus and promtool, as a distribution packages them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.e2e.requirements import require

PROGRAMS: Final = ("prometheus", "promtool")


def require_prometheus() -> None:
    """Skip the test if a program is missing; in CI, fail."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        require(f"{' and '.join(missing)} not found: install Prometheus (Debian: prometheus).")


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
