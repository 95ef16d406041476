"""Prometheus scrapes the replicas that the PodMonitor selects.

Real: control planes, the permissions of Prometheus, svclink, Prometheus, promtool. Substituted:
nodes; the Pods are processes on loopback. The Prometheus operator and the discovery of Pods, which
Debian's Prometheus lacks: the test makes the configuration and lists the Pods as they would.
"""

from __future__ import annotations

import itertools
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from svclink_controller.demo.processes import Process
from svclink_core.well_known import ANNOTATION_MIRROR
from tests.builders.manifests import endpoint_slice, service, traffic_policy, webhook_configuration
from tests.e2e.admission import WriteBan, assert_refused, write_ban
from tests.e2e.api_client import Api
from tests.e2e.control_planes import Cluster
from tests.e2e.controller_process import Controller, controller_of
from tests.e2e.loopback_ports import reserve_ports
from tests.e2e.polling import eventually
from tests.e2e.shell import Shell, deployed_kubeconfig
from tests.e2e.world import World

from .deployed_monitoring import documented_series
from .permissions import discovered_pods
from .programs import promtool
from .prometheus import Prometheus, running_prometheus
from .replicas import LOOPBACK, NAMESPACE, start_replica

SERVICES: Final = ("changed", "withdrawn")
# It counts what no worker has taken, and there are more workers than Services here.
MAY_STAY_ZERO: Final = "svclink_queue_depth"
CONTROLLER_USER: Final = f"system:serviceaccount:{NAMESPACE}:svclink"

pytestmark = pytest.mark.real_servers(
    "`kubectl create token` speaks protobuf, which the embedded server does not read"
)


