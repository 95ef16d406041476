"""Local endpoints first: remote ones are used while too few local ones are ready, and no longer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.controller_process import Controller
from tests.e2e.polling import eventually
from tests.e2e.world import RecordMeasure

from .conftest import Draw
from .destinations import recorded_destinations
from .policies import applied_policy
from .shop import APP, OBSERVED_SECONDS, Shop, seconds_since

RECOVERY_SECONDS: Final = 4


@pytest.mark.parametrize("is_killed", [False, True], ids=["svclink-runs", "svclink-killed"])
def test_remotes_serve_at_once_when_all_local_pods_are_deleted(
    shop: Shop,
    controller: Controller,
    draw: Draw,
    record_measure: RecordMeasure,
    tmp_path: Path,
    *,
    is_killed: bool,
) -> None:
    """Only requests on their way to the deleted Pods fail; the kernel says where each one went.

    No remote Pod gets a request before. If svclink does not run, kube-proxy uses the standby alone.
    """
    shop.deploy({"main": 3, "c1": 3})
    applied_policy(shop, {"name": "c1", "tier": 1})
    shop.await_responders("main")
    deleted = dict(shop.kubelets["main"].addresses)
    if is_killed:
        controller.kill()

    with shop.under_load() as load, recorded_destinations(tmp_path / "events") as destinations:
        time.sleep(OBSERVED_SECONDS)  # Observe requests before the loss.
        lost = time.time()
        shop.kubelets["main"].kill(*deleted)
        eventually(lambda: shop.assert_ready("main", *deleted.values(), ready=False))
        served = shop.await_responders("c1")
        time.sleep(OBSERVED_SECONDS)  # Observe later requests.
    went = destinations.by_port()

    draw(load, ())
    record_measure("requests on their way to deleted Pods", len(load.failures))
    assert {result.cluster for result in load.before(lost)} == {"main"}
    assert {went.get(result.port or 0) for result in load.failures} <= set(deleted.values())
    late = [result for result in load.failures if result.at > served]
    assert not late, f"failures in seconds after c1 served alone: {seconds_since(served, late)}"
    assert {result.cluster for result in load.after(served)} == {"c1"}


@pytest.mark.any_proxy_mode
def test_remote_share_rises_and_falls_once(
    shop: Shop, draw: Draw, record_measure: RecordMeasure
) -> None:
    """`minReady: 3`, five local Pods, then two, then five: the remote is left after the recovery.

    The generation of the mirrored slice counts its changes.
    """
    shop.deploy({"main": 5, "c1": 3})
    rule = {"name": "c1", "tier": 1}
    policy = applied_policy(shop, rule, minReady=3, recoverySeconds=RECOVERY_SECONDS)
    shop.await_responders("main")
    remote = [*shop.kubelets["c1"].addresses.values()]
    generation = mirror_generation(shop)

    with shop.under_load() as load:
        down = time.time()
        shop.kubelets["main"].terminate("web-2", "web-3", "web-4")
        shop.await_responders("main", "c1")
        policy.await_condition("True", "FailedOver")
        up = time.time()
        for pod in ("next-2", "next-3", "next-4"):
            shop.kubelets["main"].run(pod, APP)
        eventually(lambda: shop.assert_ready("main", *remote, ready=False))
        fallen = time.time()
        left = shop.await_responders("main")
        time.sleep(OBSERVED_SECONDS)  # Observe later requests.

    draw(load, [(down, "5 → 2 local Pods"), (up, "2 → 5 local Pods"), (fallen, "recovered")])
    record_measure("seconds until the remote was left", fallen - up)
    assert not load.failures, load.table()
    assert fallen - up >= RECOVERY_SECONDS
    assert mirror_generation(shop) == generation + 2
    assert {result.cluster for result in load.before(down)} == {"main"}
    assert {result.cluster for result in load.after(left)} == {"main"}


def mirror_generation(shop: Shop) -> int:
    """The generation of the only mirrored slice: how often its endpoints changed."""
    (mirror,) = shop.world.mirrors(APP, "c1").values()
    return int(mirror["metadata"]["generation"])
