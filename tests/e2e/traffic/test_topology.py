"""Where the main Service prefers near endpoints, remote ones take part as they should."""

from __future__ import annotations

from tests.builders.manifests import endpoint, endpoint_slice

from .conftest import Draw
from .shop import APP, Shop


def test_clients_stay_in_their_zone_and_a_remote_without_zones_does_not_end_that(
    shop: Shop, draw: Draw
) -> None:
    """`PreferSameZone`: endpoints of the client's zone answer, remote ones too. One ready endpoint without a hint ends
    it for the whole Service, which is why svclink gives a hint to each."""
    shop.open({"main": 1, "c1": 1, "c2": 1})

    shop.world.main.api.patch(
        "services", APP, shop.world.namespace, {"spec": {"trafficDistribution": "PreferSameZone"}}
    )
    shop.await_answers("main", "c1")
    load = shop.requests(1_000)
    draw(load, ())
    assert set(load.by_cluster()) == {"main", "c1"}, load.table()

    # Of an address that is in two slices, kube-proxy takes the hints of either: this endpoint is in no other.
    shop.kubelets["c2"].run("by-hand", "another")
    unhinted = endpoint_slice(
        "by-hand",
        key=f"{shop.world.namespace}/{APP}",
        endpoints=[endpoint(shop.kubelets["c2"].addresses["by-hand"])],
        labels={"endpointslice.kubernetes.io/managed-by": "by-hand"},
    )
    shop.world.main.api.create(unhinted)
    shop.await_answers("main", "c1", "c2")


def test_a_remote_node_of_the_same_name_is_not_taken_for_the_local_one(
    shop: Shop, draw: Draw
) -> None:
    """`internalTrafficPolicy: Local` sends nothing to the Pods of c1, whose node is called like the client's."""
    shop.open({"main": 1, "c1": 2})
    shop.world.main.api.patch(
        "services", APP, shop.world.namespace, {"spec": {"internalTrafficPolicy": "Local"}}
    )
    shop.await_answers("main")

    load = shop.requests(1_000)
    draw(load, ())
    assert not load.failures, load.table()
    assert set(load.by_cluster()) == {"main"}, load.table()
