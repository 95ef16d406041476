"""Three whole clusters for each test process, with svclink in two Pods of main."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.conftest import WITHOUT
from tests.e2e.polling import eventually
from tests.e2e.requirements import built_programs, require
from tests.e2e.world import Kubectl, Links

from . import dns, workloads
from .containerd import PAUSE, unpack_images
from .images import Image, coredns_image, pause_image, svclink_image
from .machines import Machine, running_machines
from .probe import Probe
from .requirements import missing_cluster_requirement
from .restoration import MANIFESTS, Opened
from .shop import (
    NAMESPACE,
    SVCLINK_NAMESPACE,
    Shop,
    await_open_shop,
    load_generator_in_pod,
    open_shop,
)
from .state_folder import state_folder
from .whole_cluster import Layout, WholeCluster
from .workloads import POD_SECONDS, assert_available

LAYOUTS: Final = (Layout("main", 0, nodes=2), Layout("c1", 1), Layout("c2", 2))
START_SECONDS: Final = 180.0
HERE: Final = Path(__file__).parent
TEST_SECONDS: Final = 600
"""Stops a test that hangs."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give these tests more time, and leave out those that need more than `--minutes`.

    They start Pods, which takes a while on a busy machine.
    """
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))
    minutes = config.getoption("--minutes")
    long = [
        item
        for item in items
        if (needed := item.get_closest_marker("needs_minutes")) and needed.args[0] > minutes
    ]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def requirements(request: pytest.FixtureRequest) -> None:
    """Skip the tests if whole clusters cannot run here; in CI, fail."""
    if request.config.getoption(WITHOUT, default=False):
        pytest.skip(f"{WITHOUT} was given")
    require(missing_cluster_requirement())


@pytest.fixture(scope="session")
def programs(
    request: pytest.FixtureRequest,
    requirements: None,  # noqa: ARG001 - checks first whether the tests can run
    binaries: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A directory with all programs of control planes and nodes, which are built if missing."""
    directory = tmp_path_factory.mktemp("programs")
    built = [built_programs(request.config, option) for option in ("--traffic", "--nodes")]
    for source in (binaries, *built):
        for program in source.iterdir():
            (directory / program.name).symlink_to(program)
    return directory


@pytest.fixture(scope="session")
def images(programs: Path) -> dict[str, Image]:
    """The images of all Pods by name, which are built if missing."""
    svclink = svclink_image()
    return {
        PAUSE: pause_image(),
        dns.IMAGE: coredns_image(programs / "coredns"),
        workloads.IMAGE: svclink,
        workloads.NEXT_IMAGE: svclink,
    }


@pytest.fixture(scope="session")
def folder(requirements: None) -> Iterator[Path]:  # noqa: ARG001 - checks whether tests can run
    """The folder of the test process."""
    with state_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def machines(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[Machine]]]:
    """The machines of each cluster, whose Pods reach those of all other machines.

    Their logs are in the directory `logs` of pytest after the run.
    """
    logs = tmp_path_factory.mktemp("logs")
    machines = {layout.name: layout.machines(folder) for layout in LAYOUTS}
    every = [machine for members in machines.values() for machine in members]
    routes = {range_: gateway for layout in LAYOUTS for range_, gateway in layout.routes().items()}
    for machine in every:
        machine.routes = {
            range_: gateway for range_, gateway in routes.items() if gateway != machine.address
        }
    with running_machines(every, Machine("switch", folder / "switch", "")):
        yield machines
        for log in folder.glob("*/*.log"):
            shutil.copy(log, logs / f"{log.parent.name}-{log.name}")


@pytest.fixture(scope="session")
def control_planes(
    programs: Path, folder: Path, machines: dict[str, list[Machine]]
) -> list[WholeCluster]:
    """The main cluster and two remotes, whose API servers are starting."""
    clusters = [
        WholeCluster(layout, machines[layout.name], programs, folder / layout.name)
        for layout in LAYOUTS
    ]
    for cluster in clusters:
        cluster.spawn()
    return clusters


@pytest.fixture(scope="session")
def clusters(
    control_planes: list[WholeCluster],  # before the images: they start while images are built
    images: dict[str, Image],
    programs: Path,
    folder: Path,
) -> Iterator[dict[str, WholeCluster]]:
    """The main cluster and two remotes, whose nodes are ready."""
    unpacked = unpack_images(Machine("images", folder / "images", ""), programs, images)
    for cluster in control_planes:
        for node in cluster.nodes:
            node.start_containerd(unpacked)
    for cluster in control_planes:
        cluster.wait_until_ready()
    for cluster in control_planes:
        eventually(cluster.assert_ready, START_SECONDS)
    yield {cluster.name: cluster for cluster in control_planes}
    for cluster in control_planes:
        cluster.api.close()


@pytest.fixture(scope="session")
def svclink(clusters: dict[str, WholeCluster], kubectl: Kubectl) -> None:
    """svclink, applied as the documentation says."""
    kubectl("apply", "--kustomize", MANIFESTS)
    api = clusters["main"].api
    eventually(lambda: assert_available(api, "svclink", SVCLINK_NAMESPACE), POD_SECONDS)


@pytest.fixture(scope="session")
def opened_shop(
    clusters: dict[str, WholeCluster],
    svclink: None,  # noqa: ARG001 - runs in main
    programs: Path,
    kubectl: Kubectl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """The Service `web` in three clusters, and a client."""
    main = clusters["main"]
    open_shop(clusters)
    links = Links(main.api)
    for name in ("c1", "c2"):
        links.add(name, clusters[name].remote_kubeconfig())
    await_open_shop(clusters)
    log = tmp_path_factory.mktemp("client") / "load-generator.log"
    with load_generator_in_pod(main, programs, log) as load_generator:
        shop = Shop(clusters, kubectl, links, programs, load_generator)
        eventually(shop.assert_responders, POD_SECONDS)
        yield shop


@pytest.fixture(scope="session")
def opened(opened_shop: Shop) -> Opened:
    """What the shop was like when it was opened."""
    return Opened.of(opened_shop)


@pytest.fixture
def shop(opened_shop: Shop, opened: Opened) -> Shop:
    """The Service `web` in three clusters, and a client; as if no test had used them before."""
    opened.restore(opened_shop)
    return opened_shop


@pytest.fixture
def probe(shop: Shop) -> Iterator[Probe]:
    """A Service of c1 whose addresses the test writes."""
    created = Probe(shop.main.api, shop.clusters["c1"].api, NAMESPACE)
    created.create()
    yield created
    created.delete()
