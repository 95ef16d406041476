"""Whole clusters: a control plane on the machine of the first node, and nodes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from svclink_controller.demo.control_planes import controller_manager, etcd, real_api_server
from svclink_controller.demo.processes import Process
from tests.e2e.control_planes import ADMINISTRATORS, Cluster
from tests.e2e.polling import eventually

from .dns import deploy_dns
from .machines import NETWORK, Machine
from .nodes import Node, NodeNetwork
from .workloads import POD_SECONDS, assert_available

ETCD_PORT: Final = 2379
ETCD_PEER_PORT: Final = 2380
API_SERVER_PORT: Final = 6443
KUBE_PROXY_USER: Final = "system:kube-proxy"
NODES_GROUP: Final = "system:nodes"


@dataclass(frozen=True)
class Layout:
    """The name, the number of nodes and the addresses of a cluster; `number` is unique."""

    name: str
    number: int
    nodes: int = 1

    @property
    def services(self) -> str:
        return f"10.{90 + self.number}.0.0/16"

    @property
    def first_service(self) -> str:
        """The ClusterIP of the API server."""
        return f"10.{90 + self.number}.0.1"

    @property
    def dns(self) -> str:
        return f"10.{90 + self.number}.0.10"

    def pods(self, node: int) -> str:
        return f"10.{150 + self.number}.{node}.0/24"

    def address(self, node: int) -> str:
        return f"{NETWORK}.{10 * (self.number + 1) + node + 1}"

    def machines(self, directory: Path) -> list[Machine]:
        """The machines of the cluster, one for each node."""
        return [
            Machine(name, directory / name, self.address(node))
            for node, name in enumerate(f"{self.name}-{n}" for n in range(1, self.nodes + 1))
        ]

    def routes(self) -> dict[str, str]:
        """The ranges of Pod addresses, each with the address of its node."""
        return {self.pods(node): self.address(node) for node in range(self.nodes)}


class WholeCluster(Cluster):
    """A cluster with real nodes, whose Pods reach the Pods of other clusters."""

    def __init__(
        self, layout: Layout, machines: Sequence[Machine], programs: Path, directory: Path
    ) -> None:
        self.layout = layout
        self._machine = machines[0]
        self._programs = programs
        directory.mkdir()
        super().__init__(layout.name, programs, directory, controller_manager=True)
        self.nodes = [
            Node(machine, NodeNetwork(layout.pods(number), layout.dns), programs)
            for number, machine in enumerate(machines)
        ]

    @property
    def address(self) -> str:
        return self.layout.address(0)

    def wait_until_ready(self) -> None:
        """Return when the API server is ready, and start controllers, scheduler and nodes."""
        self._wait_for_api_server()
        eventually(lambda: self.api.get("namespaces", "kube-system"))
        self._create_accounts()
        self._start_controllers()
        for node in self.nodes:
            self.join(node)
        deploy_dns(self.api, self.layout.dns, self.nodes[0].name)

    def assert_ready(self) -> None:
        """Assert that all nodes are ready, and that DNS responds."""
        for node in self.nodes:
            node.assert_ready(self.api.get("nodes", node.name)["status"])
        assert_available(self.api, "coredns", "kube-system")

    def restart_deployment(self, name: str, namespace: str) -> None:
        """Replace the Pods of a Deployment, and wait until the new ones are available."""
        annotations = {"kubectl.kubernetes.io/restartedAt": str(time.time())}
        template = {"metadata": {"annotations": annotations}}
        self.api.patch("deployments", name, namespace, {"spec": {"template": template}})
        eventually(lambda: assert_available(self.api, name, namespace), POD_SECONDS)

    def join(self, node: Node, proxy_mode: str = "nftables") -> None:
        """Make a machine a node of this cluster."""
        kubelet = self._certificate_kubeconfig(f"system:node:{node.name}", NODES_GROUP)
        kube_proxy = self._certificate_kubeconfig(KUBE_PROXY_USER, "")
        node.join(kubelet, kube_proxy, self._directory / "ca.pem", proxy_mode)

    def restart(self) -> None:
        """Start the API server again, with the same address and data."""
        self._api_server.start()
        self._wait_for_api_server()

    def restore(self) -> None:
        """Start what does not run: the API server, and nodes of which a program has exited."""
        self.recover()
        for node in self.nodes:
            if node.stopped:
                node.kill()
                node.restart()

    def _serving_names(self) -> Sequence[str]:
        internal = ("kubernetes.default.svc", self.layout.first_service)
        return (*super()._serving_names(), self.address, *internal)

    def _choose_ports(self) -> Sequence[int]:
        return ETCD_PORT, ETCD_PEER_PORT, API_SERVER_PORT

    def _write_files(self) -> None:
        super()._write_files()
        kubelet_client = self._issue("kube-apiserver", ADMINISTRATORS)
        kubelet_client.private_key_and_cert_chain_pem.write_to_path(
            self._directory / "kubelet-client.pem"
        )

    def _make_etcd(self) -> Process:
        command = etcd(self._site, self._programs, self._etcd_port, self._peer_port).command
        return self._machine.process("etcd", command)

    def _make_api_server(self) -> Process:
        client = self._directory / "kubelet-client.pem"
        # The last value of a flag counts, and the authorization modes are added up.
        flags = (
            "--bind-address=0.0.0.0",
            f"--advertise-address={self.address}",
            f"--service-cluster-ip-range={self.layout.services}",
            "--endpoint-reconciler-type=lease",
            "--authorization-mode=Node",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            f"--kubelet-client-certificate={client}",
            f"--kubelet-client-key={client}",
            "--kubelet-preferred-address-types=InternalIP",
        )
        command = real_api_server(self._site, self._programs, self._etcd_port, *flags).command
        return self._machine.process("kube-apiserver", command)

    def _start_controllers(self) -> None:
        """Start all controllers, and the scheduler."""
        kubeconfig = self._directory / "controllers.kubeconfig"
        kubeconfig.write_text(self.admin_kubeconfig(), encoding="utf-8")
        manager: Sequence[str | Path] = controller_manager(
            self._site, self._programs, kubeconfig, ["*"]
        ).command
        scheduler: list[str | Path] = [
            self._programs / "kube-scheduler",
            f"--kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
        ]
        for name, command in (("kube-controller-manager", manager), ("kube-scheduler", scheduler)):
            self._controller_managers.append(self._machine.process(name, command))
            self._controller_managers[-1].start()
