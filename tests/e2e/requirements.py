"""What tests need on their machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ASSETS: Final = Path(__file__).resolve().parents[2] / "hack" / "envtest" / "assets.py"


def require(missing: str | None) -> None:
    """Skip the test if something is missing, with this reason; in CI, fail."""
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def built_programs(config: pytest.Config, option: str) -> Path:
    """The directory of a set of programs of `hack/envtest/assets.py`, built if they are missing."""
    command = [sys.executable, str(ASSETS), option]
    if version := config.getoption("--kubernetes", default=None):
        command += ["--kubernetes", version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stderr, pytrace=False)
    return Path(done.stdout.strip())
