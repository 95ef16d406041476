"""A Service of one namespace in three clusters, its Pods, and who answers when it is called."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.e2e.api import Object
from tests.e2e.control_planes import Cluster
from tests.e2e.objects import service
from tests.e2e.waiting import eventually
from tests.e2e.world import World

from .kubelets import Kubelet
from .load import requests

APP: Final = "web"
HTTP: Final = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}


@dataclass(frozen=True)
class Shop:
    """The namespace of a test in three clusters, with a kubelet in each."""

    world: World
    kubelets: Mapping[str, Kubelet]

    @property
    def url(self) -> str:
        """As a program in the main cluster writes it: Service and namespace."""
        return f"http://{APP}.{self.world.namespace}"

    def cluster(self, name: str) -> Cluster:
        return {"main": self.world.main, "c1": self.world.c1, "c2": self.world.c2}[name]

    def declare(self, name: str, port: Object = HTTP, **spec: Any) -> Object:
        """The Service in a cluster; its Pods are those with the label."""
        made = service(self.world.namespace, APP, [port], selector={"app": APP}, **spec)
        return self.world.create(self.cluster(name), made)

    def open(self, pods: Mapping[str, int], **spec: Any) -> None:
        """The Service and so many ready Pods in each cluster, both remotes linked, and every Pod answering."""
        for name, count in pods.items():
            self.declare(name, **spec)
            self.kubelets[name].run_many(APP, count)
        self.world.link(self.world.c1, self.world.c2)
        self.await_answers(*(name for name, count in pods.items() if count))

    def await_answers(self, *clusters: str) -> None:
        """Wait until exactly these clusters answer, each with all its Pods, and kube-proxy has come to rest."""
        wanted = {f"{cluster} {pod}" for cluster in clusters for pod in self.kubelets[cluster].pods}

        def check() -> None:
            load = requests(self.url, 12 * len(wanted) + 20)
            assert not load.failures, load.table()
            answered = {f"{result.cluster} {result.pod}" for result in load.results}
            assert answered == wanted, f"{sorted(answered)} answered, not {sorted(wanted)}"

        eventually(check)
        time.sleep(1.5)  # kube-proxy waits a second between two rounds: the next change finds it ready.

    def condition(self, cluster: str, kind: str) -> Object:
        return self.world.links.condition(cluster, kind)


def chi_square(observed: Counter[str], shares: Mapping[str, int]) -> float:
    """Pearson's statistic of counts against shares: how far they are from what chance explains."""
    total, whole = sum(observed.values()), sum(shares.values())
    expected = {name: total * share / whole for name, share in shares.items()}
    return sum((observed[name] - expected[name]) ** 2 / expected[name] for name in expected)


HEARD_SECONDS: Final = 2
"""Within this a change comes to new connections: svclink has a second, and kube-proxy waits one between two rounds."""


def seconds_since(moment: float, results: Sequence[Any]) -> list[float]:
    """How long after a moment each of these requests began."""
    return [round(result.at - moment, 3) for result in results]
