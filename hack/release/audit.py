"""Look up known vulnerabilities of the locked dependencies of the image with pip-audit.

A database that cannot be read is never taken for one without findings: that is said, and with
`--required` it is an error.

    python hack/release/audit.py [--required]
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[2] / "requirements" / "image.txt"
AUDIT = ("pip-audit", "--disable-pip", "--require-hashes", "--format=json", "--timeout=10")


def findings(report: str) -> list[str] | None:
    """What was found in a report, one line each; None if nothing could be looked up."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    if all("skip_reason" in package for package in packages):
        return None
    return [line for package in packages for line in findings_about(package)]


def findings_about(package: Mapping[str, Any]) -> Iterator[str]:
    """The vulnerabilities of a package, or that it could not be looked up."""
    if "skip_reason" in package:
        yield f"{package['name']}: not audited, {package['skip_reason']}"
    for each in package.get("vulns", []):
        fixed = ", ".join(each["fix_versions"]) or "no version yet"
        yield f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}"


def main(arguments: list[str]) -> int:
    """Print the vulnerabilities; returns the exit code."""
    command = [*AUDIT, "--requirement", str(LOCK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = findings(done.stdout)
    if found is None:
        print("NOT AUDITED: no database of vulnerabilities could be read.")
        return 1 if "--required" in arguments else 0
    for line in found:
        print(line)
    print(f"Audited {LOCK.name}: {len(found)} finding(s).")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
