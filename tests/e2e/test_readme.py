"""The README's commands that run svclink."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from .documented_commands import documented_commands
from .polling import eventually
from .shell import ROOT
from .world import World

# How long the commands take on a busy machine until the first mirror exists.
MIRROR_SECONDS = 60


def test_readme_commands_run_svclink(world: World, tmp_path: Path) -> None:
    """The commands of "Run it" mirror a remote Service, and Ctrl-C ends them without an error."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    main, remote = tmp_path / "main.kubeconfig", tmp_path / "remote.kubeconfig"
    main.write_text(world.main.admin_kubeconfig(), encoding="utf-8")
    remote.write_text(world.c1.remote_kubeconfig(), encoding="utf-8")
    environment = os.environ | {
        "MAIN": str(main),
        "REMOTE": str(remote),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with subprocess.Popen(
        ["bash", "-ec", documented_commands("README.md")[""]],
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            eventually(
                lambda: world.assert_mirrored("web", **{"cluster-a": ["10.1.0.1"]}),
                timeout=MIRROR_SECONDS,
            )
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=10)
    assert process.returncode == 0
