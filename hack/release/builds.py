"""Build sdist and wheel several times, and fail unless they are equal byte for byte.

The second build runs in another directory, on files with other times and permissions, and in
another time zone. The third builds the wheel without an sdist, as the Dockerfile does. Build
requirements must be installed: `requirements/build.txt`.

    python hack/release/builds.py dist
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
LONG_AGO = 1_000_000_000
BUILD = (sys.executable, "-m", "build", "--no-isolation")


def copy_tracked_files(target: Path) -> None:
    """Copy the files that git knows: nothing else may get into a release."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def change_times_and_permissions(tree: Path) -> None:
    """Make the files look like those of another checkout."""
    for path in tree.rglob("*"):
        path.chmod(path.stat().st_mode ^ 0o020)
        os.utime(path, (LONG_AGO, LONG_AGO))


def build(tree: Path, *options: str, **variables: str) -> dict[str, Path]:
    """Build in a directory; returns the built files by name."""
    output = tree / "built"
    environment = os.environ | {"PYTHONHASHSEED": "0"} | variables
    command = [*BUILD, *options, "--outdir", str(output), str(tree)]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return {path.name: path for path in output.iterdir()}


def differing(first: dict[str, Path], second: dict[str, Path]) -> list[str]:
    """The names of the files of the second build that the first lacks or has with other bytes."""
    return [
        name
        for name, path in second.items()
        if name not in first or not filecmp.cmp(first[name], path, shallow=False)
    ]


def main(target: Path) -> int:
    """Build three times and compare; put the files into a directory."""
    with TemporaryDirectory() as here, TemporaryDirectory(prefix="elsewhere-") as elsewhere:
        trees = Path(here, "first"), Path(elsewhere, "a", "second"), Path(here, "third")
        for tree in trees:
            copy_tracked_files(tree)
        change_times_and_permissions(trees[1])
        first = build(trees[0], TZ="UTC")
        second = build(trees[1], TZ="Asia/Kolkata", PYTHONHASHSEED="1", LC_ALL="C")
        third = build(trees[2], "--wheel")
        different = sorted({*differing(first, second), *differing(first, third)})
        if different:
            print(f"Not reproducible: {', '.join(different)}", file=sys.stderr)
            return 1
        target.mkdir(parents=True, exist_ok=True)
        for name, path in sorted(first.items()):
            shutil.copyfile(path, target / name)
            print(f"{name}: all builds of it are equal byte for byte.")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
