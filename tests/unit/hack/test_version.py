"""`hack/release/version.py`: the version is written once, in pyproject.toml, and copied from there.

Real: the script, as a process, and the files of this project. Other versions are set in a copy.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = "hack/release/version.py"


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a tree."""
    command = [sys.executable, str(root / SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what names the version."""
    for part in ("docs", "deploy", "hack/release"):
        shutil.copytree(ROOT / part, tmp_path / part)
    for path in (*ROOT.glob("*.md"), ROOT / "Dockerfile", ROOT / "pyproject.toml"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_project_names_one_version() -> None:
    """Every file names the version of pyproject.toml."""
    done = run(ROOT, "--check")
    assert (done.returncode, done.stdout) == (0, "")


def test_new_version_reaches_every_file(tree: Path) -> None:
    """A new version is in pyproject.toml, manifests, chart, Dockerfile and documents."""
    assert run(tree, "9.8.7").returncode == 0
    assert run(tree, "--check").returncode == 0
    for name, line in (
        ("pyproject.toml", 'version = "9.8.7"'),
        ("Dockerfile", "ARG VERSION=9.8.7"),
        ("deploy/chart/Chart.yaml", "appVersion: 9.8.7"),
        ("deploy/deployment.yaml", "image: svclink:9.8.7"),
        ("deploy/check.yaml", "image: svclink:9.8.7"),
        ("deploy/argocd/application.yaml", "targetRevision: v9.8.7"),
        ("deploy/flux/svclink.yaml", "tag: v9.8.7"),
        ("docs/reference/commands.md", "kubectl-svclink-9.8.7-linux-amd64.tar.gz"),
    ):
        assert line in (tree / name).read_text(encoding="utf-8")


def test_file_with_another_version_is_named(tree: Path) -> None:
    """The check names each file with another version, and the command that fixes it."""
    path = tree / "deploy" / "check.yaml"
    path.write_text("image: svclink:0.0.1\n", encoding="utf-8")
    done = run(tree, "--check")
    assert done.returncode == 1
    assert done.stdout == ("deploy/check.yaml names another version: run hack/release/version.py\n")


@pytest.mark.parametrize("version", ["0.2", "v0.2.0", "0.2.0-rc.1", "next"])
def test_invalid_version_changes_nothing(tree: Path, version: str) -> None:
    """A version that is not three numbers is refused with a sentence."""
    before = (tree / "pyproject.toml").read_text(encoding="utf-8")
    done = run(tree, version)
    assert done.returncode == 1
    assert "three numbers" in done.stdout
    assert (tree / "pyproject.toml").read_text(encoding="utf-8") == before
