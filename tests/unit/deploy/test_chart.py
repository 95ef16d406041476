"""The chart: what Artifact Hub shows of it, its schema and its README."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from svclink_core.codec import KINDS, structure

ROOT: Final = Path(__file__).parents[3]
CHART: Final = ROOT / "deploy" / "chart"
METADATA: Final = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES: Final = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def annotation(name: str) -> Any:
    return yaml.safe_load(METADATA["annotations"][f"artifacthub.io/{name}"])


def test_readme_is_current() -> None:
    """The README has the table of the values as they are."""
    command = [sys.executable, "hack/chart_readme.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_icon_is_the_file() -> None:
    """The icon in Chart.yaml is icon.svg."""
    kind, _, data = METADATA["icon"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == (CHART / "icon.svg").read_bytes()


def test_annotations_name_the_crds_of_the_chart() -> None:
    """Artifact Hub lists the CRDs that the chart contains, in the served versions."""
    definitions = [
        yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted((CHART / "crds").glob("*.yaml"))
    ]
    assert [(each["name"], each["kind"], each["version"]) for each in annotation("crds")] == [
        (each["metadata"]["name"], each["spec"]["names"]["kind"], version["name"])
        for each in definitions
        for version in each["spec"]["versions"]
    ]


def test_examples_are_valid() -> None:
    """There is an example of each kind, and svclink reads it."""
    examples = annotation("crdsExamples")
    assert [each["kind"] for each in examples] == [each["kind"] for each in annotation("crds")]
    for example in examples:
        kind = next(each for each in KINDS if each.__name__ == example["kind"])
        assert structure(example, kind).metadata.name == example["metadata"]["name"]


def parts(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The schema of each value, by its path."""
    for name, part in schema.get("properties", {}).items():
        yield f"{path}{name}", part
        if part.get("required"):
            yield from parts(part, f"{path}{name}.")


def paths(values: Mapping[str, Any]) -> Iterator[str]:
    """The path of each value and of its fields."""
    for name, value in values.items():
        yield name
        if name == "image":
            yield from (f"{name}.{field}" for field in value)


def test_schema_describes_every_value() -> None:
    """Each value has a type and a description, and no other value is known but Helm's own."""
    described = dict(parts(SCHEMA))
    assert described.keys() - {"global"} == set(paths(VALUES))
    assert [name for name, part in described.items() if not part.get("description")] == []
    assert [name for name, part in described.items() if "type" not in part] == []


@pytest.mark.parametrize("name", ["image", "resources", "affinity", "tolerations"])
def test_schema_refuses_unknown_fields(name: str) -> None:
    """A misspelt field is refused at every level that the chart or Kubernetes defines."""
    part = SCHEMA["properties"][name]
    assert part.get("items", part)["additionalProperties"] is False
