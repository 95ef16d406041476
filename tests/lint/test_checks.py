"""The checks of the project see what they are there for: each is given a bad file, and the same tree without it.

They run in nox's session `types`, where the tools are. The syntax tree's allow-list is in tests/unit/test_architecture.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]


def run(program: str, *arguments: str, at: Path) -> tuple[int, str]:
    """Exit code and output of a tool of this environment."""
    path = Path(sys.executable).parent / program
    done = subprocess.run([path, *arguments], cwd=at, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and their configuration."""
    directory = tmp_path_factory.mktemp("tree")
    for package in ROOT.glob("svclink_*"):
        shutil.copytree(
            package, directory / package.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", directory)
    return directory


CONTRACTS: Final = {
    "svclink_core/naming.py": (
        "from svclink_core.planning import plan",
        "In the core, data flows one way",
    ),
    "svclink_core/status.py": ("import socket", "The core does no I/O"),
    "svclink_core/filtering.py": (
        "from svclink_controller.state import store",
        "The core does no I/O",
    ),
    "svclink_controller/state/store.py": (
        "import kubernetes",
        "Only api knows the Kubernetes client",
    ),
    "svclink_controller/reconcile/workqueue.py": (
        "from svclink_controller import manager",
        "In the controller, data flows one way",
    ),
    "svclink_core/nowhere.py": ("x = 1", "In the core, data flows one way"),
}
"""A file of each kind, what is added to it, and the contract that this breaks."""


@pytest.mark.parametrize("path", CONTRACTS)
def test_broken_contract(path: str, tree: Path) -> None:
    """import-linter refuses an import against the layers, of what does I/O, and a module that is in no layer."""
    line, contract = CONTRACTS[path]
    file = tree / path
    before = file.read_text(encoding="utf-8") if file.exists() else None
    file.write_text(f"{before or ''}\n{line}\n", encoding="utf-8")
    try:
        code, output = run("lint-imports", "--no-cache", at=tree)
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before, encoding="utf-8")
    assert code == 1
    assert any(line.startswith(contract) and "BROKEN" in line for line in output.splitlines()) or (
        "nowhere" in path and "nowhere" in output
    )


def test_kept_contracts(tree: Path) -> None:
    """The tree itself breaks no contract."""
    assert run("lint-imports", "--no-cache", at=tree)[0] == 0


BAD_TYPES: Final = {
    "from typing import Any\n\n\ndef f(x: Any) -> None:\n    print(x)\n": "explicit-any",
    "def f(x):\n    return x\n": "no-untyped-def",
    "def f(x: int) -> str:\n    return x\n": "return-value",
}


@pytest.mark.parametrize("source", BAD_TYPES)
def test_bad_types(source: str, tmp_path: Path) -> None:
    """mypy refuses `Any`, missing types and wrong ones in a file of the core."""
    file = tmp_path / "svclink_core" / "bad.py"
    file.parent.mkdir()
    file.write_text(source, encoding="utf-8")
    options = (
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(tmp_path / "cache"),
    )
    code, output = run("mypy", *options, "svclink_core/bad.py", at=tmp_path)
    assert code == 1
    assert BAD_TYPES[source] in output
