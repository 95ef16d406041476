"""Deployments of the tests: the Service `web` in every cluster, and a client in main."""

from __future__ import annotations

import inspect
import tomllib
from typing import Final

from tests.builders.manifests import Manifest, port, service
from tests.e2e.api_client import Api
from tests.e2e.shell import ROOT
from tests.e2e.traffic import load_generator, orders, pod_servers

from . import web_server

PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMAGE: Final = f"docker.io/library/svclink:{PROJECT['version']}"
"""The image that the manifests of deploy/ name; its Python runs the programs of the tests."""
NEXT_IMAGE: Final = "docker.io/library/svclink:next"
"""The same image under the name of another version."""

PYTHON: Final = ("python", "-B")
WAIT: Final = "import signal; signal.sigwait({signal.SIGTERM})"
MODULES: Final = (load_generator, orders, pod_servers, web_server)
SOURCES: Final = "sources"
CODE: Final = "/code"
POD_SECONDS: Final = 120.0
"""How long Pods may take to start, on a busy machine."""

REQUESTS: Final = {"requests": {"cpu": "200m"}}
"""Without them, a Pod gets hardly any CPU beside other processes."""

PATIENT_DNS: Final = {
    "options": [{"name": "timeout", "value": "3"}, {"name": "attempts", "value": "8"}]
}
"""On a busy machine, DNS may respond late. Tests look for failures of svclink."""

PROBE: Final = {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 10}
STOP_SECONDS: Final = 3
"""How long a Pod responds after its deletion, until every node knows of the deletion."""

RESTRICTED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def deploy_web(api: Api, namespace: str, cluster: str, node: str, replicas: int) -> None:
    """Create the Service `web` with these Pods, on one node."""
    _create_sources(api, namespace)
    ports = [port(targetPort="http")]
    api.create(service(f"{namespace}/web", ports=ports, selector={"app": "web"}))
    api.create(_deployment("web", namespace, node, replicas, _web_server(cluster)))


def deploy_client(api: Api, namespace: str, node: str) -> None:
    """Create a Pod in which a test can run programs; the namespace has the Service `web`."""
    container = _container("client", *PYTHON, "-c", WAIT)
    api.create(_deployment("client", namespace, node, 1, container))


def assert_available(api: Api, name: str, namespace: str) -> None:
    """Assert that a Deployment is complete: exactly its Pods exist, and all are available."""
    deployment = api.get("deployments", name, namespace)
    status, replicas = deployment.get("status", {}), deployment["spec"]["replicas"]
    assert status.get("observedGeneration") == deployment["metadata"]["generation"]
    counts = [status.get(each) for each in ("replicas", "updatedReplicas", "availableReplicas")]
    assert counts == [replicas] * 3, f"{name}: {status}"


def _web_server(cluster: str) -> Manifest:
    return {
        **_container("web", *PYTHON, "-m", web_server.__name__),
        "env": [
            {"name": "PYTHONPATH", "value": CODE},
            {"name": "CLUSTER", "value": cluster},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "ports": [{"name": "http", "containerPort": web_server.PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, **PROBE},
        "lifecycle": {"preStop": {"sleep": {"seconds": STOP_SECONDS}}},
    }


def _container(name: str, *command: str) -> Manifest:
    return {
        "name": name,
        "image": IMAGE,
        "command": command,
        "env": [{"name": "PYTHONPATH", "value": CODE}],
        "resources": REQUESTS,
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": SOURCES, "mountPath": CODE}],
    }


def _deployment(
    name: str, namespace: str, node: str, replicas: int, container: Manifest
) -> Manifest:
    labels = {"app": name}
    paths = [{"key": key, "path": f"{key.replace('.', '/')}.py"} for key in _sources()]
    pod = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "containers": [container],
        "dnsConfig": PATIENT_DNS,
        "volumes": [{"name": SOURCES, "configMap": {"name": SOURCES, "items": paths}}],
        "terminationGracePeriodSeconds": STOP_SECONDS + pod_servers.GRACE_SECONDS,
        "automountServiceAccountToken": False,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _create_sources(api: Api, namespace: str) -> None:
    """Create the ConfigMap with the programs of the Pods."""
    metadata = {"name": SOURCES, "namespace": namespace}
    api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": _sources()})


def _sources() -> dict[str, str]:
    """The source code of the programs, by module."""
    return {module.__name__: inspect.getsource(module) for module in MODULES}
