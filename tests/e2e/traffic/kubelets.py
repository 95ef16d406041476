"""Kubelets, played: Pods of one cluster as objects of its API server and as servers on their addresses."""

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
"""How long a Pod goes on serving after its deletion, as `preStop: sleep` makes it: long enough for all to hear."""


class Kubelet:
    """The Pods of one namespace of one cluster. Their slices are the endpointslice controller's business."""

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
        """A Pod with the label `app`, served from now on, and ready or not."""
        addresses = self._network.addresses(next(_numbers))
        self._program.tell({"start": name, "addresses": list(addresses), "port": PORT})
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

    def end(self, *names: str) -> None:
        """Delete Pods: they are terminating, serve a little longer, stop, and are gone."""
        for name in names:
            self._cluster.api.delete("pods", name, self._namespace)
        time.sleep(PRE_STOP_SECONDS)
        for name in names:
            self.kill(name)

    def kill(self, name: str) -> None:
        """The server ends, and the object with it."""
        self._program.tell({"stop": name})
        del self.addresses[name]
        at_once = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        self._cluster.api.request("DELETE", path_of("pods", name, self._namespace), at_once)

    def replace(self, name: str, app: str, **options: Any) -> None:
        """One step of a rolling update: a new Pod, once ready, takes the place of an old one."""
        successor = f"{name}-next"
        self.run(successor, app, ready=False, **options)
        self.set_ready(successor, ready=True)
        eventually(lambda: self.is_published(successor, app))
        self.end(name)

    def is_published(self, name: str, app: str) -> None:
        slices = self._cluster.api.find(
            "endpointslices", self._namespace, {"kubernetes.io/service-name": app}
        )
        members = [
            member
            for piece in slices
            for member in piece["endpoints"] or ()
            if "targetRef" in member
        ]
        ready = [each["targetRef"]["name"] for each in members if each["conditions"]["ready"]]
        assert name in ready, f"{name} is not ready in the slices of {app}: {ready}"

    def _report(self, name: str, status: Manifest) -> None:
        self._cluster.api.patch("pods", name, self._namespace, {"status": status}, "status")


# Of all Pods of a run: an address is never used again, so that nothing is told to a stranger.
_numbers = itertools.count()


def node(name: str, address: str | None = None) -> Manifest:
    """A Node."""
    labels = {"kubernetes.io/hostname": name}
    made: Manifest = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
    }
    if address:
        made["status"] = {"addresses": [{"type": "InternalIP", "address": address}]}
    return made


def zone(name: str | None) -> Manifest:
    """What says in which zone a Node is, and with it the endpoints of its Pods; None: in no zone."""
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
