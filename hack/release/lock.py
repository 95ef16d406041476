"""Lock the dependencies of the image, of builds and of release tools, with hashes.

Each file in requirements/ holds for every Python and every platform that svclink supports.

    python hack/release/lock.py            # keep the versions that pyproject.toml still allows
    python hack/release/lock.py --upgrade  # take the newest ones
    python hack/release/lock.py --check    # exit with code 1 if pyproject.toml asks for others
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "requirements"
SOURCES = {
    "image.txt": ("pyproject.toml",),
    "build.txt": ("--group", "build"),
    "release.txt": ("--group", "release"),
}
"""What each file locks. Without a group, it is what svclink needs to run."""
HOW = (
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--quiet",
)
COMMAND = "nox -s lock"
"""What the head of each file says how to make it again."""


def compile_lock(name: str, directory: Path, *options: str) -> None:
    """Lock into a directory; a file that is there already says which versions to keep."""
    command = ["uv", "pip", "compile", *SOURCES[name], *HOW, *options]
    command += ["--custom-compile-command", COMMAND, "--output-file", str(directory / name)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def outdated() -> list[str]:
    """The files that differ from what pyproject.toml asks for."""
    with TemporaryDirectory() as copy:
        for name in SOURCES:
            if (LOCKS / name).exists():
                shutil.copy(LOCKS / name, copy)
            compile_lock(name, Path(copy))
        return [name for name in SOURCES if text_of(Path(copy, name)) != text_of(LOCKS / name)]


def text_of(path: Path) -> str:
    """The text of a file, nothing if there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main(arguments: Sequence[str]) -> int:
    """Lock or check; returns the exit code."""
    if "--check" in arguments:
        names = outdated()
        for name in names:
            print(f"requirements/{name} is not what pyproject.toml asks for: run {COMMAND}")
        return 1 if names else 0
    for name in SOURCES:
        compile_lock(name, LOCKS, *arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
