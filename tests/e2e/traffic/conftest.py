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
from tests.e2e.controller_process import Controller
from tests.e2e.polling import eventually
from tests.e2e.world import World

from .kubelets import Kubelet, node, zone
from .load import Client, Load, plot
from .network import CLUSTERS, NODE, NODE_ADDRESS, POD_NETWORKS, joined_namespaces, obstacle
from .node import NODE_NAME, ZONE, node_programs
from .programs import Program, program
from .shop import Shop

# What is drawn of a test: the load, and the moments to mark in it.
Draw: TypeAlias = Callable[[Load, Sequence[tuple[float, str]]], None]

NODES: Final = {"main": (NODE_NAME, ZONE), "c1": (NODE_NAME, ZONE), "c2": ("far", None)}
"""The node of each cluster and its zone: one has the name of the main cluster's own, one is in no zone."""

PROXY_MODES: Final = ("nftables", "iptables")

_namespaces = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("traffic")
    group.addoption(
        "--proxy-mode",
        choices=PROXY_MODES,
        help="the only mode of kube-proxy (default: one by one)",
    )
    group.addoption(
        "--plot",
        metavar="DIRECTORY",
        type=Path,
        help="draw what became of the requests, as pictures there",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "any_proxy_mode: has nothing to do with the mode of kube-proxy; runs in one"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests in one mode of kube-proxy after the other, or in the one that was asked for."""
    if "proxy_mode" not in metafunc.fixturenames:
        return
    asked = metafunc.config.getoption("--proxy-mode", default=None)
    enough = 1 if metafunc.definition.get_closest_marker("any_proxy_mode") else len(PROXY_MODES)
    modes = [asked] if asked else PROXY_MODES[:enough]
    metafunc.parametrize("proxy_mode", modes, indirect=True, scope="session")


@pytest.fixture(scope="session")
def proxy_mode(request: pytest.FixtureRequest) -> str:
    """The mode of kube-proxy."""
    return str(request.param)


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
                Cluster(name, binaries, tmp_path_factory.mktemp(name), controller_manager=True)
                for name in CLUSTERS
            ],
        )


@pytest.fixture(scope="session")
def nodes(clusters: dict[str, Cluster]) -> dict[str, Cluster]:
    """The clusters, with a node in each, which is in no zone yet."""
    for name, cluster in clusters.items():
        cluster.api.create(node(NODES[name][0], NODE_ADDRESS if name == "main" else None))
    return clusters


@pytest.fixture(scope="session")
def network(
    proxy_mode: str,
    nodes: dict[str, Cluster],
    traffic_binaries: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """The network, with kube-proxy and CoreDNS on the node; the directory where all that runs there has its logs."""
    directory = tmp_path_factory.mktemp("node")
    with joined_namespaces(), node_programs(nodes["main"], traffic_binaries, proxy_mode, directory):
        # Zones only now: kube-proxy can miss one that its node had before, as it looks before it has whom to tell.
        for name, cluster in nodes.items():
            cluster.api.patch("nodes", NODES[name][0], None, zone(NODES[name][1]))
        yield directory
    for name, cluster in nodes.items():
        cluster.api.patch("nodes", NODES[name][0], None, zone(None))


@pytest.fixture(scope="session")
def programs(network: Path) -> Iterator[dict[str, Program]]:
    """The program that plays the Pods of each cluster."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                program(pods.namespace, "pods", name, log=network / f"pods-{name}.log")
            )
            for name, pods in POD_NETWORKS.items()
        }


@pytest.fixture(scope="session")
def client(network: Path) -> Iterator[Client]:
    """The load generator on the node."""
    with program(NODE, "client", log=network / "client.log") as running:
        yield Client(running)


@pytest.fixture
def namespace(main: Cluster, c1: Cluster, c2: Cluster) -> Iterator[str]:
    """A namespace in all three clusters, with the ServiceAccount without which no Pod can be made."""
    number = next(_namespaces)
    name = f"shop{number}" if number > 1 else "shop"
    for cluster in (main, c1, c2):
        cluster.create_namespace(name)
    for cluster in (main, c1, c2):
        eventually(lambda cluster=cluster: cluster.api.get("serviceaccounts", "default", name))  # type: ignore[misc]
    yield name
    for cluster in (main, c1, c2):
        cluster.delete_namespace(name)


@pytest.fixture
def shop(
    programs: dict[str, Program],
    client: Client,
    clusters: dict[str, Cluster],
    world: World,
    controller: Controller,
) -> Iterator[Shop]:
    """The namespace of the test with a kubelet in each cluster, and the controller running."""
    assert controller.running
    kubelets = {
        name: Kubelet(cluster, POD_NETWORKS[name], programs[name], world.namespace, NODES[name][0])
        for name, cluster in clusters.items()
    }
    yield Shop(world, kubelets, client)
    for kubelet in kubelets.values():
        for pod in kubelet.pods:
            kubelet.kill(pod)


@pytest.fixture
def draw(request: pytest.FixtureRequest, proxy_mode: str) -> Draw:
    """Show the results of a load at the end of the run and, with `--plot`, as a picture."""
    directory = request.config.getoption("--plot", default=None)

    def show(load: Load, marks: Sequence[tuple[float, str]] = ()) -> None:
        request.node.user_properties.append((request.node.name, f"\n{load.table()}"))
        if directory is not None:
            plot(
                load,
                marks,
                directory / proxy_mode / f"{request.node.originalname.removeprefix('test_')}.svg",
            )

    return show
