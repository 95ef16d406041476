"""`svclink demo`, as a user runs it. Real: three API servers, svclink and the network."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from attrs import evolve
from rich.console import Console

from svclink_controller.demo.control_planes import BINARIES, MissingBinariesError, find_binaries
from svclink_controller.demo.fleet import DemoError, running_fleet
from svclink_controller.demo.narrator import Narrator
from svclink_controller.demo.processes import Process
from svclink_controller.demo.story import Story

TIMEOUT_SECONDS = 300.0
COMMAND = (sys.executable, "-m", "svclink_controller", "demo")


STEPS = [
    "all three serve HTTPS on loopback",
    "the Service in main has only its own Pod",
    "the Service in main has the Pods of all three clusters",
    "main shows it as not ready",
    "the link to cluster-b becomes NotReady",
    "cluster-a is not affected: its Pod is ready again",
    "main keeps the endpoints of cluster-b: its Pods may still run",
    "main removes that Pod",
    "main adds the Pod of cluster-b and leaves cluster-a as it was",
    "main adds the Pod of cluster-a",
    "main removes the Pods of cluster-a and keeps the others",
]


@contextmanager
def kept_demo(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run `svclink demo --keep`; yields it and its output once it has printed its kubeconfig."""
    output = tmp_path / "output"
    files = tmp_path / "files"
    files.mkdir()
    with (
        output.open("wb") as log,
        subprocess.Popen(
            (*COMMAND, "--keep"), env=os.environ | {"TMPDIR": str(files)}, stdout=log
        ) as process,
    ):
        try:
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while "KUBECONFIG=" not in (printed := output.read_text(encoding="utf-8")):
                assert process.poll() is None, printed
                assert time.monotonic() < deadline, printed
                time.sleep(0.05)
            yield process, printed
        finally:
            process.kill()


def test_kept_demo_verifies_its_story_and_runs_until_interrupted(tmp_path: Path) -> None:
    """Only its user can read its secrets, which are removed with it."""
    with kept_demo(tmp_path) as (process, printed):
        assert [
            line.partition("✔ ")[2].partition(", after")[0]
            for line in printed.splitlines()
            if "✔" in line
        ] == STEPS
        assert "10.1.0.12 NOT READY" in printed
        kubeconfig = Path(printed.partition("KUBECONFIG=")[2].partition("\n")[0])
        files = [path for path in kubeconfig.parent.rglob("*") if path.is_file()]
        readable = {
            path.name for path in files if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
        }
        assert kubeconfig.parent.stat().st_mode & 0o077 == 0
        assert not readable & {"kubeconfig", "serving.pem", "sa.key", "journal"}

        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=TIMEOUT_SECONDS) == 0

    assert not kubeconfig.parent.exists()


def test_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle of the story stops everything; the exit code is 130."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("svclink starts"):
                    process.send_signal(signal.SIGINT)
            assert process.wait(timeout=TIMEOUT_SECONDS) == 130
        finally:
            process.kill()

    assert list(tmp_path.iterdir()) == []


async def test_story_that_does_not_come_true_is_an_error(tmp_path: Path) -> None:
    """The error names the expected and the actual endpoints; a svclink that exits ends the wait."""
    async with running_fleet(tmp_path, None) as fleet:
        narrator = Narrator(Console(file=StringIO()))
        idle = Process("svclink", ["sleep", "60"], tmp_path / "idle.log")
        try:
            with pytest.raises(
                DemoError,
                match=r"timed out after .*the Pods of all three.*'cluster-a'.*, got \{'main'",
            ):
                await Story(evolve(fleet, svclink=idle), narrator, step_seconds=0.5).play()
        finally:
            idle.stop()
        dead = Process(
            "svclink", [sys.executable, "-c", "print('I give up')"], tmp_path / "dead.log"
        )
        dead.start()
        dead.wait(TIMEOUT_SECONDS)
        with pytest.raises(DemoError, match="svclink exited:\nI give up"):
            await Story(evolve(fleet, svclink=dead), narrator)._await_phase("cluster-a", "Ready")


async def test_terminal_highlights_changed_endpoints() -> None:
    """Colour shows which endpoints are ready; bold shows which have changed."""
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, color_system="standard", highlight=False)
    narrator = Narrator(console, chapter_pause=0)

    await narrator.chapter("A Pod comes.")
    with narrator.waiting("a Pod"):
        narrator.endpoints(
            {"b": {"10.2.0.1": False}, "main": {"10.0.0.1": True}}, {"main": {"10.0.0.1": True}}
        )
    narrator.verified("it is there", 0.0123)

    printed = shown.getvalue()
    assert "\x1b[1mA Pod comes.\x1b[0m" in printed
    assert printed.index("\x1b[32m10.0.0.1 ready") < printed.index("\x1b[1;33m10.2.0.1 NOT READY")
    assert ", after 12 ms" in printed


def make_binaries(directory: Path) -> Path:
    directory.mkdir(parents=True)
    for name in BINARIES:
        (directory / name).touch(mode=0o755)
    return directory


def test_binaries_are_found_in_their_usual_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KUBEBUILDER_ASSETS comes first, then the newest version in the cache, then the PATH."""
    for name in ("KUBEBUILDER_ASSETS", "SVCLINK_ENVTEST_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(
        MissingBinariesError, match="--real needs etcd, kube-apiserver, kube-controller-manager"
    ):
        find_binaries()

    on_path = make_binaries(tmp_path / "bin")
    assert find_binaries() == on_path
    make_binaries(tmp_path / "cache" / "svclink" / "envtest" / "v1.9.3-linux-amd64")
    newest = make_binaries(tmp_path / "cache" / "svclink" / "envtest" / "v1.36.3-linux-amd64")
    assert find_binaries() == newest
    assets = make_binaries(tmp_path / "assets")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert find_binaries() == assets
