"""A Service in one namespace of three clusters, its Pods, and requests to it."""

from __future__ import annotations

import time
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
from .load import SHORT_TIMEOUT_SECONDS, TIMEOUT_SECONDS, Load, LoadGenerator

APP: Final = "web"
HTTP: Final = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}


@dataclass(frozen=True)
class Shop:
    """The namespace of a test, with a kubelet in each cluster and a load generator."""

    world: World
    kubelets: Mapping[str, Kubelet]
    load_generator: LoadGenerator

    @property
    def url(self) -> str:
        """The URL that programs in the main cluster use: Service and namespace."""
        return f"http://{APP}.{self.world.namespace}"

    def cluster(self, name: str) -> Cluster:
        return {"main": self.world.main, "c1": self.world.c1, "c2": self.world.c2}[name]

    def declare(self, name: str, port: Manifest = HTTP, **spec: Any) -> Manifest:
        """Create the Service in a cluster; it selects Pods by label."""
        created = service(
            f"{self.world.namespace}/{APP}", ports=[port], selector={"app": APP}, **spec
        )
        return self.world.create(self.cluster(name), created)

    def deploy(self, pods: Mapping[str, int], **spec: Any) -> None:
        """Create the Service and its Pods, link both remotes, and wait until every Pod responds."""
        for name, count in pods.items():
            self.declare(name, **spec)
            self.kubelets[name].run_many(APP, count)
        self.world.link(self.world.c1, self.world.c2)
        self.await_responders(*(name for name, count in pods.items() if count))

    def await_responders(self, *clusters: str) -> float:
        """Wait until exactly the Pods of these clusters respond; returns the time.

        How soon kube-proxy applies a change depends on the machine. Requests from this time on
        must reach these Pods.
        """
        return self._await_pods(
            {f"{cluster} {pod}" for cluster in clusters for pod in self.kubelets[cluster].pods}
        )

    def await_ready_endpoints(self) -> float:
        """Wait until exactly the ready endpoints in the main cluster respond; returns the time."""
        ready = self.ready_addresses("main")
        return self._await_pods(
            {
                f"{cluster} {pod}"
                for cluster, kubelet in self.kubelets.items()
                for pod, address in kubelet.addresses.items()
                if address in ready
            }
        )

    def _await_pods(self, expected: set[str]) -> float:
        def check() -> float:
            load = self.requests(12 * len(expected) + 20)
            assert not load.failures, load.table()
            responders = {f"{result.cluster} {result.pod}" for result in load.results}
            assert responders == expected, f"{sorted(responders)} responded, not {sorted(expected)}"
            return time.time()

        return eventually(check)

    def ready_addresses(self, cluster: str) -> set[str]:
        """The addresses of the ready endpoints in a cluster."""
        slices = self.cluster(cluster).api.find("endpointslices", self.world.namespace)
        members = [member for each in slices for member in each["endpoints"] or ()]
        return {member["addresses"][0] for member in members if member["conditions"]["ready"]}

    def assert_ready(self, cluster: str, *addresses: str, ready: bool) -> None:
        """Assert that all or none of these addresses are ready endpoints in a cluster."""
        ready_ones = self.ready_addresses(cluster)
        assert {address in ready_ones for address in addresses} == {ready}, (
            f"ready in {cluster}: {ready_ones}"
        )

    def requests(self, count: int, url: str | None = None) -> Load:
        """Send requests to the Service, by default by its DNS name."""
        return self.load_generator.requests(url or self.url, count)

    def requests_from(self, ports: Collection[int]) -> Load:
        """Send a request to the Service from each of these ports of the node."""
        return self.load_generator.requests(self.url, len(ports), ports=ports)

    def abandoned_ports(self, count: int = 30) -> set[int]:
        """Send requests with a short timeout; return the ports of those that got no response."""
        return {
            result.port
            for result in self.load_generator.requests(
                self.url, count, SHORT_TIMEOUT_SECONDS
            ).failures
            if result.port
        }

    def responders(self, count: int = 100) -> set[tuple[str | None, str | None]]:
        """Send requests, which must succeed; return cluster and name of the responding Pods."""
        load = self.requests(count)
        assert not load.failures, load.table()
        return {(result.cluster, result.pod) for result in load.results}

    def under_load(
        self, rate: float = 200, timeout: float = TIMEOUT_SECONDS
    ) -> AbstractContextManager[Load]:
        """Send requests to the Service at this rate while the context is open."""
        return self.load_generator.under_load(self.url, rate, timeout)

    def condition(self, cluster: str, kind: str) -> Manifest:
        return self.world.links.condition(cluster, kind)


def chi_square(observed: Counter[str], shares: Mapping[str, int]) -> float:
    """Pearson's chi-square statistic of these counts against the expected shares."""
    total, whole = sum(observed.values()), sum(shares.values())
    expected = {name: total * share / whole for name, share in shares.items()}
    return sum((observed[name] - expected[name]) ** 2 / expected[name] for name in expected)


OBSERVED_SECONDS: Final = 2
"""How long to send requests before and after a change."""


def seconds_since(moment: float, results: Sequence[Any]) -> list[float]:
    """The start of each request in seconds after a moment."""
    return [round(result.at - moment, 3) for result in results]
