"""A node of main dies with the leader on it, and returns."""

from __future__ import annotations

import time

import pytest

from tests.e2e.polling import eventually
from tests.e2e.world import RecordMeasure

from .probe import Probe
from .shop import Shop

TAKEOVER_SECONDS = 60.0


def test_node_of_the_leader_dies(shop: Shop, probe: Probe, record_measure: RecordMeasure) -> None:
    """The other replica takes over, no request to Pods elsewhere fails, and the node returns."""
    node = shop.main.nodes[1]
    shop.lead_from(node.name)
    holder = shop.holder()
    probe.await_mirrored(probe.change())

    with shop.under_load() as load:
        node.kill()
        died = time.monotonic()
        # The API server still says that the node and its Pods are ready.
        with pytest.raises(AssertionError, match="exited"):
            shop.main.assert_ready()
        with pytest.raises(AssertionError, match="False"):
            shop.assert_svclink()
        changed = probe.change()
        eventually(lambda: shop.assert_other_holder(holder), TAKEOVER_SECONDS)
        record_measure(
            "seconds from the death of a node to another leading process", time.monotonic() - died
        )
        probe.await_mirrored(changed)
        record_measure("seconds for which a change was not mirrored", time.monotonic() - died)
        shop.change_remote()

    node.restart()
    eventually(shop.main.assert_ready, TAKEOVER_SECONDS)
    shop.await_svclink()
    assert not load.failures, load.table()
