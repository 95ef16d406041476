"""Machines end with the run that started them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.polling import eventually
from tests.e2e.shell import ROOT

RUN = """
import sys
from pathlib import Path
from tests.e2e.cluster.machines import Machine

machine = Machine("left-over", Path(sys.argv[1]), "")
machine.start()
machine.process("daemon", ["sh", "-c", "setsid sleep 1000 & sleep 1000"]).start()
print(machine.process_id, flush=True)
input()
"""


def test_a_killed_run_leaves_no_process(
    requirements: None,  # noqa: ARG001 - checks whether the test can run
    tmp_path: Path,
) -> None:
    """When a run is killed, its machines end, with processes that lost their parents."""
    directory = tmp_path / "machine"
    command = [sys.executable, "-c", RUN, str(directory)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as run:
        assert run.stdout is not None
        namespace = Path(f"/proc/{int(run.stdout.readline())}/ns/pid").readlink()
        eventually(lambda: assert_processes(namespace, 4))
        run.kill()

    eventually(lambda: assert_processes(namespace, 0))


def assert_processes(namespace: Path, count: int) -> None:
    """Assert how many processes are in a namespace of process ids."""
    links = [entry / "ns" / "pid" for entry in Path("/proc").glob("[0-9]*")]
    members = [link for link in links if target_of(link) == namespace]
    assert len(members) == count, f"processes: {members}"


def target_of(link: Path) -> Path | None:
    """The target of a link; None if its process has ended."""
    try:
        return link.readlink()
    except OSError:
        return None
