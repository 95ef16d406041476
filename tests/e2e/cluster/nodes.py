"""Nodes: machines with containerd, kubelet and kube-proxy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import yaml

from svclink_controller.demo.processes import Process
from tests.builders.manifests import Manifest
from tests.e2e.polling import eventually
from tests.e2e.traffic.node_configuration import CLUSTER_DOMAIN, kube_proxy_configuration

from .cgroups import create_groups, parent_group, processes_on_node
from .containerd import CONTAINERD_SOCKET, containerd, share_images, wait_for_containerd
from .machines import Machine

PROXY_HEALTH: Final = "127.0.0.1:10256"


@dataclass(frozen=True)
class NodeNetwork:
    """The addresses of the Pods of one node, and what they need to know about their cluster."""

    pods: str
    dns: str


class Node:
    """A node: one machine of a cluster, on which Pods run."""

    def __init__(self, machine: Machine, network: NodeNetwork, programs: Path) -> None:
        self.name = machine.name
        self.machine = machine
        self._network = network
        self._programs = programs
        self._images: Path | None = None
        self._processes: dict[str, Process] = {}
        self._joined: datetime | None = None

    def start_containerd(self, images: Path) -> None:
        """Start containerd, which needs no cluster, with these images."""
        create_groups(self.name)
        self._images = images
        share_images(images, self.machine)
        self._start("containerd", *containerd(self.machine, self._programs, self._pod_network()))

    def join(self, kubelet: str, kube_proxy: str, authority: Path, proxy_mode: str) -> None:
        """Start kubelet and kube-proxy with these kubeconfigs."""
        self._write("kubelet.kubeconfig", kubelet)
        self._write("kube-proxy.kubeconfig", kube_proxy)
        self._write("kubelet.yaml", yaml.safe_dump(self._kubelet(authority)))
        self._write("kube-proxy.yaml", yaml.safe_dump(self._kube_proxy(proxy_mode)))
        self._start_members()

    @property
    def stopped(self) -> list[Process]:
        """The programs of the node that have exited."""
        return [process for process in self._processes.values() if not process.running]

    def assert_ready(self, status: Manifest) -> None:
        """Assert that the node is ready, by the status of its Node object.

        The API server keeps the last status of a dead node for most of a minute. Therefore the
        programs must run, and kubelet must have reported since it was started.
        """
        exits = [f"{process.name} exited: {process.tail(5)}" for process in self.stopped]
        assert not exits, "\n".join(exits)
        assert self._joined is not None, f"{self.name} has not joined its cluster"
        (ready,) = (each for each in status["conditions"] if each["type"] == "Ready")
        assert ready["status"] == "True", f"{self.name}: {ready['message']}"
        reported = datetime.fromisoformat(ready["lastHeartbeatTime"])
        assert reported >= self._joined, f"the status of {self.name} is from before its start"

    def kill(self) -> None:
        """Kill everything on the node at once, containers included."""
        self.machine.kill()
        for process in self._processes.values():
            process.wait(10)
        eventually(self._assert_no_containers)

    def restart(self) -> None:
        """Start the node again after `kill`, as after a reboot."""
        assert self._images is not None, f"{self.name} was never started"
        self.machine.restart()
        self.start_containerd(self._images)
        self._start_members()

    def _start_members(self) -> None:
        """Start the programs that make the machine a member of the cluster.

        kubelet exits if containerd does not serve yet. On real nodes, systemd starts it again.
        """
        wait_for_containerd(self.machine, self._programs)
        # The API server rounds times down to seconds.
        self._joined = datetime.now(UTC).replace(microsecond=0)
        directory = self.machine.directory
        kubelet = (
            self._programs / "kubelet",
            f"--config={directory / 'kubelet.yaml'}",
            f"--kubeconfig={directory / 'kubelet.kubeconfig'}",
            f"--node-ip={self.machine.address}",
        )
        self._start("kubelet", *kubelet)
        configuration = directory / "kube-proxy.yaml"
        self._start("kube-proxy", self._programs / "kube-proxy", f"--config={configuration}")

    def _assert_no_containers(self) -> None:
        processes = processes_on_node(self.name)
        assert not processes, f"the processes {processes} of {self.name} still exist"

    def _start(self, name: str, *command: str | Path) -> None:
        self._processes[name] = self.machine.process(name, command)
        self._processes[name].start()

    def _write(self, name: str, content: str) -> None:
        (self.machine.directory / name).write_text(content, encoding="utf-8")

    def _pod_network(self) -> Manifest:
        """The network of the Pods: a bridge on the node, with routes to everything else."""
        addresses = {
            "type": "host-local",
            "ranges": [[{"subnet": self._network.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": addresses,
        }
        return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}

    def _kubelet(self, authority: Path) -> Manifest:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": parent_group(self.name),
            "enforceNodeAllocatable": [],
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "authentication": {"x509": {"clientCAFile": str(authority)}},
            "clusterDNS": [self._network.dns],
            "clusterDomain": CLUSTER_DOMAIN,
            "resolvConf": "",
            "failSwapOn": False,
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            # The disk of the test host is not that of a node.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {},
        }

    def _kube_proxy(self, mode: str) -> Manifest:
        kubeconfig = self.machine.directory / "kube-proxy.kubeconfig"
        return kube_proxy_configuration(
            kubeconfig, self.name, self._network.pods, mode, PROXY_HEALTH
        )
