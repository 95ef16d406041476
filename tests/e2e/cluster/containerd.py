"""containerd, and the unpacked images that it starts with on every node.

containerd never changes the files of an image, so the nodes share them through mounts. To import
the images on every node would take a minute.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.builders.manifests import Manifest
from tests.e2e.polling import eventually

from .images import Image
from .machines import Machine

CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"
CONTAINERD_NAMESPACE: Final = "k8s.io"
CNI_PLUGINS: Final = "/usr/lib/cni"
PAUSE: Final = "localhost/pause:latest"
BLOBS: Final = "io.containerd.content.v1.content/blobs"
SNAPSHOTS: Final = "io.containerd.snapshotter.v1.overlayfs/snapshots"

# Test hosts may be containers that must not lower the OOM score of a process.
CONFIGURATION: Final = """\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
address = "{socket}"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plugins}"]
conf_dir = "{networks}"
"""


def containerd(machine: Machine, programs: Path, pod_network: Manifest) -> list[str | Path]:
    """The command line of containerd, which gives Pods this network (a configuration of CNI)."""
    networks = machine.directory / "networks"
    networks.mkdir(exist_ok=True)
    (networks / "pods.conflist").write_text(json.dumps(pod_network), encoding="utf-8")
    file = machine.directory / "containerd.toml"
    configuration = CONFIGURATION.format(
        socket=CONTAINERD_SOCKET, pause=PAUSE, plugins=CNI_PLUGINS, networks=networks
    )
    file.write_text(configuration, encoding="utf-8")
    return [programs / "containerd", "--config", file]


def ctr(programs: Path, *arguments: str | Path) -> list[str | Path]:
    """The command line of a client of containerd."""
    return [programs / "ctr", "--namespace", CONTAINERD_NAMESPACE, *arguments]


def wait_for_containerd(machine: Machine, programs: Path) -> None:
    """Wait until the containerd of a machine serves."""
    eventually(lambda: _assert_serving(machine, programs))


def unpack_images(machine: Machine, programs: Path, images: Mapping[str, Image]) -> Path:
    """Import these images, by name, on a machine of their own; return the folder of containerd."""
    machine.start()
    process = machine.process("containerd", containerd(machine, programs, {}))
    process.start()
    try:
        wait_for_containerd(machine, programs)
        for image in set(images.values()):
            machine.run(*ctr(programs, "images", "import", image.archive))
        for name, image in images.items():
            machine.run(*ctr(programs, "images", "tag", image.name, name))
    finally:
        machine.kill()
    return machine.containerd_root


def share_images(store: Path, machine: Machine) -> None:
    """Give the containerd of a machine unpacked images, of which it copies only the databases."""
    root, mounts = machine.containerd_root, []
    is_new = not root.exists()
    for directory in (store / BLOBS, *(store / SNAPSHOTS).iterdir()):
        part = directory.relative_to(store)
        (root / part).mkdir(parents=True, exist_ok=True)
        mounts.append(f"mount -o bind,ro {directory} /var/lib/containerd/{part}")
    if is_new:
        for file in store.glob("*/*.db"):
            copy = root / file.relative_to(store)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    machine.run("sh", "-euc", "\n".join(mounts))


def _assert_serving(machine: Machine, programs: Path) -> None:
    command = machine.inside(*ctr(programs, "version"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
