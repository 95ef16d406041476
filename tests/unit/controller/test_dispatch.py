"""Which lane of the queue a change of the state goes to."""

from __future__ import annotations

import pytest

from svclink_controller.dispatch import lane_of
from svclink_controller.reconcile.workqueue import OWN_LANE, SWEEP_LANE
from svclink_core.well_known import MAIN


@pytest.mark.parametrize(("cluster", "lane"), [("c1", "c1"), (MAIN, OWN_LANE), (None, SWEEP_LANE)])
def test_each_remote_cluster_has_a_lane(cluster: str | None, lane: str) -> None:
    """The main cluster uses that of the queue, and what concerns every Service one for all."""
    assert lane_of(cluster) == lane
