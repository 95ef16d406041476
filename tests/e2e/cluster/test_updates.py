"""No request of a Pod fails while svclink, or what it depends on, is updated, killed or restarted.

In each test, the Pods of a remote are replaced at the end: svclink must follow that in time.
"""

from __future__ import annotations

from tests.e2e.polling import eventually

from .shop import SVCLINK_NAMESPACE, Shop
from .workloads import POD_SECONDS


def test_rolling_update_of_a_remote(shop: Shop) -> None:
    """No request fails while all Pods of a remote are replaced."""
    with shop.under_load() as load:
        shop.change_remote("c2")

    assert not load.failures, load.table()


def test_rolling_update_of_svclink(shop: Shop) -> None:
    """No request fails while both Pods of svclink are replaced."""
    with shop.under_load() as load:
        shop.main.restart_deployment("svclink", SVCLINK_NAMESPACE)
        shop.change_remote()

    assert not load.failures, load.table()


def test_killed_leader(shop: Shop) -> None:
    """No request fails when the process of the leader is killed, and the other takes over."""
    leader = eventually(shop.leader)
    with shop.under_load() as load:
        shop.kill_svclink(leader)
        eventually(lambda: shop.assert_other_leader(leader), POD_SECONDS)
        shop.change_remote()

    shop.await_svclink()
    assert not load.failures, load.table()
