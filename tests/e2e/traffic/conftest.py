"""Three clusters with controller managers, the node of the main cluster, and the Pods of each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.e2e.conftest import ROOT, WITHOUT, start_clusters
from tests.e2e.control_planes import Cluster
from tests.e2e.controller_process import Controller
from tests.e2e.polling import eventually
from tests.e2e.requirements import built_programs, require
from tests.e2e.world import World

from .kubelets import Kubelet, node, zone
from .load import Load, LoadGenerator, plot
from .network import (
    CLUSTERS,
    NODE,
    NODE_ADDRESS,
    POD_NETWORKS,
    joined_namespaces,
    missing_requirement,
)
from .node import NODE_NAME, ZONE, node_programs
from .programs import Program, program
from .shop import Shop

# Draws a load, with named moments.
Draw: TypeAlias = Callable[[Load, Sequence[tuple[float, str]]], None]

NODES: Final = {"main": (NODE_NAME, ZONE), "c1": (NODE_NAME, ZONE), "c2": ("far", None)}
"""Node and zone by cluster: c1 has a node with the same name as main, and c2 has no zone."""

PROXY_MODES: Final = ("nftables", "iptables")

PICTURES: Final = ROOT / "docs" / "traffic"

_namespaces = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("traffic")
    group.addoption(
        "--proxy-mode",
        choices=PROXY_MODES,
        help="run in this mode of kube-proxy only (default: in each)",
    )
    group.addoption(
        "--plot",
        nargs="?",
        const=PICTURES,
        metavar="DIRECTORY",
        type=Path,
        help="draw the loads of the tests (default directory: that of the documentation)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "any_proxy_mode: does not depend on the mode of kube-proxy; runs in one mode"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests in each mode of kube-proxy, or in the mode given by the option."""
    if "proxy_mode" not in metafunc.fixturenames:
        return
    requested = metafunc.config.getoption("--proxy-mode", default=None)
    count = 1 if metafunc.definition.get_closest_marker("any_proxy_mode") else len(PROXY_MODES)
    modes = [requested] if requested else PROXY_MODES[:count]
    metafunc.parametrize("proxy_mode", modes, indirect=True, scope="session")


@pytest.fixture(scope="session")
def proxy_mode(request: pytest.FixtureRequest) -> str:
    """The mode of kube-proxy."""
    return str(request.param)


@pytest.fixture(scope="session")
def traffic_binaries(request: pytest.FixtureRequest) -> Path:
    """The directory of kube-proxy and CoreDNS, which are built if missing.

    Without network namespaces, tests are skipped or, in CI, fail.
    """
    if request.config.getoption(WITHOUT, default=False):
        pytest.skip(f"{WITHOUT} was given")
    require(missing_requirement())
    return built_programs(request.config, "--traffic")


@pytest.fixture(scope="session")
def clusters(
    traffic_binaries: Path,  # noqa: ARG001 - checks first whether the tests can run
    binaries: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Cluster]]:
    """The three clusters, each with a controller manager that writes EndpointSlices."""
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
    """The clusters, each with a node that has no zone yet."""
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
    """The directory with the logs of the node, on which kube-proxy and CoreDNS run."""
    directory = tmp_path_factory.mktemp("node")
    with joined_namespaces(), node_programs(nodes["main"], traffic_binaries, proxy_mode, directory):
        # kube-proxy can miss a zone that its node had before the start, so zones are set now.
        for name, cluster in nodes.items():
            cluster.api.patch("nodes", NODES[name][0], None, zone(NODES[name][1]))
        yield directory
    for name, cluster in nodes.items():
        cluster.api.patch("nodes", NODES[name][0], None, zone(None))


@pytest.fixture(scope="session")
def programs(network: Path) -> Iterator[dict[str, Program]]:
    """The program that simulates the Pods of each cluster."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                program(pods.namespace, "pod_servers", name, log=network / f"pods-{name}.log")
            )
            for name, pods in POD_NETWORKS.items()
        }


@pytest.fixture(scope="session")
def load_generator(network: Path) -> Iterator[LoadGenerator]:
    """The load generator on the node."""
    with program(NODE, "load_generator", log=network / "load-generator.log") as running:
        yield LoadGenerator(running)


@pytest.fixture
def namespace(main: Cluster, c1: Cluster, c2: Cluster) -> Iterator[str]:
    """A namespace in all three clusters, with the ServiceAccount that Pods need."""
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
    load_generator: LoadGenerator,
    clusters: dict[str, Cluster],
    world: World,
    controller: Controller,
) -> Iterator[Shop]:
    """The namespace of the test, with a kubelet in each cluster and a running controller."""
    assert controller.running
    kubelets = {
        name: Kubelet(cluster, POD_NETWORKS[name], programs[name], world.namespace, NODES[name][0])
        for name, cluster in clusters.items()
    }
    yield Shop(world, kubelets, load_generator)
    for kubelet in kubelets.values():
        kubelet.kill(*kubelet.pods)


@pytest.fixture
def draw(request: pytest.FixtureRequest, proxy_mode: str) -> Draw:
    """Print the results of a load at the end of the run and, with `--plot`, draw those with marks.

    A test that runs in every mode of kube-proxy is drawn in the first one.
    """
    directory = request.config.getoption("--plot", default=None)
    only_mode = request.config.getoption("--proxy-mode", default=None)
    is_drawn = directory is not None and proxy_mode == (only_mode or PROXY_MODES[0])

    def show(load: Load, marks: Sequence[tuple[float, str]] = ()) -> None:
        request.node.user_properties.append((request.node.name, f"\n{load.table()}"))
        if is_drawn and marks:
            name = request.node.originalname.removeprefix("test_")
            plot(load, marks, directory / f"{name}.svg")

    return show
