"""Three control planes for the whole run; a namespace and a controller for each test."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

import pytest

from .api_client import ApiError
from .control_planes import CONTROLLER, Cluster, StartError, running
from .controller_process import Controller, controller_of
from .fault_proxy import FaultProxy, Interception, ProxyTo
from .isolated_cluster import IsolatedCluster
from .polling import eventually
from .shell import Shell, kubectl_program
from .world import Kubectl, Links, RecordMeasure, World

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
CRD: Final = ROOT / "crd" / "clusterlinks.svclink.cloudpilot.ai.yaml"
WITHOUT: Final = "--without-control-planes"
# Stops a test that hangs; tests need a fraction of it. The start of the clusters does not count.
TEST_SECONDS: Final = 90

EXPORTED: Final = (
    ("serviceaccounts", "svclink", "kube-system"),
    ("secrets", "svclink-token", "kube-system"),
    ("clusterroles", "svclink-reader", None),
    ("clusterrolebindings", "svclink-reader", None),
    ("roles", "svclink-reader", "kube-system"),
    ("rolebindings", "svclink-reader", "kube-system"),
)

# The tests start many interpreters, and each would compile every module again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_numbers = itertools.count(1)

AnyCluster = TypeVar("AnyCluster", bound=Cluster)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("control planes")
    group.addoption(
        WITHOUT, action="store_true", help="skip the tests that need real control planes"
    )
    group.addoption(
        "--servers",
        choices=["real", "embedded"],
        default="real",
        help="which API servers to test with",
    )
    group.addoption(
        "--kubernetes",
        metavar="VERSION",
        help="pinned Kubernetes version to test with (default: newest)",
    )
    group.addoption(
        "--minutes",
        type=float,
        default=1.0,
        help="duration of the chaos test, and of the longest test to run (default: 1)",
    )
    group.addoption("--seed", type=int, default=1, help="seed of the chaos test (default: 1)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs_minutes(count): runs only with `--minutes` of this number or more"
    )
    config.addinivalue_line(
        "markers", "real_servers(why): skipped with --servers=embedded, for the reason given"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if HERE not in item.path.parents:
            continue
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))
        real_only = item.get_closest_marker("real_servers")
        if real_only is not None and config.getoption("--servers", default="real") == "embedded":
            item.add_marker(pytest.mark.skip(reason=real_only.args[0]))
        if config.getoption(WITHOUT, default=False):
            item.add_marker(pytest.mark.skip(reason=f"{WITHOUT} was given"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the controller's log with a failure."""
    report = yield
    controller = getattr(item, "funcargs", {}).get("idle_controller")
    if report.failed and isinstance(controller, Controller):
        report.sections.append(("end of the controller's log", controller.tail()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the recorded measurements, which no test asserts."""
    for report in terminalreporter.getreports("passed"):
        if report.when == "call" and report.fspath.startswith(str(HERE.relative_to(ROOT))):
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture
def record_measure(request: pytest.FixtureRequest) -> RecordMeasure:
    """Record a measurement that depends on the machine."""

    def record(name: str, value: float) -> None:
        request.node.user_properties.append((name, f"{value:.3f}"))

    return record


@pytest.fixture(scope="session")
def binaries(request: pytest.FixtureRequest) -> Path | None:
    """The directory of the control plane binaries, which are built if missing.

    None if the tests use the API server of `svclink demo`.
    """
    if request.config.getoption("--servers") == "embedded":
        return None
    command = [sys.executable, str(ROOT / "hack" / "envtest" / "assets.py")]
    if version := request.config.getoption("--kubernetes", default=None):
        command += ["--kubernetes", version]
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as lookup:
        assert lookup.stdout is not None
        assert lookup.stderr is not None
        last_line = "no control planes"
        with capture.global_and_fixture_disabled():
            for line in lookup.stderr:  # A build takes minutes: show its progress.
                sys.stderr.write(line)
                last_line = line.strip()
        directory = lookup.stdout.read().strip()
    if lookup.returncode:
        pytest.fail(last_line, pytrace=False)
    return Path(directory)


@pytest.fixture(scope="session")
def clusters(
    binaries: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Cluster]]:
    """The main cluster and two remotes."""

    def make() -> list[Cluster]:
        return [
            Cluster(
                name, binaries, tmp_path_factory.mktemp(name), controller_manager=name == "main"
            )
            for name in ("main", "c1", "c2")
        ]

    with ExitStack() as stack:
        yield start_clusters(stack, make)


def start_clusters(stack: ExitStack, make: Callable[[], list[AnyCluster]]) -> dict[str, AnyCluster]:
    """Start clusters that the stack stops, with a second attempt on other ports.

    Another process may take a port between the lookup and the start.
    """
    clusters = make()
    try:
        stack.enter_context(running(clusters))
    except StartError:
        clusters = make()
        try:
            stack.enter_context(running(clusters))
        except StartError as error:
            # Not pytest.exit: xdist does not forward its message from a worker.
            pytest.fail(str(error), pytrace=False)
    return {cluster.name: cluster for cluster in clusters}


@pytest.fixture(scope="session")
def crd() -> Path:
    """The file with the CustomResourceDefinition of ClusterLinks."""
    return CRD


@pytest.fixture(scope="session")
def main(clusters: dict[str, Cluster], kubectl: Kubectl) -> Cluster:
    """The main cluster, with the CRDs."""
    kubectl("apply", "--filename", str(CRD.parent))
    eventually(lambda: clusters["main"].api.find("clusterlinks"))
    eventually(lambda: clusters["main"].api.find("trafficpolicies"))
    return clusters["main"]


@pytest.fixture(scope="session")
def c1(clusters: dict[str, Cluster]) -> Cluster:
    return clusters["c1"]


@pytest.fixture(scope="session")
def c2(clusters: dict[str, Cluster]) -> Cluster:
    return clusters["c2"]


@pytest.fixture(scope="session")
def remote_with_tokens(c1: Cluster) -> Cluster:
    """The first remote, with the controller that writes tokens into ServiceAccount Secrets."""
    c1.start_token_controller()
    return c1


@pytest.fixture
def remote(remote_with_tokens: Cluster) -> Iterator[Cluster]:
    """The first remote; objects that export-kubeconfig creates are deleted at the end."""
    yield remote_with_tokens
    for resource, name, namespace in EXPORTED:
        with contextlib.suppress(ApiError):
            remote_with_tokens.api.delete(resource, name, namespace)


@pytest.fixture(scope="session")
def isolated_cluster(
    binaries: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IsolatedCluster]:
    """A third remote for disruptive tests, started when the first of them needs it."""
    with ExitStack() as stack:
        started = start_clusters(
            stack, lambda: [IsolatedCluster("c3", binaries, tmp_path_factory.mktemp("c3"))]
        )
        yield started["c3"]


@pytest.fixture(scope="session")
def kubectl(clusters: dict[str, Cluster], tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Run kubectl as an administrator of the main cluster, and return its standard output."""
    program = kubectl_program()
    if program is None:
        pytest.fail(
            "kubectl not found: install the dependency group e2e, or kubectl.", pytrace=False
        )
    home = tmp_path_factory.mktemp("kubectl")
    kubeconfig = home / "kubeconfig"
    kubeconfig.write_text(clusters["main"].admin_kubeconfig(), encoding="utf-8")
    options = ("--kubeconfig", str(kubeconfig), "--cache-dir", str(home / "cache"))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *options, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def shell(main: Cluster, c1: Cluster, tmp_path: Path) -> Shell:
    """A terminal with the contexts `main`, which is the current one, and `remote`."""
    return Shell(tmp_path, main=main.admin_kubeconfig(), remote=c1.admin_kubeconfig())


@pytest.fixture
def deployed(shell: Shell) -> Iterator[Shell]:
    """A terminal; the manifests of deploy/ are applied, and deleted at the end."""
    shell("kubectl apply --filename deploy/deployment.yaml")
    yield shell
    shell("kubectl delete --filename deploy/deployment.yaml")


@pytest.fixture
def namespace(
    request: pytest.FixtureRequest, main: Cluster, c1: Cluster, c2: Cluster
) -> Iterator[str]:
    """A new namespace in all three clusters, with a name made from the name of the test."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))
    name = f"e2e-{next(_numbers)}-{words}"[:40].strip("-")
    for cluster in (main, c1, c2):
        cluster.create_namespace(name)
    yield name
    main.empty_namespace(name, "trafficpolicies")
    for cluster in (c1, c2):
        cluster.empty_namespace(name)


@pytest.fixture
def idle_controller(main: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """The controller for main; the test starts it, and it must exit cleanly at the end."""
    with controller_of(main.controller_kubeconfig(), tmp_path, "svclink") as controller:
        yield controller


@pytest.fixture
def controller(idle_controller: Controller) -> Controller:
    """The controller, started."""
    idle_controller.start()
    return idle_controller


@pytest.fixture
def world(
    main: Cluster, c1: Cluster, c2: Cluster, namespace: str, idle_controller: Controller
) -> Iterator[World]:
    """Clusters, namespace, controller and links; cleaned up while the controller still runs."""
    created = World(main, c1, c2, namespace, idle_controller, Links(main.api))
    yield created
    created.clean_up()


@pytest.fixture
def linked(world: World, controller: Controller) -> World:
    """Both remotes are linked, and the controller is running."""
    assert controller.running
    world.link(world.c1, world.c2)
    return world


@pytest.fixture
def c3(isolated_cluster: IsolatedCluster, world: World) -> Iterator[IsolatedCluster]:
    """The isolated remote, with the Service `web`; it serves again after the test."""
    isolated_cluster.create_namespace(world.namespace)
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(isolated_cluster, "web", "10.3.0.1")
    yield isolated_cluster
    isolated_cluster.recover()
    isolated_cluster.delete_namespace(world.namespace)


@pytest.fixture
def proxy_to() -> Iterator[ProxyTo]:
    """Creates proxies to the API servers of clusters, and closes them after the test."""
    with ExitStack() as stack:

        def make(
            cluster: Cluster, *, terminates_tls: bool = False, user: str | None = None
        ) -> FaultProxy:
            context = cluster.tls_context(common_name=user, organization=CONTROLLER)
            interception = Interception(context) if terminates_tls else None
            proxy = FaultProxy(cluster.server, interception)
            stack.callback(proxy.close)
            return proxy

        yield make


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
