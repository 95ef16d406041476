"""`svclink demo`, as a user runs it. Real: three API servers, svclink and the network."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TIMEOUT_SECONDS = 300.0
SYSTEM_PATH = "/usr/bin:/bin"
"""The PATH of another terminal, where `svclink` is not installed."""
COMMAND = (sys.executable, "-m", "svclink_controller", "demo")
STOPPED = "Everything has been stopped, and the files have been removed."

STEPS = [
    "all three serve HTTPS on the loopback interface",
    "the Service in main has only its own Pod",
    "the Service in main has the Pods of all three clusters",
    "main shows it as not ready",
    "the link to cluster-b becomes NotReady",
    "cluster-a is not affected: its Pod is ready again",
    "main keeps the endpoints of cluster-b: its Pods may still be running",
    "main removes that Pod's endpoint",
    "main adds the new endpoint of cluster-b and leaves cluster-a as it was",
    "main adds the new endpoint of cluster-a",
    (
        "one of the five endpoints in use is in cluster-a,"
        " and the other endpoints in cluster-a are on standby"
    ),
    "cluster-b is on standby",
    "cluster-b is in use",
    "all endpoints get an equal share",
    "main removes the endpoints of cluster-a and keeps the others",
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
            (*COMMAND, "--keep"),
            env=os.environ | {"TMPDIR": str(files), "PATH": SYSTEM_PATH},
            stdout=log,
            stderr=subprocess.PIPE,
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
    """Only its user can read its secrets, which are removed with it.

    The last endpoints that it prints are those that its commands show.
    """
    with kept_demo(tmp_path) as (process, printed):
        assert [
            line.partition("✔ ")[2].partition(", after")[0]
            for line in printed.splitlines()
            if "✔" in line
        ] == [*STEPS, "main adds the Pods in cluster-a"]
        assert "10.1.0.12 NOT READY" in printed
        last = printed.rpartition("The link to cluster-a is created again.")[2]
        assert "    cluster-a  10.1.0.11 ready   10.1.0.12 ready   10.1.0.13 ready\n" in last
        dashboard = printed.partition("\n    export KUBECONFIG=")[2].splitlines()[1].split()
        assert dashboard[-1] == "dashboard"
        assert shutil.which(dashboard[0], path=SYSTEM_PATH) is not None
        kubeconfig = Path(printed.partition("KUBECONFIG=")[2].partition("\n")[0])
        files = [path for path in kubeconfig.parent.rglob("*") if path.is_file()]
        readable = {
            path.name for path in files if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
        }
        assert kubeconfig.parent.stat().st_mode & 0o077 == 0
        assert not readable & {"kubeconfig", "serving.pem", "sa.key", "journal"}

        process.send_signal(signal.SIGHUP)  # The terminal is closed.
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
        assert (process.returncode, errors.decode()) == (0, f"\n{STOPPED}\n")

    assert not kubeconfig.parent.exists()


def test_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle of the story stops everything, and says so; the exit code is 130."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("svclink starts"):
                    process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert process.stderr.read() == f"\n{STOPPED}\n"
            assert process.wait(timeout=TIMEOUT_SECONDS) == 130
        finally:
            process.kill()

    assert list(tmp_path.iterdir()) == []


def test_demo_ends_silently_when_its_reader_leaves(tmp_path: Path) -> None:
    """`svclink demo | head` prints no traceback, and leaves nothing behind."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait(timeout=TIMEOUT_SECONDS) == 1
        finally:
            process.kill()

    assert list(tmp_path.iterdir()) == []