@pytest.fixture
def idle_controller(deployed: Shell, main: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """The first replica, as the ServiceAccount of the Deployment."""
    with controller_of(deployed_kubeconfig(deployed, main), tmp_path, "leader") as controller:
        yield controller


@pytest.fixture
def standby(deployed: Shell, main: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """The second replica."""
    with controller_of(deployed_kubeconfig(deployed, main), tmp_path, "standby") as controller:
        yield controller


@pytest.fixture
def addresses(world: World, standby: Controller, deployed: Shell) -> dict[str, str]:
    """Where each replica listens: the first one leads, and the second one stands by."""
    deployment = yaml.safe_load(deployed(f"kubectl get deployment svclink -n {NAMESPACE} -o yaml"))
    api = world.main.api
    leader = start_replica(api, deployment, "svclink-leader", world.controller)
    eventually(lambda: assert_answers(leader, "leading"))
    return {
        "svclink-leader": leader,
        "svclink-standby": start_replica(api, deployment, "svclink-standby", standby),
    }


@pytest.fixture
def prometheus(
    addresses: dict[str, str], main: Cluster, deployed: Shell, tmp_path: Path
) -> Iterator[Prometheus]:
    """Prometheus, which has scraped both replicas."""
    (port,) = reserve_ports(1)
    with (
        discovered_pods(main, deployed) as pods,
        running_prometheus(
            pods,
            tmp_path,
            f"{LOOPBACK}:{port}",
            lambda command: Process("prometheus", command, tmp_path / "prometheus.log"),
        ) as running,
    ):
        eventually(lambda: running.assert_scraped(addresses))
        yield running


@pytest.fixture
def controller_api(main: Cluster, deployed: Shell) -> Iterator[Api]:
    """A client of the main cluster with the permissions of svclink."""
    api = main.api_with_token(deployed(f"kubectl create token svclink -n {NAMESPACE}").strip())
    yield api
    api.close()


@pytest.fixture
def ban(main: Cluster) -> Iterator[WriteBan]:
    """An admission policy that can deny svclink every write of an EndpointSlice."""
    with write_ban(main.api, CONTROLLER_USER) as created:
        yield created


@pytest.fixture
def _webhook(world: World) -> Iterator[None]:
    """A webhook of main, so that its API server calls a Service."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    hook = webhook_configuration("scraped", f"{world.namespace}/called")
    world.main.api.request("POST", path, hook)
    yield
    world.main.api.request("DELETE", f"{path}/scraped")


@pytest.mark.usefixtures("_webhook")
def test_prometheus_has_data_for_every_panel_metric_and_alert(
    world: World,
    addresses: dict[str, str],
    prometheus: Prometheus,
    ban: WriteBan,
    controller_api: Api,
) -> None:
    """After changes and failures, each panel and metric has data, and the right alerts wait."""
    change_everything(world)
    eventually(lambda: assert_no_metric_stands_still(prometheus))
    numbers = itertools.count()

    def no_panel_is_empty_while_things_change() -> None:
        # A rate needs changes after the first scrape of a series.
        world.set_addresses(world.c1, SERVICES[0], f"10.1.1.{next(numbers) % 250 + 1}")
        prometheus.assert_no_panel_is_empty()

    eventually(no_panel_is_empty_while_things_change)

    world.links.add("away", world.c2.kubeconfig({"token": "t"}, server="https://127.0.0.1:9"))
    ban.impose()
    eventually(lambda: assert_refused(controller_api, world.namespace))
    world.set_addresses(world.c1, SERVICES[0], "10.1.0.9")
    world.links.await_condition("c1", "False", "WriteFailed", kind="Synced")

    eventually(
        lambda: assert_waiting(
            prometheus,
            "SvclinkRemoteUnreachable",
            "SvclinkWritesFail",
            "SvclinkFailedOver",
            "SvclinkShareUnreachable",
        )
    )
    prometheus.assert_rules_are_evaluated()
    assert prometheus.names("svclink_.+") == documented_series()
    for address in addresses.values():
        assert promtool("check", "metrics", answer=answer(address, "metrics")) == ""
    ban.lift()


def change_everything(world: World) -> None:
    """Mirror some Services, then change one and withdraw another."""
    for name in SERVICES:
        world.declare(name)
        world.publish(world.c1, name, "10.1.0.1")
    world.link(world.c1)
    for name in SERVICES:
        world.await_mirrored(name, c1=["10.1.0.1"])
    changed, withdrawn = SERVICES
    world.set_addresses(world.c1, changed, "10.1.0.2", "10.1.0.3")
    world.await_mirrored(changed, c1=["10.1.0.2", "10.1.0.3"])
    world.withdraw(world.c1, withdrawn)
    world.await_mirrored(withdrawn)
    divide_traffic(world, changed)
    annotated = service(f"{world.namespace}/annotated", annotations={ANNOTATION_MIRROR: "maybe"})
    world.create(world.main, annotated)
    world.publish(world.c1, "annotated", "10.1.0.8")


def divide_traffic(world: World, name: str) -> None:
    """Let a Service without local endpoints fail over, and another miss its share."""
    policy = traffic_policy(f"{world.namespace}/{name}", {"name": "c1", "tier": 1})
    world.create(world.main, policy)
    key = f"{world.namespace}/shared"
    world.declare("shared")
    world.create(world.main, endpoint_slice("shared-local", "10.9.0.1", key=key))
    world.publish(world.c1, "shared", "10.1.0.7")
    world.create(world.main, traffic_policy(key, {"name": "c1", "share": 90}))


def assert_no_metric_stands_still(prometheus: Prometheus) -> None:
    """Assert that each documented metric was above zero at some time."""
    moving = [each for each in documented_series() if not each.endswith(("_bucket", "_sum"))]
    still = {each for each in moving if not prometheus.has_data(f"{each} > 0")}
    assert still <= {MAY_STAY_ZERO}


def assert_waiting(prometheus: Prometheus, *alerts: str) -> None:
    """Assert that exactly these alerts wait until their condition has held long enough."""
    assert prometheus.alerts() == dict.fromkeys(alerts, "pending")


def assert_answers(address: str, words: str) -> None:
    """Assert that a replica is ready and says this of itself."""
    assert words in answer(address, "readyz")


def answer(address: str, path: str) -> str:
    """The response of a replica to an unauthenticated request."""
    with urllib.request.urlopen(f"http://{address}/{path}", timeout=10) as response:
        return str(response.read().decode())
