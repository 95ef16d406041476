"""Replicas of svclink on loopback, each with the Pod that the Deployment would have made."""

from __future__ import annotations

from copy import deepcopy
from typing import Final

from tests.builders.manifests import Manifest
from tests.e2e.api_client import Api
from tests.e2e.controller_process import Controller
from tests.e2e.loopback_ports import reserve_ports

NAMESPACE: Final = "cloudpilot"
LOOPBACK: Final = "127.0.0.1"


def start_replica(api: Api, deployment: Manifest, name: str, controller: Controller) -> str:
    """Start a replica with the arguments of the Deployment, and create its Pod.

    The Pod is on no node: its address and its port are those of the process.

    Returns:
        Where the replica listens.
    """
    (port,) = reserve_ports(1)
    template = deepcopy(deployment["spec"]["template"])
    (container,) = template["spec"]["containers"]
    controller.start(*container["args"], f"--listen-address={LOOPBACK}:{port}")
    container["ports"][0]["containerPort"] = port
    metadata = template["metadata"] | {"name": name, "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    api.create(pod)
    status = {"phase": "Running", "podIP": LOOPBACK, "podIPs": [{"ip": LOOPBACK}]}
    api.patch("pods", name, NAMESPACE, {"status": status}, subresource="status")
    return f"{LOOPBACK}:{port}"
