"""Copy the version in pyproject.toml to every other file that names it.

python hack/release/version.py          # copy it
python hack/release/version.py 0.3.0    # set it in pyproject.toml, then copy it
python hack/release/version.py --check  # exit with code 1 and name the files that differ
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = r"\d+\.\d+\.\d+"
SOURCE = rf'(?m)^(version = "){NUMBERS}'
NAMED = rf"(svclink[:-]|targetRevision: v|tag: v|tags/v){NUMBERS}"
"""The image, the files and the tag of a release, as manifests and documents name them."""
LABEL = rf"(?m)^(ARG VERSION=){NUMBERS}"
CHART = rf"(?m)^((?:version|appVersion): ){NUMBERS}"


def places(root: Path) -> Iterator[tuple[Path, str]]:
    """Each file that may name the version, and the pattern before it."""
    yield root / "Dockerfile", LABEL
    yield root / "deploy" / "chart" / "Chart.yaml", CHART
    documents = [each for each in root.glob("*.md") if each.name != "CHANGELOG.md"]
    documents += root.glob("docs/**/*.md")
    manifests = [*root.glob("deploy/**/*.yaml"), root / "Dockerfile"]
    for path in sorted(documents + manifests):
        yield path, NAMED


def version_of(root: Path) -> str:
    """The version in pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def outdated(root: Path, version: str) -> dict[Path, str]:
    """The files that name another version, with the text that they should have."""
    texts: dict[Path, str] = {}
    for path, pattern in places(root):
        before = texts.get(path) or path.read_text(encoding="utf-8")
        after = re.sub(pattern, rf"\g<1>{version}", before)
        if after != before:
            texts[path] = after
    return texts


def set_version(root: Path, version: str) -> None:
    """Set the version in pyproject.toml."""
    path = root / "pyproject.toml"
    text, _ = re.subn(SOURCE, rf"\g<1>{version}", path.read_text(encoding="utf-8"), count=1)
    path.write_text(text, encoding="utf-8")


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Copy or check the version; returns the exit code."""
    match arguments:
        case [version] if re.fullmatch(NUMBERS, version):
            set_version(root, version)
        case [] | ["--check"]:
            pass
        case _:
            print("Pass a version of three numbers such as 0.3.0, --check, or nothing.")
            return 1
    texts = outdated(root, version_of(root))
    if arguments == ["--check"]:
        for path in texts:
            print(f"{path.relative_to(root)} names another version: run hack/release/version.py")
        return 1 if texts else 0
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
