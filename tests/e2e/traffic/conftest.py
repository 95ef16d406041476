"""Three clusters with their controller managers, the node of the main one, and the Pods of each."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.e2e.conftest import ROOT, WITHOUT, start_clusters
from tests.e2e.control_planes import Cluster
from tests.e2e.controllers import Controller
from tests.e2e.waiting import eventually
from tests.e2e.world import World

from .kubelets import Kubelet, node, pod_program
from .load import Load, plot
from .network import CLUSTERS, NODE_ADDRESS, POD_NETWORKS, joined_namespaces, obstacle
from .node import NODE_NAME, ZONE, node_programs
from .shop import Shop

# What is drawn of a test: the load, and the moments to mark in it.
Draw: TypeAlias = Callable[[Load, Sequence[tuple[float, str]]], None]

NODES: Final = {"main": (NODE_NAME, ZONE), "c1": (NODE_NAME, ZONE), "c2": ("far", None)}
"""The node of each cluster and its zone: one has the name of the main cluster's own, one is in no zone."""

_namespaces = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("traffic")
    group.addoption("--proxy-mode", choices=("nftables", "iptables"), default="nftables", help="mode of kube-proxy")
    group.addoption(
        "--plot", metavar="DIRECTORY", type=Path, help="draw what became of the requests, as pictures there"
    )


@pytest.fixture(scope="session")
def traffic_binaries(request: pytest.FixtureRequest) -> Path:
    """The directory of kube-proxy and CoreDNS, which are built when they are nowhere.

    Skips where the kernel gives no network namespaces; on a CI machine that is a failure.
    """
    if request.config.getoption(WITHOUT, default=False):
        pytest.skip(f"{WITHOUT} was given")
    if (sentence := obstacle()) is not None:
        if os.environ.get("CI"):
            pytest.fail(sentence, pytrace=False)
        pytest.skip(sentence)
    command = [sys.executable, str(ROOT / "hack" / "envtest" / "assets.py"), "--traffic"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stderr, pytrace=False)
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def clusters(
    traffic_binaries: Path,  # noqa: ARG001 - says first whether the tests can run at all
    binaries: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Cluster]]:
    """The main cluster and two remotes, each with a controller manager, which writes its EndpointSlices."""
    with ExitStack() as stack:
        yield start_clusters(
            stack,
            lambda: [
                Cluster(name, binaries, tmp_path_factory.mktemp(name), controller_manager=True) for name in CLUSTERS
            ],
        )


@pytest.fixture(scope="session")
def programs(
    request: pytest.FixtureRequest,
    clusters: dict[str, Cluster],
    traffic_binaries: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """The network, with kube-proxy and CoreDNS on the node, and the program that plays the Pods of each cluster."""
    directory = tmp_path_factory.mktemp("node")
    for name, cluster in clusters.items():
        cluster.api.create(node(*NODES[name], NODE_ADDRESS if name == "main" else None))
    with ExitStack() as stack:
        stack.enter_context(joined_namespaces())
        mode = request.config.getoption("--proxy-mode", default="nftables")
        stack.enter_context(node_programs(clusters["main"], traffic_binaries, mode, directory))
        yield {
            name: stack.enter_context(pod_program(name, POD_NETWORKS[name], directory / f"pods-{name}.log"))
            for name in CLUSTERS
        }


@pytest.fixture
def namespace(main: Cluster, c1: Cluster, c2: Cluster) -> Iterator[str]:
    """A namespace in all three clusters, with the ServiceAccount without which no Pod can be made."""
    name = f"shop{next(_namespaces)}".replace("shop1", "shop")
    for cluster in (main, c1, c2):
        cluster.create_namespace(name)
    for cluster in (main, c1, c2):
        eventually(lambda cluster=cluster: cluster.api.get("serviceaccounts", "default", name))  # type: ignore[misc]
    yield name
    for cluster in (main, c1, c2):
        cluster.delete_namespace(name)


@pytest.fixture
def shop(
    programs: dict[str, subprocess.Popen[str]], clusters: dict[str, Cluster], world: World, controller: Controller
) -> Iterator[Shop]:
    """The namespace of the test with a kubelet in each cluster, and the controller running."""
    assert controller.running
    kubelets = {
        name: Kubelet(cluster, POD_NETWORKS[name], programs[name], world.namespace, NODES[name][0])
        for name, cluster in clusters.items()
    }
    yield Shop(world, kubelets)
    for kubelet in kubelets.values():
        for pod in kubelet.pods:
            kubelet.kill(pod)


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> Draw:
    """Show the results of a load at the end of the run and, with `--plot`, as a picture."""
    directory = request.config.getoption("--plot", default=None)

    def show(load: Load, marks: Sequence[tuple[float, str]] = ()) -> None:
        request.node.user_properties.append((request.node.name, f"\n{load.table()}"))
        if directory is not None:
            plot(load, marks, directory / f"{request.node.name.removeprefix('test_')}.svg")

    return show
