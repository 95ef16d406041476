"""A program in the main cluster reaches the Pods of all three clusters by the name and the address of its Service."""

from __future__ import annotations

from .conftest import Draw
from .shop import APP, Shop, chi_square

REQUESTS = 3_000
# Two degrees of freedom: chance alone goes beyond this in one run of a million.
LIMIT = 27.63
PODS = {"main": 2, "c1": 3, "c2": 5}


def test_answers_come_from_every_cluster_in_proportion_to_its_ready_endpoints(
    shop: Shop, draw: Draw
) -> None:
    """By DNS name, by cluster IP, and by its IPv6 twin on a dual-stack Service."""
    shop.open(PODS, ipFamilyPolicy="RequireDualStack")
    ipv4, ipv6 = shop.world.main.api.get("services", APP, shop.world.namespace)["spec"][
        "clusterIPs"
    ]

    for url in (shop.url, f"http://{ipv4}", f"http://[{ipv6}]"):
        load = shop.requests(REQUESTS, url)
        draw(load, ())
        assert not load.failures, url
        assert chi_square(load.by_cluster(), PODS) < LIMIT, f"{url}: {load.by_cluster()}"
