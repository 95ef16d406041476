"""The linters find what they should: each gets a bad file, and the tree without it.

These tests run in the nox session `types`, which has the tools. The allow-list of the core is in
tests/unit/test_architecture.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from attrs import frozen

ROOT: Final = Path(__file__).parents[2]


def run(program: str, *arguments: str, at: Path) -> tuple[int, str]:
    """Run a tool of this environment; returns its exit code and output."""
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
    for name in ("pyproject.toml", ".oxlintrc.json", ".oxfmtrc.json"):
        shutil.copy(ROOT / name, directory)
    return directory


@frozen
class Violation:
    """An edit of the tree, and the contract that it breaks.

    Args:
        path: The module that gets the statement; it is created if it does not exist.
    """

    path: str
    statement: str
    contract: str


CORE: Final = "In the core, data flows one way"
PURE: Final = "The core does no I/O"
CLIENT: Final = "Only api knows the Kubernetes client"
CONTROLLER: Final = "In the controller, data flows one way"
DEMO: Final = "The demo's API servers do not depend on its story"
API_SERVER: Final = "Requests flow one way through the embedded API server"
COMMANDS: Final = "A command uses what commands share, and no other command"

VIOLATIONS: Final = {
    "core-imports-higher-module": Violation(
        "svclink_core/naming.py", "from svclink_core.planning import plan", CORE
    ),
    "core-has-unlisted-module": Violation("svclink_core/unlisted.py", "x = 1", CORE),
    "core-imports-socket": Violation("svclink_core/status.py", "import socket", PURE),
    "core-imports-controller": Violation(
        "svclink_core/filtering.py", "from svclink_controller.state import store", PURE
    ),
    "state-imports-kubernetes": Violation(
        "svclink_controller/state/store.py", "import kubernetes", CLIENT
    ),
    "new-module-imports-kubernetes": Violation(
        "svclink_controller/remotes/unlisted.py", "from kubernetes import aio", CLIENT
    ),
    "reconcile-imports-manager": Violation(
        "svclink_controller/reconcile/workqueue.py",
        "from svclink_controller import manager",
        CONTROLLER,
    ),
    "state-imports-reconcile": Violation(
        "svclink_controller/state/store.py",
        "from svclink_controller.reconcile import workqueue",
        CONTROLLER,
    ),
    "controller-has-unlisted-folder": Violation(
        "svclink_controller/unlisted/module.py", "x = 1", CONTROLLER
    ),
    "apiserver-imports-fleet": Violation(
        "svclink_controller/demo/apiserver/storage.py",
        "from svclink_controller.demo import fleet",
        DEMO,
    ),
    "demo-has-unlisted-module": Violation("svclink_controller/demo/unlisted.py", "x = 1", DEMO),
    "storage-imports-registry": Violation(
        "svclink_controller/demo/apiserver/storage.py",
        "from svclink_controller.demo.apiserver.registry import registry",
        API_SERVER,
    ),
    "apiserver-has-unlisted-module": Violation(
        "svclink_controller/demo/apiserver/unlisted.py", "x = 1", API_SERVER
    ),
    "printing-imports-commands": Violation(
        "svclink_controller/cli/printing.py",
        "from svclink_controller.cli.commands import status",
        COMMANDS,
    ),
}
"""Each contract of pyproject.toml, broken by an import or by a module that no layer lists."""


@pytest.fixture
def broken_tree(request: pytest.FixtureRequest, tree: Path) -> Iterator[Path]:
    """The tree with one violation, which is undone after the test."""
    violation: Violation = request.param
    file = tree / violation.path
    before = file.read_text(encoding="utf-8") if file.exists() else None
    new_folder = None if file.parent.exists() else file.parent
    file.parent.mkdir(exist_ok=True)
    if new_folder is not None:
        (new_folder / "__init__.py").touch()
    file.write_text(f"{before or ''}\n{violation.statement}\n", encoding="utf-8")
    yield tree
    if new_folder is not None:
        shutil.rmtree(new_folder)
    elif before is None:
        file.unlink()
    else:
        file.write_text(before, encoding="utf-8")


def broken_contracts(report: str) -> set[str]:
    """Return the names of the contracts that a report of import-linter calls broken."""
    return set(re.findall(r"^(.*) BROKEN$", report, flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("broken_tree", "contract"),
    [
        pytest.param(violation, violation.contract, id=name)
        for name, violation in VIOLATIONS.items()
    ],
    indirect=["broken_tree"],
)
def test_broken_contract(broken_tree: Path, contract: str) -> None:
    """import-linter finds each violation, and names the broken contract."""
    code, output = run("lint-imports", "--no-cache", at=broken_tree)
    assert code == 1
    assert contract in broken_contracts(output)


def test_kept_contracts(tree: Path) -> None:
    """The tree itself keeps all contracts."""
    assert run("lint-imports", "--no-cache", at=tree)[0] == 0


BAD_TYPES: Final = {
    "from typing import Any\n\n\ndef f(x: Any) -> None:\n    print(x)\n": "explicit-any",
    "def f(x):\n    return x\n": "no-untyped-def",
    "def f(x: int) -> str:\n    return x\n": "return-value",
}


@pytest.mark.parametrize("source", BAD_TYPES)
def test_bad_types(source: str, tmp_path: Path) -> None:
    """mypy reports `Any`, missing types and wrong types in the core."""
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


PAGE: Final = "svclink_controller/dashboard/static"
BAD_SCRIPTS: Final = {
    "export const wrong = absent;": "no-undef",
    "const wrong = 1;": "no-unused-vars",
    'import { html } from "./html.js";': "no-unused-vars",
    'import { absent } from "./html.js";\nexport const wrong = absent;': "import(named)",
    'import absent from "./html.js";\nexport const wrong = absent;': "import(default)",
    'import * as every from "./html.js";\nexport const wrong = every.absent;': "import(namespace)",
    "export function wrong(unused) {}": "no-unused-vars",
}


@pytest.mark.parametrize("source", BAD_SCRIPTS)
def test_bad_script(source: str, tree: Path) -> None:
    """oxlint reports names of the page that do not exist or that nothing uses."""
    file = tree / PAGE / "js" / "bad.js"
    file.write_text(f"{source}\n", encoding="utf-8")
    code, output = run("oxlint", "--format=unix", PAGE, at=tree)
    file.unlink()
    assert code == 1
    assert BAD_SCRIPTS[source] in output


def test_badly_formatted_script(tree: Path) -> None:
    """oxfmt names a script of the page that is not formatted."""
    file = tree / PAGE / "js" / "bad.js"
    file.write_text("export const  wrong = 'text'\n", encoding="utf-8")
    code, output = run("oxfmt", "--check", PAGE, at=tree)
    file.unlink()
    assert code == 1
    assert f"{PAGE}/js/bad.js" in output


def test_good_scripts(tree: Path) -> None:
    """The page itself passes both, and the libraries of others are not checked."""
    assert run("oxlint", PAGE, at=tree)[0] == 0
    assert run("oxfmt", "--check", PAGE, at=tree)[0] == 0
