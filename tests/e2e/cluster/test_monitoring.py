"""Prometheus on a node of main scrapes the Pods of svclink.

Real: nodes, Pods, the permissions of Prometheus, Prometheus. Substituted: the Prometheus operator,
and the discovery of Pods, which Debian's Prometheus lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from svclink_core.well_known import ANNOTATION_MIRROR
from tests.builders.manifests import traffic_policy
from tests.e2e.monitoring.deployed_monitoring import documented_series
from tests.e2e.monitoring.permissions import discovered_pods
from tests.e2e.monitoring.programs import require_prometheus
from tests.e2e.monitoring.prometheus import Prometheus, running_prometheus
from tests.e2e.polling import eventually
from tests.e2e.shell import Shell

from .shop import APP, NAMESPACE, Shop
from .workloads import POD_SECONDS

PORT: Final = 9090
METRICS_PORT: Final = 8080


@pytest.fixture
def prometheus(shop: Shop, tmp_path: Path) -> Iterator[Prometheus]:
    """Prometheus, which has scraped both Pods of svclink."""
    require_prometheus()
    shop.await_svclink()
    machine = shop.main.nodes[0].machine
    terminal = Shell(tmp_path, main=shop.main.admin_kubeconfig())
    with (
        discovered_pods(shop.main, terminal) as pods,
        running_prometheus(
            pods,
            tmp_path,
            f"{machine.address}:{PORT}",
            lambda command: machine.process("prometheus", command),
        ) as running,
    ):
        addresses = {
            pod["metadata"]["name"]: f"{pod['status']['podIP']}:{METRICS_PORT}"
            for pod in shop.svclink_pods()
        }
        eventually(lambda: running.assert_scraped(addresses), POD_SECONDS)
        yield running


@pytest.fixture
def _reported(shop: Shop) -> Iterator[None]:
    """What some metrics are about: a share that the Service has anyway, and a finding."""
    api = shop.main.api
    policy = traffic_policy(f"{NAMESPACE}/{APP}", {"name": "c1", "share": 40})
    api.create(policy)
    api.patch("services", APP, NAMESPACE, {"metadata": {"annotations": {ANNOTATION_MIRROR: "?"}}})
    yield
    api.patch("services", APP, NAMESPACE, {"metadata": {"annotations": {ANNOTATION_MIRROR: None}}})
    api.delete("trafficpolicies", policy["metadata"]["name"], NAMESPACE)


@pytest.mark.usefixtures("_reported")
def test_prometheus_scrapes_the_pods(shop: Shop, prometheus: Prometheus) -> None:
    """Every metric is there, every panel of the dashboard has data, and nothing is an alert."""
    shop.change_remote()
    eventually(prometheus.assert_no_panel_is_empty)
    prometheus.assert_rules_are_evaluated()
    assert prometheus.names("svclink_.+") == documented_series()
    assert prometheus.alerts() == {}
