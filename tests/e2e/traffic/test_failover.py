"""Ordered failover: each tier is used when those before are lost, and a standby only if allowed."""

from __future__ import annotations

import time
import urllib.request
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.controller_process import Controller
from tests.e2e.loopback_ports import reserve_ports
from tests.e2e.polling import eventually

from .conftest import Draw
from .policies import applied_policy
from .shop import APP, Shop

pytestmark = pytest.mark.any_proxy_mode
HANGING_SECONDS = 1
"""A connection without an endpoint is refused, or hangs where the kernel sends no ICMP message."""

RECOVERY_SECONDS: Final = 2


def test_tiers_are_lost_in_turn_and_come_back(shop: Shop, draw: Draw) -> None:
    """Local Pods, then c1, then c2, and back: no request fails, and each tier serves alone."""
    shop.deploy({"main": 2, "c1": 2, "c2": 2})
    tiers = ({"name": "c1", "tier": 1}, {"name": "c2", "tier": 2})
    policy = applied_policy(shop, *tiers, recoverySeconds=RECOVERY_SECONDS)
    shop.await_responders("main")

    marks: list[tuple[float, str]] = []
    with shop.under_load() as load:
        time.sleep(1)  # Observe requests before the loss.
        for lost, successor in (("main", "c1"), ("c1", "c2")):
            marks.append((time.time(), f"{lost} lost"))
            shop.kubelets[lost].terminate(*shop.kubelets[lost].pods)
            shop.await_responders(successor)
            policy.await_condition("True", "FailedOver")
        for returned in ("c1", "main"):
            marks.append((time.time(), f"{returned} back"))
            shop.kubelets[returned].run("back-0", APP)
            shop.kubelets[returned].run("back-1", APP)
            shop.await_responders(returned)
        policy.await_condition("True", "Applied")
        end = time.time()
        time.sleep(1)  # Observe later requests.

    draw(load, marks)
    assert not load.failures, load.table()
    assert {result.cluster for result in load.before(marks[0][0])} == {"main"}
    assert {result.cluster for result in load.after(end)} == {"main"}


def test_cluster_without_fallback_is_used_only_by_svclink(
    shop: Shop, controller: Controller, draw: Draw
) -> None:
    """`fallback: false`: kube-proxy alone never sends it a request, so with svclink killed none."""
    shop.deploy({"main": 2, "c1": 2})
    rule = {"name": "c1", "tier": 1, "fallback": False}
    policy = applied_policy(shop, rule, recoverySeconds=RECOVERY_SECONDS)
    shop.await_responders("main")

    with shop.under_load() as load:
        lost = time.time()
        shop.kubelets["main"].terminate(*shop.kubelets["main"].pods)
        shop.await_responders("c1")
        for pod in ("back-0", "back-1"):
            shop.kubelets["main"].run(pod, APP)
        shop.await_responders("main")
        policy.await_condition("True", "Applied")
        controller.kill()
        killed = time.time()
        shop.kubelets["main"].kill(*shop.kubelets["main"].pods)
        eventually(lambda: assert_refused(shop))
        gone = time.time()
        time.sleep(1)  # Observe later requests.

    draw(load, ())
    assert not [result for result in load.before(killed) if result.error], load.table()
    assert {result.cluster for result in load.before(lost)} == {"main"}
    assert "c1" in {result.cluster for result in load.before(killed)}
    assert {result.cluster for result in load.after(gone)} == {None}
    assert "c1" not in {result.cluster for result in load.after(killed)}


def test_service_is_down_rather_than_served_by_a_forbidden_cluster(
    shop: Shop, controller: Controller, draw: Draw
) -> None:
    """No request ever reaches it. The status, an Event and a metric say that nothing is left.

    `SvclinkNothingReady` alerts on this metric; tests/e2e/monitoring runs the rule.
    """
    (port,) = reserve_ports(1)
    controller.stop()
    controller.start(f"--listen-address=127.0.0.1:{port}")
    shop.deploy({"main": 2, "c1": 2})
    policy = applied_policy(shop, {"name": "c1", "share": 0, "fallback": False})
    shop.await_responders("main")

    with shop.under_load(rate=50, timeout=HANGING_SECONDS) as load:
        time.sleep(2)  # Observe requests before the loss.
        lost = time.time()
        shop.kubelets["main"].kill(*shop.kubelets["main"].pods)
        policy.await_condition("False", "NothingReady")
        policy.await_event("NothingReady")
        eventually(lambda: assert_metric(port, 0))
        eventually(lambda: assert_refused(shop))
        gone = time.time()
        time.sleep(2)  # Observe later requests.
        back = time.time()
        for pod in ("back-0", "back-1"):
            shop.kubelets["main"].run(pod, APP)
        shop.await_responders("main")
        policy.await_condition("True", "Applied")
        eventually(lambda: assert_metric(port, 2))

    draw(load, [(lost, "local Pods lost"), (back, "back")])
    assert set(load.by_cluster()) == {"main"}, load.table()
    while_down = [each for each in load.before(back) if each.at > gone]
    assert {result.cluster for result in while_down} == {None}


def assert_refused(shop: Shop) -> None:
    """Assert that the node refuses every connection to the Service."""
    load = shop.requests(20)
    assert len(load.failures) == len(load.results), load.table()


def assert_metric(port: int, expected: float) -> None:
    """Assert how many endpoints of the Service are active, as svclink tells Prometheus."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        families = text_string_to_metric_families(response.read().decode())
    values = [
        sample.value
        for family in families
        if family.name == "svclink_traffic_active_endpoints"
        for sample in family.samples
    ]
    assert values == [expected]
