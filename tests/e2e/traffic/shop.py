"""A Service of one namespace in three clusters, its Pods, and who answers when it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from tests.builders.manifests import Manifest, service
from tests.e2e.control_planes import Cluster
from tests.e2e.polling import eventually
from tests.e2e.world import World

from .kubelets import Kubelet
from .load import MOMENT_SECONDS, PATIENCE_SECONDS, Client, Load

APP: Final = "web"
HTTP: Final = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}


@dataclass(frozen=True)
class Shop:
    """The namespace of a test in three clusters, with a kubelet in each, and a client on the node of the main one."""

    world: World
    kubelets: Mapping[str, Kubelet]
    client: Client

    @property
    def url(self) -> str:
        """As a program in the main cluster writes it: Service and namespace."""
        return f"http://{APP}.{self.world.namespace}"

    def cluster(self, name: str) -> Cluster:
        return {"main": self.world.main, "c1": self.world.c1, "c2": self.world.c2}[name]

    def declare(self, name: str, port: Manifest = HTTP, **spec: Any) -> Manifest:
        """The Service in a cluster; its Pods are those with the label."""
        made = service(f"{self.world.namespace}/{APP}", ports=[port], selector={"app": APP}, **spec)
        return self.world.create(self.cluster(name), made)

    def open(self, pods: Mapping[str, int], **spec: Any) -> None:
        """The Service and so many ready Pods in each cluster, both remotes linked, and every Pod answering."""
        for name, count in pods.items():
            self.declare(name, **spec)
            self.kubelets[name].run_many(APP, count)
        self.world.link(self.world.c1, self.world.c2)
        self.await_answers(*(name for name, count in pods.items() if count))

    def await_answers(self, *clusters: str) -> None:
        """Wait until exactly these clusters answer, each with all its Pods."""
        wanted = {f"{cluster} {pod}" for cluster in clusters for pod in self.kubelets[cluster].pods}

        def check() -> None:
            load = self.requests(12 * len(wanted) + 20)
            assert not load.failures, load.table()
            answered = {f"{result.cluster} {result.pod}" for result in load.results}
            assert answered == wanted, f"{sorted(answered)} answered, not {sorted(wanted)}"

        eventually(check)

    def says(self, cluster: str, *addresses: str, ready: bool) -> None:
        """Assert that the slices of a cluster call these ready, or none of them; what is in no slice is not ready."""
        slices = self.cluster(cluster).api.find("endpointslices", self.world.namespace)
        members = [member for piece in slices for member in piece["endpoints"] or ()]
        ready_ones = {member["addresses"][0] for member in members if member["conditions"]["ready"]}
        assert {address in ready_ones for address in addresses} == {ready}, (
            f"ready in {cluster}: {ready_ones}"
        )

    def requests(self, count: int, url: str | None = None) -> Load:
        """So many requests to the Service, by its name unless told otherwise."""
        return self.client.requests(url or self.url, count)

    def requests_from(self, ports: Collection[int]) -> Load:
        """A request to the Service from each of these ports of the node."""
        return self.client.requests(self.url, len(ports), ports=ports)

    def given_up(self, count: int = 30) -> set[int]:
        """The ports of those of so many requests that were given up after a moment without an answer."""
        return {
            result.port
            for result in self.client.requests(self.url, count, MOMENT_SECONDS).failures
            if result.port
        }

    def answering(self, count: int = 100) -> set[tuple[str | None, str | None]]:
        """Cluster and name of the Pods that answer so many requests, none of which may fail."""
        load = self.requests(count)
        assert not load.failures, load.table()
        return {(result.cluster, result.pod) for result in load.results}

    def under_load(
        self, rate: float = 200, timeout: float = PATIENCE_SECONDS
    ) -> AbstractContextManager[Load]:
        """Requests to the Service at a rate for as long as the block lasts."""
        return self.client.under_load(self.url, rate, timeout)

    def condition(self, cluster: str, kind: str) -> Manifest:
        return self.world.links.condition(cluster, kind)


def chi_square(observed: Counter[str], shares: Mapping[str, int]) -> float:
    """Pearson's statistic of counts against shares: how far they are from what chance explains."""
    total, whole = sum(observed.values()), sum(shares.values())
    expected = {name: total * share / whole for name, share in shares.items()}
    return sum((observed[name] - expected[name]) ** 2 / expected[name] for name in expected)


HEARD_SECONDS: Final = 1
"""Within this a change comes to new connections."""


def seconds_since(moment: float, results: Sequence[Any]) -> list[float]:
    """How long after a moment each of these requests began."""
    return [round(result.at - moment, 3) for result in results]
