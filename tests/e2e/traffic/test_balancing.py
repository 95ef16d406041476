"""Requests to a Service of the main cluster reach the Pods of all three clusters."""

from __future__ import annotations

from .conftest import Draw
from .shop import APP, Shop, chi_square

REQUESTS = 3_000
# With two degrees of freedom, a fair balance exceeds this limit in one of a million runs.
LIMIT = 27.63
PODS = {"main": 2, "c1": 3, "c2": 5}


def test_requests_are_balanced_over_the_endpoints_of_all_clusters(shop: Shop, draw: Draw) -> None:
    """Each cluster gets its share by DNS name, by IPv4 address and by IPv6 address."""
    shop.deploy(PODS, ipFamilyPolicy="RequireDualStack")
    ipv4, ipv6 = shop.world.main.api.get("services", APP, shop.world.namespace)["spec"][
        "clusterIPs"
    ]

    for url in (shop.url, f"http://{ipv4}", f"http://[{ipv6}]"):
        load = shop.requests(REQUESTS, url)
        draw(load, ())
        assert not load.failures, url
        assert chi_square(load.by_cluster(), PODS) < LIMIT, f"{url}: {load.by_cluster()}"
