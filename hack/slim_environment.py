"""Remove the parts of the Kubernetes client that svclink never imports from this environment.

The client has a class for each type and each API group, which it imports when they are first used.
svclink uses none of them: it reads and writes JSON itself. `RECORD`, the list of the installed
files, is kept correct. Tests run every command of svclink in an image that was made so.

    /opt/svclink/bin/python hack/slim_environment.py
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Container
from importlib.metadata import Distribution, distribution
from pathlib import Path

NEVER_IMPORTED = re.compile(
    r"kubernetes/(aio/)?client/(api|models)/(__pycache__/)?(?!__init__\.)[^/]+\.pyc?"
)


def remove_files(package: Distribution, unwanted: re.Pattern[str]) -> tuple[int, int]:
    """Remove the files of a package whose path matches; returns their number and bytes."""
    removed = {
        file.as_posix(): Path(str(package.locate_file(file)))
        for file in package.files or []
        if unwanted.fullmatch(file.as_posix())
    }
    size = sum(path.stat().st_size for path in removed.values())
    for path in removed.values():
        path.unlink()
    forget(package, removed)
    return len(removed), size


def forget(package: Distribution, removed: Container[str]) -> None:
    """Remove files from the list of the files of a package."""
    (record,) = [
        Path(str(package.locate_file(file)))
        for file in package.files or []
        if file.match("*.dist-info/RECORD")
    ]
    rows = csv.reader(io.StringIO(record.read_text(encoding="utf-8")))
    kept = io.StringIO()
    csv.writer(kept, lineterminator="\n").writerows(row for row in rows if row[0] not in removed)
    record.write_text(kept.getvalue(), encoding="utf-8")


def main() -> int:
    number, size = remove_files(distribution("kubernetes"), NEVER_IMPORTED)
    if not number:
        print("The Kubernetes client has no such files any more.", file=sys.stderr)
        return 1
    print(f"Removed {number} files, {size / 1e6:.0f} MB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
