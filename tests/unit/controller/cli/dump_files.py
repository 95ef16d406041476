"""Files in the format of kubectl, in a directory of the test, and commands that read them.

Real: the files, the commands. Substituted: nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import yaml
from attrs import define
from click.testing import CliRunner, Result

from svclink_controller.cli.main import svclink
from svclink_core import NamespacedName

Object: TypeAlias = dict[str, Any]

WEB = NamespacedName("default", "web")


def service(name: str = "web", namespace: str = "default", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-{name}",
            "resourceVersion": "1",
        },
        "spec": {
            "clusterIP": "10.96.0.1",
            "ipFamilies": ["IPv4"],
            "ports": [{"name": "http", "port": 80}],
            **spec,
        },
    }


def piece(
    service: str = "web", namespace: str = "default", address: str = "10.0.0.1", **labels: str
) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-abc",
            "namespace": namespace,
            "uid": f"uid-of-{service}-abc",
            "resourceVersion": "1",
            "labels": {"kubernetes.io/service-name": service, **labels},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def mirrored(cluster: str = "c1") -> Object:
    labels = {
        "endpointslice.kubernetes.io/managed-by": "svclink.cloudpilot.ai",
        "svclink.cloudpilot.ai/cluster": cluster,
    }
    return piece(**labels)


def link(name: str = "c1", **spec: Any) -> Object:
    return {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "ClusterLink",
        "metadata": {"name": name},
        "spec": spec,
    }


def a_list(*items: Any) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


@define
class Files:
    """Dumps in a directory, and commands that read them."""

    directory: Path

    def write(self, name: str, *documents: Any) -> Path:
        return self.write_text(name, yaml.safe_dump_all(documents))

    def write_text(self, name: str, content: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def remote(self, name: str, *documents: Any) -> tuple[str, str]:
        """Flags for a remote cluster with these objects."""
        return "--remote", f"{name}={self.write(f'{name}.yaml', *documents)}"

    def run(self, *arguments: str, before: tuple[str, ...] = ()) -> Result:
        """Run a command with `main.yaml`; `before` are flags of the controller."""
        return CliRunner().invoke(
            svclink, [*before, *arguments, "--main", str(self.directory / "main.yaml")]
        )

    def plan(self, *flags: str, before: tuple[str, ...] = ()) -> str:
        """The output of `svclink plan`."""
        done = self.run("plan", *flags, before=before)
        assert done.exception is None, done.output
        return done.output


def rows(output: str) -> list[list[str]]:
    """The first three words of each row of a table."""
    return [line.split()[:3] for line in output.splitlines() if line.strip()]
