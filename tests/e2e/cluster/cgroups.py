"""The control groups of nodes, on cgroup v1 and v2: a parent group for the Pods of each node."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.e2e.loopback_ports import TEST_PROCESS
from tests.e2e.polling import eventually

ROOT: Final = Path("/sys/fs/cgroup")
UNIFIED: Final = (ROOT / "cgroup.controllers").exists()
SHARE_OF_PODS: Final = 4
"""How much CPU all Pods get together, when there is too little: as much as this many processes."""

REQUIRED_CONTROLLERS: Final = ("cpu", "cpuset", "memory", "pids")


def parent_of(process: int) -> str:
    """The group above those of all nodes of a test process, by its number."""
    return f"svclink-e2e-{process}"


PARENT: Final = parent_of(TEST_PROCESS)


def parent_group(node: str) -> str:
    """The group above the Pods of a node, as the path within a hierarchy."""
    return f"/{PARENT}/{node}"


def create_groups(node: str) -> None:
    """Create the group above the Pods of a node; the kubelet requires it in every hierarchy."""
    for hierarchy in hierarchies():
        group = hierarchy
        for part in parent_group(node).strip("/").split("/"):
            if UNIFIED:
                _delegate(group)
            group /= part
            group.mkdir(exist_ok=True)
            if (group / "cpuset.cpus").exists() and not UNIFIED:
                _inherit_cpus(group)
        _set_share(hierarchy / PARENT)


def remove_groups(process: int) -> None:
    """Kill all processes in the groups of all nodes of a test process, and remove the groups."""
    for hierarchy in hierarchies():
        parent = hierarchy / parent_of(process)
        if parent.exists():
            eventually(lambda parent=parent: _remove(parent))  # type: ignore[misc]


def hierarchies() -> list[Path]:
    """The mount points of all controllers; on cgroup v2 there is one."""
    if UNIFIED:
        return [ROOT]
    # Controllers that are mounted together have symbolic links.
    found = {entry.resolve() for entry in ROOT.iterdir() if (entry / "cgroup.procs").exists()}
    return sorted(found)


def controllers() -> set[str]:
    """The controllers of this machine that can be used."""
    if UNIFIED:
        return set((ROOT / "cgroup.controllers").read_text(encoding="utf-8").split())
    return {entry.name for entry in ROOT.iterdir()}


def group_of_container(container: str, controller: str = "memory") -> Path:
    """The group of a container, by its id, in the hierarchy of a controller."""
    (group,) = groups_of_container(container, controller)
    return group


def groups_of_container(container: str, controller: str = "memory") -> list[Path]:
    """The same in a list, which is empty if the container has no group any more."""
    return list((hierarchy_of(controller) / PARENT).rglob(container))


def hierarchy_of(controller: str) -> Path:
    """The mount point of a controller."""
    return ROOT if UNIFIED else ROOT / controller


def processes_of_container(container: str) -> list[int]:
    """The ids of the processes of a container, as the test host sees them; none if it ended."""
    groups = groups_of_container(container)
    return [process for group in groups for process in processes_of(group)]


def processes_on_node(node: str) -> list[int]:
    """The ids of the processes of all containers on a node, as the test host sees them."""
    return list(processes_of(hierarchy_of("memory") / parent_group(node).strip("/")))


def memory_limit(container: str) -> int:
    """The limit of the memory of a container, in bytes."""
    name = "memory.max" if UNIFIED else "memory.limit_in_bytes"
    return int((group_of_container(container) / name).read_text(encoding="utf-8"))


def throttled_periods(container: str) -> int:
    """How often a container had to wait because it had used its CPU."""
    statistics = (group_of_container(container, "cpu") / "cpu.stat").read_text(encoding="utf-8")
    return int(re.findall(r"nr_throttled (\d+)", statistics)[0])


def processes_of(group: Path) -> Iterator[int]:
    """The processes in a group and in the groups below."""
    for members in (group, *group.rglob("*/")):
        with contextlib.suppress(OSError):
            yield from map(int, (members / "cgroup.procs").read_text().split())


def _delegate(group: Path) -> None:
    """Enable all controllers of a group for the groups below it."""
    controllers = (group / "cgroup.controllers").read_text(encoding="utf-8").split()
    enabled = " ".join(f"+{each}" for each in controllers)
    (group / "cgroup.subtree_control").write_text(enabled, encoding="utf-8")


def _inherit_cpus(group: Path) -> None:
    """A new group of cgroup v1 has no CPUs, so that no process can be put into it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (group / name).read_text(encoding="utf-8").strip():
            (group / name).write_text((group.parent / name).read_text(encoding="utf-8"))


def _set_share(group: Path) -> None:
    name, default = ("cpu.weight", 100) if UNIFIED else ("cpu.shares", 1024)
    if (group / name).exists():
        (group / name).write_text(str(SHARE_OF_PODS * default), encoding="utf-8")


def _remove(group: Path) -> None:
    for process in processes_of(group):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for child, _, _ in os.walk(group, topdown=False):
        Path(child).rmdir()
