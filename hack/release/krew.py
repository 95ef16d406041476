"""Pack the kubectl plugin, and write its manifest for krew.

An archive holds one executable and the license. Equal contents give an equal archive. The manifest
is made from the names of the archives, which end in the operating system and the processor.

    python hack/release/krew.py pack kubectl-svclink dist/kubectl-svclink-0.2.0-linux-amd64.tar.gz
    python hack/release/krew.py manifest https://HOST/svclink/v0.2.0 dist/kubectl-svclink-*.tar.gz
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "kubectl-svclink"
ARCHIVE = re.compile(rf"{PLUGIN}-(?P<version>[\d.]+)-(?P<os>[a-z]+)-(?P<arch>[a-z0-9]+)\.tar\.gz")
DESCRIPTION = """\
svclink mirrors EndpointSlices of remote clusters into a main cluster, so that its Services balance
over local and remote Pods. This plugin checks the installation, shows which Services are mirrored
and why others are not, previews changes, and shifts or drains traffic between clusters.
"""
CAVEATS = """\
The plugin needs Python 3.11, 3.12 or 3.13 on the PATH.
"""


def pack(executable: Path, archive: Path) -> None:
    """Write the archive of a platform."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, path, mode in (
            ("LICENSE", ROOT / "LICENSE", 0o644),
            (PLUGIN, executable, 0o755),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = path.stat().st_size, mode
            with path.open("rb") as file:
                tar.addfile(entry, file)
    archive.write_bytes(gzip.compress(content.getvalue(), mtime=0))


def platform(archive: Path, url: str) -> dict[str, Any]:
    """How krew installs the plugin on the platform of an archive."""
    parts = parts_of(archive)
    return {
        "selector": {"matchLabels": {"os": parts["os"], "arch": parts["arch"]}},
        "uri": f"{url}/{archive.name}",
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "bin": PLUGIN,
    }


def parts_of(archive: Path) -> dict[str, str]:
    """Version, operating system and processor in the name of an archive."""
    found = ARCHIVE.fullmatch(archive.name)
    if found is None:
        sys.exit(f"{archive.name} must be named {PLUGIN}-VERSION-OS-ARCH.tar.gz")
    return found.groupdict()


def manifest(url: str, archives: Sequence[Path]) -> dict[str, Any]:
    """The manifest of a release whose files are below an address."""
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "svclink"},
        "spec": {
            "version": f"v{parts_of(archives[0])['version']}",
            "homepage": url.partition("/releases/")[0],
            "shortDescription": "Inspect and steer Services mirrored between clusters",
            "description": DESCRIPTION,
            "caveats": CAVEATS,
            "platforms": [platform(each, url) for each in archives],
        },
    }


def main(arguments: list[str]) -> int:
    """Pack, or print the manifest; returns the exit code."""
    match arguments:
        case ["pack", executable, archive]:
            pack(Path(executable), Path(archive))
        case ["manifest", url, *archives] if archives:
            found = manifest(url.rstrip("/"), [Path(each) for each in sorted(archives)])
            print(yaml.safe_dump(found, sort_keys=False), end="")
        case _:
            print(__doc__)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
