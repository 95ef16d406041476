"""Three control planes for the whole run; for each test its own namespace in all of them, and its own controller."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

import pytest

from .api_client import ApiError
from .control_planes import Cluster, StartError, running
from .controller_process import Controller, controller_of
from .fault_proxy import FaultProxy, Interception, ProxyTo
from .isolated_cluster import FragileCluster
from .polling import eventually
from .shell import Shell
from .world import Kubectl, Links, RecordMeasure, World

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
CRD: Final = ROOT / "crd" / "clusterlinks.svclink.cloudpilot.ai.yaml"
WITHOUT: Final = "--without-control-planes"
# Against hanging for ever; a test that works takes a fraction of it. Starting clusters is not counted.
TEST_SECONDS: Final = 90

EXPORTED: Final = (
    ("serviceaccounts", "svclink", "kube-system"),
    ("secrets", "svclink-token", "kube-system"),
    ("clusterroles", "svclink-reader", None),
    ("clusterrolebindings", "svclink-reader", None),
    ("roles", "svclink-reader", "kube-system"),
    ("rolebindings", "svclink-reader", "kube-system"),
)

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
        "--minutes", type=float, default=1.0, help="how long the chaos test rages (default: 1)"
    )
    group.addoption(
        "--seed", type=int, default=1, help="of the chaos test's random choices (default: 1)"
    )


def pytest_configure(config: pytest.Config) -> None:
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
    """Print what the tests have measured: nothing that depends on time is asserted."""
    for report in terminalreporter.getreports("passed"):
        if report.when == "call" and report.fspath.startswith(str(HERE.relative_to(ROOT))):
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture
def record_measure(request: pytest.FixtureRequest) -> RecordMeasure:
    """For numbers that are of interest and depend on the machine."""

    def record(name: str, value: float) -> None:
        request.node.user_properties.append((name, f"{value:.3f}"))

    return record


@pytest.fixture(scope="session")
def binaries(request: pytest.FixtureRequest) -> Path | None:
    """The directory of kube-apiserver, kube-controller-manager and etcd, which are built when they are nowhere.

    None where the tests run with the API server of `svclink demo`.
    """
    if request.config.getoption("--servers") == "embedded":
        return None
    command = [sys.executable, str(ROOT / "hack" / "envtest" / "assets.py")]
    if version := request.config.getoption("--kubernetes", default=None):
        command += ["--kubernetes", version]
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as look_up:
        assert look_up.stdout is not None
        assert look_up.stderr is not None
        said = "no control planes"
        with capture.global_and_fixture_disabled():
            for line in look_up.stderr:  # a build takes minutes: show how it goes
                sys.stderr.write(line)
                said = line.strip()
        directory = look_up.stdout.read().strip()
    if look_up.returncode:
        pytest.fail(said, pytrace=False)
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
    """Start clusters that the stack will stop. Where that fails, once more with new ones: their ports are others.

    A port can be taken between the look-up and the start.
    """
    made = make()
    try:
        stack.enter_context(running(made))
    except StartError:
        made = make()
        try:
            stack.enter_context(running(made))
        except (
            StartError
        ) as error:  # Not pytest.exit: from a worker of xdist its message would not get through.
            pytest.fail(str(error), pytrace=False)
    return {cluster.name: cluster for cluster in made}


@pytest.fixture(scope="session")
def crd() -> Path:
    """The definition of ClusterLinks."""
    return CRD


@pytest.fixture(scope="session")
def main(clusters: dict[str, Cluster], kubectl: Kubectl) -> Cluster:
    """The main cluster, with the CRD."""
    kubectl("apply", "--filename", str(CRD))
    eventually(lambda: clusters["main"].api.find("clusterlinks"))
    return clusters["main"]


@pytest.fixture(scope="session")
def c1(clusters: dict[str, Cluster]) -> Cluster:
    return clusters["c1"]


@pytest.fixture(scope="session")
def c2(clusters: dict[str, Cluster]) -> Cluster:
    return clusters["c2"]


@pytest.fixture(scope="session")
def whole_remote(c1: Cluster) -> Cluster:
    """The first remote, where from now on Secrets for ServiceAccounts get their tokens, as in every whole cluster."""
    c1.fill_token_secrets()
    return c1


@pytest.fixture
def remote(whole_remote: Cluster) -> Iterator[Cluster]:
    """The first remote; what an export makes there goes at the end."""
    yield whole_remote
    for resource, name, namespace in EXPORTED:
        with contextlib.suppress(ApiError):
            whole_remote.api.delete(resource, name, namespace)


@pytest.fixture(scope="session")
def fragile_cluster(
    binaries: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FragileCluster]:
    """One more remote, for tests that would disturb others; started when the first of them needs it."""
    with ExitStack() as stack:
        started = start_clusters(
            stack, lambda: [FragileCluster("c3", binaries, tmp_path_factory.mktemp("c3"))]
        )
        yield started["c3"]


@pytest.fixture(scope="session")
def kubectl(clusters: dict[str, Cluster], tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Run kubectl as an administrator of the main cluster, and return what it prints."""
    program = shutil.which("kubectl", path=Path(sys.executable).parent) or shutil.which("kubectl")
    if program is None:
        pytest.fail(
            "No kubectl: install the dependency group e2e, or kubectl itself.", pytrace=False
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
    """A terminal with the contexts `main`, the current one, and `remote`."""
    return Shell(tmp_path, main=main.admin_kubeconfig(), remote=c1.admin_kubeconfig())


@pytest.fixture
def deployed(shell: Shell) -> Iterator[Shell]:
    """The manifests of deploy/ are applied; they go at the end."""
    shell("kubectl apply --filename deploy/deployment.yaml")
    yield shell
    shell("kubectl delete --filename deploy/deployment.yaml")


@pytest.fixture
def namespace(
    request: pytest.FixtureRequest, main: Cluster, c1: Cluster, c2: Cluster
) -> Iterator[str]:
    """A new namespace in all three clusters."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))
    name = f"e2e-{next(_numbers)}-{words}"[:40].strip("-")
    for cluster in (main, c1, c2):
        cluster.create_namespace(name)
    yield name
    for cluster in (main, c1, c2):
        cluster.delete_namespace(name)


@pytest.fixture
def idle_controller(main: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """The controller for the main cluster, to be started by the test; it must end well in the end."""
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
    """All of it together; cleaned up while the controller still runs."""
    everything = World(main, c1, c2, namespace, idle_controller, Links(main.api))
    yield everything
    everything.clean()


@pytest.fixture
def linked(world: World, controller: Controller) -> World:
    """The world with both remotes linked, and the controller running."""
    assert controller.running
    world.link(world.c1, world.c2)
    return world


@pytest.fixture
def c3(fragile_cluster: FragileCluster, world: World) -> Iterator[FragileCluster]:
    """The fragile remote, with the Service `web` like the first one, which serves again after the test."""
    fragile_cluster.create_namespace(world.namespace)
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(fragile_cluster, "web", "10.3.0.1")
    yield fragile_cluster
    fragile_cluster.recover()
    fragile_cluster.delete_namespace(world.namespace)


@pytest.fixture
def proxy_to() -> Iterator[ProxyTo]:
    """Makes proxies to the API servers of clusters, which are gone after the test."""
    with ExitStack() as stack:

        def make(
            cluster: Cluster, *, terminates_tls: bool = False, user: str | None = None
        ) -> FaultProxy:
            proxy = FaultProxy(
                cluster.server,
                Interception(cluster.tls(common_name=user)) if terminates_tls else None,
            )
            stack.callback(proxy.close)
            return proxy

        yield make


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
