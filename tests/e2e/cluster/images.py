"""The container images of the whole clusters, as archives that containerd imports.

No registry is needed. Each archive is built once and kept in the cache of `hack/envtest/assets.py`.
The tag of an image is a hash of what it is built from, so that all tests run the same image.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.e2e.shell import ROOT

from .pip_settings import pip_mounts

ENVTEST: Final = ROOT / "hack" / "envtest"
sys.path.insert(0, str(ENVTEST))
from assets import cache_root, locked  # noqa: E402

PATH: Final = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
PROGRAMS: Final = ("buildah", "debootstrap", "unshare")
OWN_MOUNTS: Final = ("unshare", "--mount", "--propagation=private")
"""The kernel removes the mounts of a command that is started so, however the command ends."""
DOWNLOADS: Final = "buildah-cache"
"""Where buildah keeps the directories of `RUN --mount=type=cache`, below $TMPDIR."""
KEPT: Final = 3
"""How many archives of each image stay in the cache: the sources of svclink change often."""

DEBIAN: Final = "trixie"
PACKAGES: Final = ("ca-certificates", "python3", "python3-venv")
LIKE_PYTHON_SLIM: Final = """
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /usr/share/doc /usr/share/man
rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
ln -s ../../bin/python3 /usr/local/bin/python
pip=$(echo /usr/share/python-wheels/pip-*.whl)
python3 "$pip/pip" install --quiet --root-user-action=ignore --no-index --no-deps "$pip"
"""
"""What makes the root of Debian like `python:slim`: pip is in /usr/local, and may be used."""

BASE_DOCKERFILE: Final = 'FROM scratch\nCOPY . /\nCMD ["python3"]\n'
PAUSE_DOCKERFILE: Final = 'FROM scratch\nCOPY pause /\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'
COREDNS_DOCKERFILE: Final = (
    'FROM scratch\nCOPY coredns /\nEXPOSE 53 53/udp\nENTRYPOINT ["/coredns"]\n'
)


class ImageError(Exception):
    """An image cannot be built; the message says why."""


@dataclass(frozen=True)
class Image:
    """An image in an archive in the format of `docker save`."""

    repository: str
    tag: str

    @property
    def name(self) -> str:
        """The name in the archive and, once that is imported, in containerd."""
        return f"localhost/{self.repository}:{self.tag}"

    @property
    def archive(self) -> Path:
        return cache_of("images") / f"{self.repository}-{self.tag}.tar"


def cache_of(what: str) -> Path:
    """The directory for something in the cache of `hack/envtest/assets.py`."""
    return cache_root() / what


def missing_requirement() -> str | None:
    """Why images cannot be built, and how to fix it; None if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Images are built on Linux, as root: run the tests of whole clusters there."
    if missing := [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]:
        return f"{', '.join(missing)} not found: install buildah, debootstrap and util-linux."
    return None


def base_image() -> Image:
    """A stand-in for the base image of the Dockerfile, from Debian, with Python.

    Test Pods use it too, as clients and web servers.
    """
    image = Image("python", hash_of(DEBIAN, *PACKAGES, LIKE_PYTHON_SLIM, BASE_DOCKERFILE))

    def build(directory: Path) -> None:
        root = directory / "root"
        include = f"--include={','.join(PACKAGES)}"
        run(*OWN_MOUNTS, "debootstrap", "--variant=minbase", include, DEBIAN, str(root))
        run("chroot", str(root), "sh", "-euc", LIKE_PYTHON_SLIM)
        build_image(image, root, BASE_DOCKERFILE, directory)

    return cached(image, build)


def svclink_image() -> Image:
    """The image of the project's Dockerfile, on the stand-in for its base image."""
    base = base_image()
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    sources = sorted(source_files(dockerfile))
    contents = [f"{path.relative_to(ROOT)}\n{hash_of(path.read_bytes())}" for path in sources]
    image = Image("svclink", hash_of(base.tag, dockerfile, *contents))

    def build(directory: Path) -> None:
        run(*buildah(directory), "pull", f"docker-archive:{base.archive}")
        mounts = [f"--volume={each}" for each in pip_mounts(directory)]
        build_image(image, ROOT, dockerfile, directory, f"--build-arg=BASE={base.name}", *mounts)

    return cached(image, build)


