"""New Python interpreters, for tests whose result must not depend on this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[3]


def outputs(program: str, *hash_seeds: str) -> list[str]:
    """What a program prints in one new interpreter for each PYTHONHASHSEED, run in parallel."""
    path = os.pathsep.join((str(REPOSITORY), *filter(None, sys.path)))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in hash_seeds
    ]
    printed = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running)
    return printed
