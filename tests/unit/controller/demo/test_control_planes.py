"""The binaries of a real control plane are found where they usually are."""

from __future__ import annotations

from pathlib import Path

import pytest

from svclink_controller.demo.control_planes import BINARIES, MissingBinariesError, find_binaries


def make_binaries(directory: Path) -> Path:
    directory.mkdir(parents=True)
    for name in BINARIES:
        (directory / name).touch(mode=0o755)
    return directory


def test_binaries_are_found_in_their_usual_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KUBEBUILDER_ASSETS comes first, then the newest version in the cache, then the PATH."""
    for name in ("KUBEBUILDER_ASSETS", "SVCLINK_ENVTEST_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(
        MissingBinariesError, match="--real needs etcd, kube-apiserver, kube-controller-manager"
    ):
        find_binaries()

    on_path = make_binaries(tmp_path / "bin")
    assert find_binaries() == on_path
    make_binaries(tmp_path / "cache" / "svclink" / "envtest" / "v1.9.3-linux-amd64")
    newest = make_binaries(tmp_path / "cache" / "svclink" / "envtest" / "v1.36.3-linux-amd64")
    assert find_binaries() == newest
    assets = make_binaries(tmp_path / "assets")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert find_binaries() == assets
