"""A terminal: commands run in the root of the project, with kubectl and svclink on the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from .control_planes import Cluster

ROOT: Final = Path(__file__).resolve().parents[2]


class Shell:
    """Runs commands with one kubeconfig that has a context for each cluster.

    The first is the current context.
    """

    def __init__(self, home: Path, **kubeconfigs: str) -> None:
        self.kubeconfig = home / "kubeconfig"
        self.kubeconfig.write_text(merge_kubeconfigs(kubeconfigs), encoding="utf-8")
        self._environment = os.environ | {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(home / "cache"),
            "HELM_CACHE_HOME": str(home / "helm"),
            "HELM_CONFIG_HOME": str(home / "helm"),
            "HELM_DATA_HOME": str(home / "helm"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def add_program(self, program: Path) -> None:
        """Put the directory of a program first on the PATH of later commands."""
        self._environment["PATH"] = f"{program.parent}{os.pathsep}{self._environment['PATH']}"

    def run(
        self, command: str, *, answer: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command line in bash; `answer` is its standard input."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=ROOT,
            env=self._environment | variables,
            input=answer,
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, command: str, *, answer: str = "", **variables: str) -> str:
        """Run a command line that must succeed, and return its standard output."""
        done = self.run(command, answer=answer, **variables)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


def deployed_kubeconfig(shell: Shell, main: Cluster) -> str:
    """A kubeconfig with a token of the ServiceAccount of deploy/deployment.yaml."""
    token = shell("kubectl create token svclink --namespace cloudpilot").strip()
    return main.kubeconfig({"token": token}, namespace="cloudpilot")


def kubectl_program() -> str | None:
    """The path of kubectl: the one of this environment, or else another on the PATH."""
    return shutil.which("kubectl", path=Path(sys.executable).parent) or shutil.which("kubectl")


def merge_kubeconfigs(kubeconfigs: dict[str, str]) -> str:
    """Merge kubeconfigs with one context each into one, with these context names."""
    merged: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [],
        "users": [],
        "contexts": [],
    }
    for name, text in kubeconfigs.items():
        each = yaml.safe_load(text)
        (cluster,), (user,), (context,) = each["clusters"], each["users"], each["contexts"]
        merged["clusters"].append(cluster | {"name": name})
        merged["users"].append(user | {"name": name})
        merged["contexts"].append(
            {"name": name, "context": context["context"] | {"cluster": name, "user": name}}
        )
    return str(yaml.safe_dump(merged | {"current-context": next(iter(kubeconfigs))}))
