"""Requests from Pod to Pod over three clusters."""

from __future__ import annotations

from tests.e2e.traffic.shop import chi_square

from .shop import PODS, Shop

REQUESTS = 3_000
# With two degrees of freedom, a fair balance exceeds this limit in one of a million runs.
LIMIT = 27.63


def test_requests_of_a_pod_are_balanced_over_three_clusters(shop: Shop) -> None:
    """A Pod that requests `http://web.shop` reaches the Pods of all clusters equally often."""
    load = shop.requests(REQUESTS)

    assert not load.failures, load.table()
    assert chi_square(load.by_cluster(), PODS) < LIMIT, load.table()
