"""The image of the Dockerfile: what is in it, and that svclink runs in it as in a restricted Pod.

Real: the image, built by buildah and unpacked; its programs run as its user, on read-only files.
Simulated: the container. There is a root directory and a user, but no runtime.
"""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest

from tests.e2e.shell import ROOT
from tests.e2e.world import RecordMeasure

from .images import OWN_MOUNTS, Image, base_image, missing_requirement, svclink_image

EXAMPLE: Final = "docs/example"
PLAN: Final = f"plan --main {EXAMPLE}/main.yaml --remote cluster-a={EXAMPLE}/cluster-a.yaml"
EXPLAIN: Final = PLAN.replace("plan", "explain shop/web")
RUN: Final = """
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs tmp "$1/tmp"
mount -t tmpfs docs "$1/mnt"
cp -r "$2" "$1/mnt/"
mount -o remount,ro,bind "$1"
shift 2
exec "$@"
"""
"""Run a command with a directory as its read-only root, and a writable /tmp."""


class Unpacked:
    """The files of an image in a directory, and its configuration."""

    def __init__(self, archive: Path, root: Path) -> None:
        self.root = root
        unpacked = root.with_suffix(".layers")
        unpack(archive, unpacked)
        (manifest,) = json.loads((unpacked / "manifest.json").read_text(encoding="utf-8"))
        self.configuration: dict[str, Any] = json.loads(
            (unpacked / manifest["Config"]).read_text(encoding="utf-8")
        )["config"]
        self.layers: Sequence[Path] = [unpacked / layer for layer in manifest["Layers"]]
        for layer in self.layers:
            unpack_layer(layer, root)

    def command(self, *arguments: str) -> list[str]:
        """A command line that runs a program in the image, as its user."""
        user = self.configuration["User"]
        environment = self.configuration["Env"]
        place = ["sh", "-euc", RUN, "sh", str(self.root), str(ROOT / "docs")]
        enter = ["chroot", f"--userspec={user}", "--groups=", str(self.root)]
        return [
            *OWN_MOUNTS,
            *place,
            *enter,
            "/usr/bin/env",
            "-i",
            "-C/mnt",
            *environment,
            *arguments,
        ]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the image."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)

    def python(self, program: str) -> str:
        """Run a Python program that must succeed in the image, and return its output."""
        done = self.run("python", "-c", program)
        assert done.returncode == 0, done.stderr
        return done.stdout


def layers_of(image: Image) -> set[str]:
    """The names of the layers of an image, which contain a hash of their content."""
    with tarfile.open(image.archive) as tar:
        return {name for name in tar.getnames() if name.endswith(".tar")}


