"""The time of importing the core."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.bench_core.conftest import Report

PROGRAM: Final = """
import time
start = time.process_time()
import {}
print((time.process_time() - start) * 1e3)
"""


@pytest.mark.parametrize("module", ["attrs", "svclink_core", "svclink_core.codec"])
def test_import(module: str, report: Report, tmp_path: Path) -> None:
    """The shortest CPU time of an import in a new interpreter, with compiled byte code."""
    command = [sys.executable, "-X", f"pycache_prefix={tmp_path}", "-c", PROGRAM.format(module)]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    runs = [
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        for _ in range(20)
    ]
    milliseconds = [float(run.stdout) for run in runs]
    report(f"import {module}", f"{min(milliseconds):.0f} ms of CPU")
    assert len(list(tmp_path.rglob("*.pyc"))) > 0
