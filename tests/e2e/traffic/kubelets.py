"""Simulated kubelets: each Pod is an object of its API server, and a server on its address."""

from __future__ import annotations

import itertools
import time
from typing import Any, Final

from tests.builders.manifests import Manifest
from tests.e2e.api_client import path_of
from tests.e2e.control_planes import Cluster
from tests.e2e.polling import eventually

from .network import PodNetwork
from .programs import Program

PORT: Final = 8080
PRE_STOP_SECONDS: Final = 3
"""How long a deleted Pod still serves, as with `preStop: sleep`."""


class Kubelet:
    """Runs the Pods of a namespace; the endpointslice controller writes their slices."""

    def __init__(
        self,
        cluster: Cluster,
        network: PodNetwork,
        program: Program,
        namespace: str,
        node_name: str,
    ) -> None:
        self._cluster = cluster
        self._node_name = node_name
        self._network = network
        self._program = program
        self._namespace = namespace
        self.addresses: dict[str, str] = {}

    @property
    def pods(self) -> list[str]:
        return sorted(self.addresses)

    def run(self, name: str, app: str, *, port_name: str = "http", ready: bool = True) -> None:
        """Start a Pod with the label `app`, ready or not."""
        addresses = self._network.addresses(next(_numbers))
        self._program.call({"start": name, "addresses": list(addresses), "port": PORT})
        self._cluster.api.create(pod(self._namespace, name, app, self._node_name, port_name))
        self.addresses[name] = addresses[0]
        status = {
            "phase": "Running",
            "podIP": addresses[0],
            "podIPs": [{"ip": each} for each in addresses],
        }
        self._report(name, {**status, "conditions": [ready_condition(is_ready=ready)]})

    def run_many(self, app: str, count: int, **options: Any) -> None:
        for i in range(count):
            self.run(f"{app}-{i}", app, **options)

    def set_ready(self, name: str, *, ready: bool) -> None:
        self._report(name, {"conditions": [ready_condition(is_ready=ready)]})

    def terminate(self, *names: str) -> None:
        """Delete Pods, which serve until their preStop hook ends."""
        for name in names:
            self._cluster.api.delete("pods", name, self._namespace)
        time.sleep(PRE_STOP_SECONDS)
        self.kill(*names)

    def kill(self, *names: str) -> None:
        """Stop the servers of Pods, then delete the objects, without any grace period."""
        for name in names:
            self._program.call({"stop": name})
            del self.addresses[name]
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        for name in names:
            self._cluster.api.request("DELETE", path_of("pods", name, self._namespace), options)

    def replace(self, name: str, app: str, **options: Any) -> None:
        """One step of a rolling update: replace a Pod as soon as its successor is ready."""
        successor = f"{name}-next"
        self.run(successor, app, ready=False, **options)
        self.set_ready(successor, ready=True)
        eventually(lambda: self.assert_published(successor, app))
        self.terminate(name)

    def assert_published(self, name: str, app: str) -> None:
        slices = self._cluster.api.find(
            "endpointslices", self._namespace, {"kubernetes.io/service-name": app}
        )
        members = [
            member for each in slices for member in each["endpoints"] or () if "targetRef" in member
        ]
        ready = [each["targetRef"]["name"] for each in members if each["conditions"]["ready"]]
        assert name in ready, f"{name} is not ready in the slices of {app}: {ready}"

    def _report(self, name: str, status: Manifest) -> None:
        self._cluster.api.patch("pods", name, self._namespace, {"status": status}, "status")


# Counts the Pods of a run: an address is never reused, so no request reaches a wrong Pod.
_numbers = itertools.count()


def node(name: str, address: str | None = None) -> Manifest:
    """A Node, with an address if it needs one."""
    labels = {"kubernetes.io/hostname": name}
    created: Manifest = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
    }
    if address:
        created["status"] = {"addresses": [{"type": "InternalIP", "address": address}]}
    return created


def zone(name: str | None) -> Manifest:
    """A patch that sets the zone of a Node, and so of its endpoints; None removes it."""
    return {"metadata": {"labels": {"topology.kubernetes.io/zone": name}}}


def pod(namespace: str, name: str, app: str, node_name: str, port_name: str) -> Manifest:
    """A Pod on a Node, with one named port."""
    container = {
        "name": "server",
        "image": "server",
        "ports": [{"name": port_name, "containerPort": PORT}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        "spec": {
            "nodeName": node_name,
            "containers": [container],
            "automountServiceAccountToken": False,
        },
    }


def ready_condition(*, is_ready: bool) -> Manifest:
    return {"type": "Ready", "status": "True" if is_ready else "False"}
