"""No request of a Pod fails while svclink, or what it depends on, is updated, killed or restarted.

In each test, the Pods of a remote are replaced at the end: svclink must follow that in time.
"""

from __future__ import annotations

import time

from tests.e2e.polling import eventually
from tests.e2e.world import Kubectl, RecordMeasure

from .shop import SVCLINK_NAMESPACE, Shop
from .workloads import NEXT_IMAGE, POD_SECONDS


def test_rolling_update_of_a_remote(shop: Shop) -> None:
    """No request fails while all Pods of a remote are replaced."""
    with shop.under_load() as load:
        shop.change_remote("c2")

    assert not load.failures, load.table()


def test_rolling_update_of_svclink_and_rollback(shop: Shop, kubectl: Kubectl) -> None:
    """No request fails while svclink is updated to another image, and back."""
    deployment = ("deployment/svclink", "--namespace", SVCLINK_NAMESPACE)
    with shop.under_load() as load:
        kubectl("set", "image", *deployment, f"svclink={NEXT_IMAGE}")
        shop.await_svclink()
        eventually(shop.leader)
        shop.change_remote()
        kubectl("rollout", "undo", *deployment)
        shop.await_svclink()
        eventually(shop.leader)
        shop.change_remote("c2")

    assert not load.failures, load.table()


def test_evicted_leader(shop: Shop, record_measure: RecordMeasure) -> None:
    """No request fails when the leader is evicted; it hands over at once."""
    leader, holder = eventually(shop.leader), shop.holder()
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": leader, "namespace": SVCLINK_NAMESPACE},
    }
    with shop.under_load() as load:
        path = f"/api/v1/namespaces/{SVCLINK_NAMESPACE}/pods/{leader}/eviction"
        shop.main.api.request("POST", path, eviction)
        evicted = time.monotonic()
        eventually(lambda: shop.assert_other_holder(holder))
        record_measure(
            "seconds from an eviction until another process leads", time.monotonic() - evicted
        )
        shop.change_remote()

    shop.await_svclink()
    assert not load.failures, load.table()


def test_killed_leader(shop: Shop, record_measure: RecordMeasure) -> None:
    """No request fails when the process of the leader is killed; a replica takes over."""
    leader, holder = eventually(shop.leader), shop.holder()
    with shop.under_load() as load:
        shop.kill_svclink(leader)
        killed = time.monotonic()
        eventually(lambda: shop.assert_other_holder(holder), POD_SECONDS)
        record_measure("seconds from a kill until another process leads", time.monotonic() - killed)
        shop.change_remote()

    shop.await_svclink()
    assert not load.failures, load.table()


def test_restart_of_the_main_api_server(shop: Shop) -> None:
    """No request fails while the API server of main is restarted; Pods of svclink keep running."""
    before = shop.svclink_containers()
    with shop.under_load() as load:
        shop.main.kill()
        shop.main.restart()
        shop.change_remote()

    assert not load.failures, load.table()
    assert shop.svclink_containers() == before