def unpack(archive: Path, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", directory], check=True)


def unpack_layer(layer: Path, root: Path) -> None:
    """Unpack a layer over the ones below; a file `.wh.NAME` says that NAME was removed."""
    unpack(layer, root)
    for marker in list(root.rglob(".wh.*")):
        removed = marker.with_name(marker.name.removeprefix(".wh."))
        if removed.is_dir() and not removed.is_symlink():
            shutil.rmtree(removed)
        else:
            removed.unlink(missing_ok=True)
        marker.unlink()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    """The image of the Dockerfile."""
    if (reason := missing_requirement()) is not None:
        pytest.skip(reason)
    return Unpacked(svclink_image().archive, tmp_path_factory.mktemp("image") / "root")


def test_configuration_is_that_of_the_manifests(image: Unpacked) -> None:
    """The image runs svclink without a shell, as the numeric user that the manifests name."""
    assert image.configuration["User"] == "65532:65532"
    assert image.configuration["Entrypoint"] == ["svclink"]
    assert not image.configuration.get("Cmd")
    assert "Healthcheck" not in image.configuration
    assert list(image.configuration["ExposedPorts"]) == ["8080/tcp"]


def test_labels_name_the_version(image: Unpacked) -> None:
    """The labels have the version of the project, and the base image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "org.opencontainers.image."
    labels = {
        name.removeprefix(prefix): value
        for name, value in image.configuration["Labels"].items()
        if name.startswith(prefix)
    }
    assert labels["version"] == project["version"]
    assert labels["licenses"] == project["license"]
    assert labels["base.name"] == base_image().name
    assert {"title", "description", "revision", "source"} <= set(labels)


def test_size_over_the_base(image: Unpacked, record_measure: RecordMeasure) -> None:
    """The image contains none of the classes of the client that svclink never imports."""
    over = [path for path in image.layers if path.name not in layers_of(base_image())]
    size = sum(path.stat().st_size for path in over) / 1e6
    record_measure("size of the image over its base, MB", size)
    never_imported = runpy.run_path(str(ROOT / "hack" / "slim_environment.py"))["NEVER_IMPORTED"]
    packages = next(image.root.glob("opt/svclink/lib/python3.*/site-packages"))
    files = [path.relative_to(packages).as_posix() for path in packages.rglob("*.py*")]
    assert len(files) > 1000
    assert [name for name in files if never_imported.fullmatch(name)] == []


def test_package_metadata_names_exactly_the_files(image: Unpacked) -> None:
    """Every installed file that metadata names exists, and what packages require is installed."""
    program = """
from importlib.metadata import distributions, version
from re import match
for package in distributions():
    for file in package.files or []:
        assert file.locate().exists(), file
    for requirement in package.requires or []:
        if "extra ==" not in requirement and ";" not in requirement:
            version(match(r"[\\w.-]+", requirement)[0])
"""
    image.python(program)


def test_sbom_lists_every_package(image: Unpacked) -> None:
    """The SBOM names the packages of Python and Debian that are in the image, and no others."""
    script = [sys.executable, str(ROOT / "hack" / "release" / "sbom.py"), "image", str(image.root)]
    texts = [
        subprocess.run(script, capture_output=True, text=True, check=True).stdout for _ in "ab"
    ]
    assert texts[0] == texts[1]
    listed = [each["purl"] for each in json.loads(texts[0])["components"]]
    packages = "from importlib.metadata import *; print(*[d.name for d in distributions()])"
    installed = {re.sub("[-_.]+", "-", name).lower() for name in image.python(packages).split()}
    assert set(names_in(listed, "pypi")) == installed
    vendored = "svclink_controller/dashboard/static/vendor/package.json"
    libraries = json.loads((ROOT / vendored).read_text(encoding="utf-8"))["dependencies"]
    assert set(names_in(listed, "npm")) == set(libraries)
    debian = image.run("dpkg-query", "--show", "--showformat=${Package}\\n").stdout.split()
    assert set(names_in(listed, "deb/debian")) == set(debian)


def names_in(listed: Sequence[str], kind: str) -> Iterator[str]:
    """The names of the packages of a kind."""
    for url in listed:
        if url.startswith(prefix := f"pkg:{kind}/"):
            yield unquote(url.removeprefix(prefix).partition("@")[0])


def test_nothing_that_installs_software_is_left(image: Unpacked) -> None:
    """Neither pip nor ensurepip can be imported."""
    for module in ("pip", "ensurepip"):
        done = image.run("python", "-c", f"import {module}")
        assert f"No module named '{module}'" in done.stderr


def test_every_module_can_be_imported(image: Unpacked) -> None:
    """Each module of svclink can be imported, the ones of every command included."""
    program = """
import importlib, pkgutil, svclink_controller, svclink_core
names = [
    module.name
    for package in (svclink_core, svclink_controller)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not module.name.endswith("__main__")
]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
    assert int(image.python(program)) > 150


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--version", "svclink"),
        (PLAN, "shop/web-cluster-a"),
        (EXPLAIN, "cluster-a"),
        ("status --kubeconfig /mnt/none", "/mnt/none"),
        ("check --kubeconfig /mnt/none", "/mnt/none"),
        ("cleanup --kubeconfig /mnt/none", "/mnt/none"),
        ("services --kubeconfig /mnt/none", "/mnt/none"),
        ("export-kubeconfig --help", "Usage"),
        ("", "not running in a Pod"),
    ],
)
def test_commands_run_in_the_image(image: Unpacked, arguments: str, expected: str) -> None:
    """Every command works with the files of the image, without a writable directory but /tmp."""
    done = image.run("svclink", *arguments.split())
    assert expected in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_controller_works_in_the_image(image: Unpacked) -> None:
    """The demo, which runs the controller with three clusters, succeeds in the image."""
    done = image.run("svclink", "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall("✔", done.stdout)) > 10


def test_no_shell_is_needed(image: Unpacked) -> None:
    """svclink starts where no shell exists."""
    shells = [
        path for name in ("sh", "bash", "dash") for path in image.root.glob(f"usr/bin/{name}")
    ]
    assert shells
    moved = [path.rename(path.with_suffix(".moved")) for path in shells]
    try:
        assert image.run("svclink", "--version").stdout.startswith("svclink")
    finally:
        for path in moved:
            path.rename(path.with_suffix(""))
