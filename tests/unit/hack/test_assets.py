"""`hack/envtest/assets.py`: which binaries of which pinned version, and where they are."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "hack" / "envtest"))
import assets  # noqa: E402

SETS = (assets.CONTROL_PLANE, assets.TRAFFIC, assets.NODES)
VERSIONS = list(assets.pinned_versions())


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No binaries anywhere: not in the cache, nor on the PATH."""
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("SVCLINK_ENVTEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["assets.py", *arguments])
    return assets.main()


def put_programs(directory: Path, names: list[str]) -> None:
    directory.mkdir(parents=True)
    for name in names:
        (directory / name).touch(mode=0o755)


def test_pinned_versions_are_sorted_newest_first() -> None:
    """The main module pins the newest version, and each folder `v1.NN` one of its minor version."""
    minors = [int(version.split(".")[1]) for version in VERSIONS]
    assert minors == sorted(set(minors), reverse=True)
    assert assets.pinned_versions()[VERSIONS[0]] == assets.HERE
    for version in VERSIONS[1:]:
        assert version.startswith(assets.pinned_versions()[version].name + ".")


def test_chart_installs_on_the_oldest_pinned_version_and_newer() -> None:
    """What the chart claims is what is tested."""
    chart = (ROOT / "deploy" / "chart" / "Chart.yaml").read_text(encoding="utf-8")
    oldest = VERSIONS[-1].removeprefix("v").rpartition(".")[0]
    assert f'kubeVersion: ">={oldest}.0-0"' in chart


def test_document_about_support_names_every_pinned_version() -> None:
    """A version that is pinned anew is written down."""
    document = (ROOT / "docs" / "reference" / "support.md").read_text(encoding="utf-8")
    table = document.partition("## Differences between versions")[0]
    assert set(re.findall(r"\b1\.\d+\.\d+\b", table)) == {each[1:] for each in VERSIONS}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("binaries", SETS, ids=str)
def test_every_program_is_in_its_go_module(version: str, binaries: assets.Binaries) -> None:
    """Each program that is not of the module itself is one of the module's tools."""
    for name, source in assets.sources(version, binaries).items():
        definition = (source.module / "go.mod").read_text(encoding="utf-8")
        own = f"module {source.package}\n" in definition
        assert own or f"\t{source.package}\n" in definition, name


def test_each_set_of_binaries_has_its_own_directory() -> None:
    """Other Kubernetes versions, and other sets, are in other directories."""
    directories = [
        assets.cache_directory(version, binaries) for version in VERSIONS for binaries in SETS
    ]
    assert len(set(directories)) == len(VERSIONS) * len(SETS)


def test_directory_names_the_version_of_the_companion() -> None:
    """A new containerd is built although Kubernetes stays the same."""
    pin = assets.pin_of("github.com/containerd/containerd/v2", assets.HERE / "containerd")
    assert pin is not None
    directory = assets.cache_directory(VERSIONS[0], assets.NODES)
    assert directory.name.startswith(f"nodes-{VERSIONS[0]}-containerd-{pin}-")


@pytest.mark.parametrize("binaries", SETS, ids=str)
def test_complete_directory_of_the_cache_is_printed(
    binaries: assets.Binaries, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`assets.py` prints one line, the directory."""
    directory = assets.cache_directory(VERSIONS[-1], binaries)
    put_programs(directory, binaries.names)
    options = [binaries.option] if binaries.option else []
    assert run(monkeypatch, "--kubernetes", VERSIONS[-1], *options) == 0
    assert capsys.readouterr().out == f"{directory}\n"


@pytest.mark.parametrize("binaries", SETS, ids=str)
def test_incomplete_directory_counts_as_missing(binaries: assets.Binaries) -> None:
    """A directory that lacks one program is built again."""
    put_programs(assets.cache_directory(VERSIONS[0], binaries), binaries.names[1:])
    assert assets.find(VERSIONS[0], binaries) is None


def test_no_build_names_the_command_that_builds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command in the sentence builds what is missing."""
    assert run(monkeypatch, "--kubernetes", VERSIONS[-1], "--nodes", "--no-build") == 1
    assert capsys.readouterr().err == (
        "No kubelet, kube-scheduler, containerd, containerd-shim-runc-v2 and ctr of Kubernetes"
        f" {VERSIONS[-1]} found: run `python hack/envtest/assets.py --kubernetes {VERSIONS[-1]}"
        " --nodes` to build them.\n"
    )


def test_kubebuilder_assets_counts_for_control_planes_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The convention of setup-envtest knows no programs of nodes."""
    directory = tmp_path / "assets"
    put_programs(directory, assets.CONTROL_PLANE.names)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(directory))
    assert assets.find(VERSIONS[0], assets.CONTROL_PLANE) == directory
    assert assets.find(VERSIONS[0], assets.NODES) is None
