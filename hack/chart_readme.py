"""Write deploy/chart/README.md: its table of values comes from values.yaml and its schema.

python hack/chart_readme.py          # write the page
python hack/chart_readme.py --check  # exit with code 1 if the page is not up to date
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[1] / "deploy" / "chart"
TARGET = CHART / "README.md"
HEAD = """\
# svclink

{description} For tutorials, guides
and reference pages, see the project's `docs` directory.

    helm install svclink deploy/chart --namespace cloudpilot --create-namespace \\
      --set image.repository=REGISTRY/svclink

The chart requires Kubernetes {kubernetes}. There is no public image, so build one from the
Dockerfile. To check the links, run `helm test svclink`. Helm never upgrades CRDs, so apply
`crds/` before each `helm upgrade`.

## Values

The schema in `values.schema.json` rejects unknown values and wrong types.

| value | type | default | description |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    head = HEAD.format(description=chart["description"], kubernetes=chart["kubeVersion"])
    return head + "".join(f"{row}\n" for row in rows(schema, defaults))


def rows(schema: Mapping[str, Any], defaults: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """A row for each value; objects of the chart itself are opened."""
    for name, part in schema["properties"].items():
        if name not in defaults:
            continue
        if part.get("required"):
            yield from rows(part, defaults[name], f"{path}{name}.")
        else:
            default = json.dumps(defaults[name])
            yield f"| `{path}{name}` | {part['type']} | `{default}` | {part['description']} |"


def main(arguments: list[str]) -> int:
    """Write or check the page; returns the exit code."""
    text = page()
    if "--check" not in arguments:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        print("deploy/chart/README.md is not up to date: run python hack/chart_readme.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
