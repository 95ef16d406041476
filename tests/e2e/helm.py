"""Helm, as pinned in hack/envtest/helm, and what it renders from the chart."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from tests.builders.manifests import Manifest

from .shell import ROOT

CHART: Final = ROOT / "deploy" / "chart"


@functools.cache
def helm_program() -> Path:
    """The program, which is built if missing."""
    command = [sys.executable, str(ROOT / "hack" / "envtest" / "assets.py"), "--helm"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip()) / "helm"


def helm(*arguments: str, **values: Any) -> subprocess.CompletedProcess[str]:
    """Run Helm on the chart, without a cluster, and with these values."""
    set_values = [f"--set-json={name}={json.dumps(value)}" for name, value in values.items()]
    command = [str(helm_program()), *arguments, *set_values]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rendered_hooks_and_manifests(**values: Any) -> list[Manifest]:
    """The objects that Helm renders from the chart."""
    done = helm("template", "svclink", str(CHART), "--namespace=cloudpilot", **values)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def is_hook(manifest: Manifest) -> bool:
    """Whether Helm creates an object at an event only, such as `helm test`."""
    return "helm.sh/hook" in manifest["metadata"].get("annotations", {})
