"""Commands that users run next start with what started svclink.

Real: scripts in the file system, the PATH. Substituted: the arguments of this process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from svclink_controller.invocation import as_started, program


def script(tmp_path: Path, name: str, *, mode: int = 0o755) -> Path:
    """An installed script whose path a shell has to quote."""
    path = tmp_path / "a b" / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("name", "words"), [("svclink", "svclink"), ("kubectl-svclink", "kubectl svclink")]
)
def test_script_on_the_path(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is enough; kubectl finds its plugins on the PATH."""
    path = script(tmp_path, name)
    monkeypatch.setattr(sys, "argv", [str(path)])
    monkeypatch.setenv("PATH", str(path.parent))
    assert program() == words


@pytest.mark.parametrize("name", ["svclink", "kubectl-svclink"])
def test_script_elsewhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path is needed, also if the PATH has another svclink."""
    path = script(tmp_path, name)
    monkeypatch.setattr(sys, "argv", [str(path)])
    other = tmp_path / "other"
    other.mkdir()
    for directory in (tmp_path, other):
        monkeypatch.setenv("PATH", str(directory))
        assert program() == f"'{path}'"
        (other / name).touch(mode=0o755)


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next terminal may be in another directory."""
    path = script(tmp_path, "svclink")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path.relative_to(tmp_path))])
    monkeypatch.setenv("PATH", "")
    assert program() == f"'{path}'"


def test_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m svclink_controller` names the script beside Python; without one, itself."""
    python = script(tmp_path, "python")
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(sys, "argv", ["/lib/svclink_controller/__main__.py"])
    monkeypatch.setenv("PATH", "")
    assert program() == f"'{python}' -m svclink_controller"
    script(tmp_path, "svclink", mode=0o644)
    assert program() == f"'{python}' -m svclink_controller"
    path = script(tmp_path, "svclink")
    assert program() == f"'{path}'"


@pytest.mark.parametrize("started", ["/bin/other", "/lib/other/__main__.py", ""])
def test_another_program(started: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that imports svclink is not what users start."""
    monkeypatch.setattr(sys, "argv", [started])
    assert program() == "svclink"


def test_only_commands_of_svclink_are_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first word is one that the shell looks up."""
    path = script(tmp_path, "svclink")
    monkeypatch.setattr(sys, "argv", [str(path)])
    monkeypatch.setenv("PATH", "")
    assert as_started("svclink check") == f"'{path}' check"
    assert as_started("kubectl get pods -n svclink") == "kubectl get pods -n svclink"
    assert as_started("") == ""
