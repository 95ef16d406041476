"""What whole clusters need on the test host."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from . import cgroups, images
from .containerd import CNI_PLUGINS

PROGRAMS: Final = ("ip", "nft", "conntrack", "runc", "nsenter", "sysctl", *images.PROGRAMS)
PLUGINS: Final = ("bridge", "host-local", "loopback")


def missing_cluster_requirement() -> str | None:
    """Why whole clusters cannot run here, and how to fix it; None if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Whole clusters need Linux and root: run the cluster tests there, as root."
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    missing += [plugin for plugin in PLUGINS if not Path(CNI_PLUGINS, plugin).exists()]
    if missing:
        return f"{', '.join(missing)} not found: run `nox -s cluster` as root, which installs them."
    missing = [each for each in cgroups.REQUIRED_CONTROLLERS if each not in cgroups.controllers()]
    if missing:
        return (
            f"The cgroup controllers {', '.join(missing)} are missing: enable them in the kernel."
        )
    return None
