"""How svclink is started: for commands that users run next, perhaps in another terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

PROGRAMS: Final = {"svclink": "svclink", "kubectl-svclink": "kubectl svclink"}
"""What starts each script if it is on the PATH."""


def program() -> str:
    """The words that start svclink as it was started now, wherever it is installed."""
    script = _script()
    if script.name not in PROGRAMS:
        return "svclink"  # Another program has imported it.
    found = shutil.which(script.name)
    if found is not None and script.exists() and Path(found).samefile(script):
        return PROGRAMS[script.name]
    if script.is_file() and os.access(script, os.X_OK):
        return shlex.quote(str(script.absolute()))
    return shlex.join([sys.executable, "-m", __package__])


def as_started(command: str) -> str:
    """A command line with what starts svclink here, if it begins with the word `svclink`."""
    first, space, rest = command.partition(" ")
    return f"{program()}{space}{rest}" if first == "svclink" else command


def _script() -> Path:
    script = Path(sys.argv[0])
    is_module = script.name == "__main__.py" and script.parent.name == __package__
    return Path(sys.executable).with_name("svclink") if is_module else script
