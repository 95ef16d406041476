"""The README's commands for running svclink, run as they stand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from .polling import eventually
from .world import World

README = Path(__file__).parents[2] / "README.md"


def test_the_commands_of_the_readme_run_svclink(world: World, tmp_path: Path) -> None:
    """Who follows "Run it" gets a link that is Ready, and slices of the remote; Ctrl-C ends it without an error."""
    block = re.search(
        r"^```sh cluster\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert block is not None
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
        ["bash", "-ec", block[1]], cwd=README.parent, env=environment, start_new_session=True
    ) as following:
        try:
            eventually(lambda: world.shows("web", **{"cluster-a": ["10.1.0.1"]}), timeout=60)
        finally:
            os.killpg(following.pid, signal.SIGINT)
            following.wait(timeout=10)
    assert following.returncode == 0
