"""What `hack/slim_environment.py` removes from the image is not needed."""

from __future__ import annotations

import csv
import runpy
from importlib import import_module
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from .client_classes import SCRIPT

SLIM = runpy.run_path(str(SCRIPT))
MODEL = "kubernetes/client/models/v1_pod.py"
COMPILED = "kubernetes/aio/client/api/__pycache__/core_v1_api.cpython-313.pyc"
KEPT = (
    "kubernetes/client/models/__init__.py",
    "kubernetes/client/models/__pycache__/__init__.cpython-313.pyc",
    "kubernetes/client/api_client.py",
    "kubernetes/config/kube_config.py",
)


@pytest.fixture
def package(tmp_path: Path) -> Distribution:
    """An installed package with a file of each sort."""
    information = tmp_path / "kubernetes-1.dist-info"
    record = f"{information.name}/RECORD"
    for name in (MODEL, COMPILED, *KEPT, record):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x" * 10)
    with (tmp_path / record).open("w", newline="") as file_of_names:
        csv.writer(file_of_names).writerows(
            (name, "", "") for name in (MODEL, COMPILED, *KEPT, record)
        )
    return PathDistribution(information)


def test_unused_classes_are_removed_from_the_disk_and_from_the_record(
    package: Distribution, tmp_path: Path
) -> None:
    """Models and API classes are removed, also compiled; RECORD names exactly what is left."""
    removed = SLIM["remove_files"](package, SLIM["NEVER_IMPORTED"])
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    files = {file.as_posix() for file in package.files or []}
    assert removed == (2, 20)
    assert files == {*KEPT, "kubernetes-1.dist-info/RECORD"}
    assert left >= set(KEPT)
    assert not {MODEL, COMPILED} & left


@pytest.mark.parametrize(
    "module", ["kubernetes.client.models.v1_pod", "kubernetes.aio.client.api.core_v1_api"]
)
def test_no_unit_test_can_import_an_unused_class(module: str) -> None:
    """The unit tests run without the classes that the image does not have."""
    with pytest.raises(ModuleNotFoundError, match="not in the image"):
        import_module(module)
