"""Remote endpoints of Services that prefer nearby endpoints."""

from __future__ import annotations

from tests.builders.manifests import endpoint, endpoint_slice

from .conftest import Draw
from .shop import APP, Shop


def test_remote_without_zones_does_not_disable_same_zone_routing(shop: Shop, draw: Draw) -> None:
    """With `PreferSameZone`, only endpoints in the zone of the client respond."""
    shop.deploy({"main": 1, "c1": 1, "c2": 1})

    shop.world.main.api.patch(
        "services", APP, shop.world.namespace, {"spec": {"trafficDistribution": "PreferSameZone"}}
    )
    shop.await_responders("main", "c1")
    load = shop.requests(1_000)
    draw(load, ())
    assert set(load.by_cluster()) == {"main", "c1"}, load.table()

    # A ready endpoint without a hint disables all hints of the Service. Its address is in no other
    # slice, because kube-proxy would use the hints there.
    shop.kubelets["c2"].run("unhinted", "another")
    unhinted = endpoint_slice(
        "unhinted",
        key=f"{shop.world.namespace}/{APP}",
        endpoints=[endpoint(shop.kubelets["c2"].addresses["unhinted"])],
        labels={"endpointslice.kubernetes.io/managed-by": "example.org"},
    )
    shop.world.main.api.create(unhinted)
    shop.await_responders("main", "c1", "c2")


def test_remote_node_with_the_same_name_is_not_local(shop: Shop, draw: Draw) -> None:
    """`internalTrafficPolicy: Local` excludes Pods on a remote node with the same name."""
    shop.deploy({"main": 1, "c1": 2})
    shop.world.main.api.patch(
        "services", APP, shop.world.namespace, {"spec": {"internalTrafficPolicy": "Local"}}
    )
    shop.await_responders("main")

    load = shop.requests(1_000)
    draw(load, ())
    assert not load.failures, load.table()
    assert set(load.by_cluster()) == {"main"}, load.table()