def pause_image() -> Image:
    """The image of the first container of each Pod."""
    source = ENVTEST / "pause"
    files = [path.read_bytes() for path in sorted(source.iterdir())]
    image = Image("pause", hash_of(PAUSE_DOCKERFILE, *files))

    def build(directory: Path) -> None:
        context = directory / "context"
        go_build = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
        run(*go_build, "-o", str(context / "pause"), ".", cwd=source, CGO_ENABLED="0")
        build_image(image, context, PAUSE_DOCKERFILE, directory)

    return cached(image, build)


def coredns_image(program: Path) -> Image:
    """CoreDNS, from the program that `hack/envtest/assets.py --traffic` built."""
    image = Image("coredns", hash_of(COREDNS_DOCKERFILE, program.read_bytes()))

    def build(directory: Path) -> None:
        context = directory / "context"
        context.mkdir()
        shutil.copy(program, context / "coredns")
        build_image(image, context, COREDNS_DOCKERFILE, directory)

    return cached(image, build)


def hash_of(*parts: str | bytes) -> str:
    """The beginning of a hash of the parts and of the kind of processor."""
    digest = hashlib.sha256(platform.machine().encode())
    for part in parts:
        digest.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return digest.hexdigest()[:16]


def source_files(dockerfile: str) -> Iterator[Path]:
    """The files that a Dockerfile copies from the project."""
    for line in re.findall(r"^COPY (?!--from)(.*)", dockerfile, re.MULTILINE):
        for source in line.split()[:-1]:
            path = ROOT / source
            files: Iterable[Path] = path.rglob("*") if path.is_dir() else [path]
            yield from (
                each for each in files if each.is_file() and "__pycache__" not in each.parts
            )


def cached(image: Image, build: Callable[[Path], None]) -> Image:
    """Build an image, unless its archive exists; `build` gets an empty directory."""
    directory = image.archive.parent
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / "lock"):
        if not image.archive.exists():
            remove_leftovers(directory)
            with TemporaryDirectory(dir=directory) as temporary:
                build(Path(temporary))
        image.archive.touch()
        archives = sorted(
            directory.glob(f"{image.repository}-*.tar"), key=lambda path: path.stat().st_mtime
        )
        for old in archives[:-KEPT]:
            old.unlink()
    return image


def remove_leftovers(directory: Path) -> None:
    """Remove what a build that was killed left; packages that pip downloaded stay."""
    for path in directory.iterdir():
        if path.is_dir() and path.name != DOWNLOADS:
            shutil.rmtree(path)


def build_image(
    image: Image, context: Path, dockerfile: str, directory: Path, *arguments: str
) -> None:
    """Build an image from a context, and write its archive."""
    file = directory / "Dockerfile"
    file.write_text(dockerfile, encoding="utf-8")
    tool = buildah(directory)
    how = ["--isolation=chroot", "--network=host", "--file", str(file), "--tag", image.name]
    cache = str(image.archive.parent)
    run(*tool, "bud", *how, *arguments, str(context), TMPDIR=cache)
    archive = directory / "archive.tar"
    run(*tool, "push", image.name, f"docker-archive:{archive}:{image.name}")
    archive.rename(image.archive)


def buildah(directory: Path) -> list[str]:
    """The beginning of a command of buildah, with a storage of its own."""
    storage = [f"--root={directory / 'storage'}", f"--runroot={directory / 'run'}"]
    return [*OWN_MOUNTS, "buildah", *storage]


def run(*command: str, cwd: Path = ROOT, **variables: str) -> None:
    """Run a command; the error of one that fails contains the end of its output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"PATH": PATH} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ImageError(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
