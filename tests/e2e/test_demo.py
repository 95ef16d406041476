"""`svclink demo --keep`, used with kubectl."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .demo_process import kept_demo
from .polling import eventually
from .shell import kubectl_program
from .world import Kubectl

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
"""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of a demo that keeps running; Ctrl-C ends it with exit code 0."""
    with kept_demo(tmp_path) as kubeconfig:
        yield kubeconfig


@pytest.fixture
def command(demo: Path, tmp_path: Path) -> tuple[str, ...]:
    """The start of a kubectl command line, as an administrator of the demo's clusters."""
    program = kubectl_program()
    assert program is not None
    return program, "--kubeconfig", str(demo), "--cache-dir", str(tmp_path / "cache")


@pytest.fixture
def kubectl_of_demo(command: tuple[str, ...]) -> Kubectl:
    def run(*arguments: str) -> str:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    return run


@contextmanager
def watching(command: tuple[str, ...], *arguments: str) -> Iterator[Iterator[str]]:
    """The lines that `kubectl get -w` prints while the context is open."""
    with subprocess.Popen(
        [*command, "get", *arguments, "-w"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield iter(process.stdout)
        finally:
            process.kill()


@pytest.mark.timeout(120, func_only=True)
def test_kubectl_works_with_the_clusters_of_the_demo(
    kubectl_of_demo: Kubectl, command: tuple[str, ...], tmp_path: Path
) -> None:
    """kubectl can get, describe, apply, patch, watch and delete objects, and svclink reacts."""
    kubectl, manifest = kubectl_of_demo, tmp_path / "service.yaml"
    header, *rows = kubectl("get", "clusterlinks").splitlines()
    assert header.split() == ["NAME", "ENABLED", "VERSION", "STATUS", "AGE"]
    assert [row.split()[0] for row in rows if "Ready" in row.split()] == ["cluster-a", "cluster-b"]
    described = kubectl("describe", "clusterlink", "cluster-a")
    assert "Cluster connection established" in described
    assert "10.0.0.11:8080" in kubectl("describe", "service", "web", "-n", "shop")

    manifest.write_text(SERVICE, encoding="utf-8")
    with watching(command, "services", "-n", "shop") as lines:
        assert next(lines).split()[:2] == ["NAME", "TYPE"]
        assert next(lines).split()[0] == "web"
        assert kubectl("apply", "-f", str(manifest)) == "service/api created\n"
        assert next(lines).split()[0] == "api"
    assert kubectl("apply", "-f", str(manifest)) == "service/api unchanged\n"
    manifest.write_text(SERVICE.replace("port: 80", "port: 81"), encoding="utf-8")
    assert kubectl("apply", "-f", str(manifest)) == "service/api configured\n"
    assert "81/TCP" in kubectl("get", "service", "api", "-n", "shop")

    kubectl(
        "patch",
        "clusterlink",
        "cluster-a",
        "--type=merge",
        "--patch",
        '{"spec":{"excludedNamespaces":["shop"]}}',
    )
    kubectl(
        "wait", "--for=delete", "endpointslice/web-cluster-a", "--namespace=shop", "--timeout=30s"
    )
    kubectl("delete", "clusterlink", "cluster-b")
    eventually(lambda: assert_slices(kubectl, "endpointslice.discovery.k8s.io/web-7xk2p"))
    kubectl("delete", "service", "web", "--namespace=shop", "--context=cluster-b")


def assert_slices(kubectl: Kubectl, *expected: str) -> None:
    assert kubectl("get", "endpointslices", "-n", "shop", "--output=name").splitlines() == list(
        expected
    )
