"""The Service `web` in three clusters, svclink in Pods of main, and a client in a Pod of main."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.builders.manifests import Manifest, namespace
from tests.e2e.polling import eventually
from tests.e2e.traffic import load_generator
from tests.e2e.traffic.load import Load, LoadGenerator
from tests.e2e.traffic.programs import running_program
from tests.e2e.world import Kubectl, Links

from .cgroups import processes_of_container
from .containerd import ctr
from .whole_cluster import WholeCluster
from .workloads import POD_SECONDS, PYTHON, assert_available, deploy_client, deploy_web

NAMESPACE: Final = "shop"
APP: Final = "web"
URL: Final = f"http://{APP}.{NAMESPACE}"
RATE: Final = 100
EXHAUST_MEMORY: Final = """
import os, time
for _ in range(20):
    if not os.fork():
        memory = b"x" * (40 * 2**20)
        time.sleep(60)
"""
"""Many processes with less memory than svclink: the kernel kills the largest one."""

PODS: Final = {"main": 1, "c1": 2, "c2": 2}
SVCLINK_NAMESPACE: Final = "cloudpilot"
ATTEMPTS: Final = 6
LOAD_SECONDS: Final = 300.0
TIMEOUT_SECONDS: Final = 30.0
"""Long enough for several questions to DNS, on a busy machine."""


@dataclass(frozen=True)
class Shop:
    """What the tests work with; all of them share it, and each leaves it as it was."""

    clusters: Mapping[str, WholeCluster]
    kubectl: Kubectl
    links: Links
    programs: Path
    load_generator: LoadGenerator

    @property
    def main(self) -> WholeCluster:
        return self.clusters["main"]

    def under_load(self, rate: float = RATE) -> AbstractContextManager[Load]:
        """Send requests by DNS name from a Pod, at this rate, while the context is open."""
        return self.load_generator.under_load(URL, rate, TIMEOUT_SECONDS, LOAD_SECONDS)

    def requests(self, count: int) -> Load:
        """Send requests by DNS name from a Pod."""
        return self.load_generator.requests(URL, count, TIMEOUT_SECONDS)

    def assert_responders(self) -> None:
        """Assert that exactly the Pods of all three clusters respond, without a failure."""
        expected = {
            (name, pod["metadata"]["name"])
            for name, cluster in self.clusters.items()
            for pod in cluster.api.find("pods", NAMESPACE, {"app": APP})
        }
        load = self.requests(40 * len(expected))
        assert not load.failures, load.table()
        responders = {(result.cluster, result.pod) for result in load.results}
        assert responders == expected, f"{sorted(responders)} responded, not {sorted(expected)}"

    def assert_responding(self, clusters: set[str]) -> None:
        """Assert that new connections reach exactly these clusters, without a failure."""
        load = self.requests(200)
        assert not load.failures, load.table()
        assert set(load.by_cluster()) == clusters, load.table()

    def change_remote(self, cluster: str = "c1") -> None:
        """Replace all Pods of a remote one by one, and wait until exactly the new ones respond."""
        self.clusters[cluster].restart_deployment(APP, NAMESPACE)
        eventually(self.assert_responders, POD_SECONDS)

    def await_svclink(self) -> None:
        """Wait until all Pods of svclink are ready and current, and no others exist."""
        eventually(self.assert_svclink, POD_SECONDS)

    def assert_svclink(self) -> None:
        """Assert that all Pods of svclink are ready and current, and no others exist.

        The API server keeps the last status of Pods on a dead node: their processes must exist.
        """
        assert_available(self.main.api, "svclink", SVCLINK_NAMESPACE)
        # The status of the Deployment may be older than the last change of a Pod.
        pods = self.main.api.find("pods", SVCLINK_NAMESPACE, {"app": "svclink"})
        states = {pod["metadata"]["name"]: is_ready(pod) and is_running(pod) for pod in pods}
        assert list(states.values()) == [True, True], f"ready: {states}"

    def svclink_pods(self) -> list[Manifest]:
        """The Pods of svclink that are not being deleted."""
        pods = self.main.api.find("pods", SVCLINK_NAMESPACE, {"app": "svclink"})
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def svclink_containers(self) -> dict[str, str]:
        """The container of each Pod of svclink; a restart in place makes a new one."""
        return {pod["metadata"]["name"]: container_of(pod) for pod in self.svclink_pods()}

    def kill_svclink(self, pod: str) -> None:
        """Kill the process of svclink in a Pod; kubelet starts it again."""
        os.kill(self.process_of(pod), signal.SIGKILL)

    def exhaust_memory(self, pod: str) -> None:
        """Allocate more memory than the limit of a Pod, for which the kernel kills svclink."""
        process = self.process_of(pod)
        Path(f"/proc/{process}/oom_score_adj").write_text("1000", encoding="utf-8")
        container = self.svclink_containers()[pod]
        allocate = in_container(container, "memory", *PYTHON, "-c", EXHAUST_MEMORY)
        (node,) = (node for node in self.main.nodes if node.name == self.node_of(pod))
        subprocess.run(node.machine.inside(*ctr(self.programs, *allocate)), check=False)

    def assert_terminated(self, pod: str, reason: str) -> None:
        """Assert that the container of svclink in a Pod was terminated before, for this reason."""
        status = self.main.api.get("pods", pod, SVCLINK_NAMESPACE)["status"]
        (container,) = status["containerStatuses"]
        last = {**container["state"], **container["lastState"]}.get("terminated", {})
        assert last.get("reason") == reason, f"{pod}: {container}"

    def process_of(self, pod: str) -> int:
        """The id of the process of svclink in a Pod, as the test host sees it."""
        (process,) = processes_of_container(self.svclink_containers()[pod])
        return process

    def holder(self) -> str:
        """The identity of the process that leads: the name of its Pod, and a part of its own."""
        lease = self.main.api.get("leases", "svclink", SVCLINK_NAMESPACE)
        holder = str(lease["spec"].get("holderIdentity") or "")
        assert holder, "the Lease is free"
        return holder

    def leader(self) -> str:
        """The name of the Pod that leads."""
        holder = self.holder()
        names = [str(pod["metadata"]["name"]) for pod in self.svclink_pods()]
        leaders = [name for name in names if holder.startswith(name)]
        assert len(leaders) == 1, f"{holder} holds the Lease"
        return leaders[0]

    def assert_other_holder(self, before: str) -> None:
        """Assert that another process leads than before."""
        assert self.holder() != before, f"{before} still leads"

    def node_of(self, pod: str) -> str:
        return str(self.main.api.get("pods", pod, SVCLINK_NAMESPACE)["spec"]["nodeName"])

    def lead_from(self, node: str) -> None:
        """Make a Pod on this node lead, and another Pod stand by on another node."""
        for _ in range(ATTEMPTS):
            self.await_svclink()
            leader = eventually(self.leader)
            nodes = {pod["spec"]["nodeName"] for pod in self.svclink_pods()}
            if self.node_of(leader) == node and len(nodes) > 1:
                return
            # The scheduler places the next Pod on the node that has none.
            self.main.api.delete("pods", leader, SVCLINK_NAMESPACE)
        raise AssertionError(f"no Pod on {node} leads")


def is_ready(pod: Manifest) -> bool:
    """Whether a Pod is ready, and not being deleted."""
    conditions = pod["status"].get("conditions", ())
    ready = {"True"} == {each["status"] for each in conditions if each["type"] == "Ready"}
    return ready and "deletionTimestamp" not in pod["metadata"]


def is_running(pod: Manifest) -> bool:
    """Whether the processes of a Pod that has started exist on its node."""
    return bool(processes_of_container(container_of(pod)))


def container_of(pod: Manifest) -> str:
    """The id of the container of a Pod that has started."""
    (status,) = pod["status"]["containerStatuses"]
    return str(status["containerID"]).removeprefix("containerd://")


def open_shop(clusters: Mapping[str, WholeCluster]) -> None:
    """Deploy the Service and its Pods in every cluster, and the client in main."""
    for name, cluster in clusters.items():
        cluster.api.create(
            namespace(NAMESPACE, labels={"pod-security.kubernetes.io/enforce": "restricted"})
        )
        deploy_web(cluster.api, NAMESPACE, name, cluster.nodes[0].name, PODS[name])
    main = clusters["main"]
    deploy_client(main.api, NAMESPACE, main.nodes[0].name)


def await_open_shop(clusters: Mapping[str, WholeCluster]) -> None:
    """Wait until all Pods of the shop are available."""
    for cluster in clusters.values():
        eventually(lambda api=cluster.api: assert_available(api, APP, NAMESPACE), POD_SECONDS)  # type: ignore[misc]
    eventually(lambda: assert_available(clusters["main"].api, "client", NAMESPACE), POD_SECONDS)


@contextmanager
def load_generator_in_pod(main: WholeCluster, programs: Path, log: Path) -> Iterator[LoadGenerator]:
    """Run the load generator in the Pod of the client.

    containerd starts it, so that it does not depend on the API server.
    """
    (pod,) = main.api.find("pods", NAMESPACE, {"app": "client"})
    module = (*PYTHON, "-m", load_generator.__name__)
    run_module = in_container(container_of(pod), "load-generator", *module)
    command = main.nodes[0].machine.inside(*ctr(programs, *run_module))
    with running_program(command, log) as running:
        yield LoadGenerator(running)


def in_container(container: str, name: str, *command: str) -> tuple[str, ...]:
    """The arguments of `ctr` that run a command, under a name, in a container."""
    return ("task", "exec", "--exec-id", name, container, *command)
