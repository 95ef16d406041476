"""Services that differ between clusters, that only a remote has, or that move."""

from __future__ import annotations

import time

import pytest

from tests.e2e.controller_process import Controller
from tests.e2e.polling import eventually

from .conftest import Draw
from .shop import APP, HTTP, Shop


@pytest.mark.any_proxy_mode
def test_ports_are_matched_by_number_or_reported(shop: Shop, draw: Draw) -> None:
    """Port `web` of c1 matches `http` by number and works; `admin` of c2 matches nothing."""
    shop.declare("main")
    shop.declare("c1", HTTP | {"name": "web"})
    shop.declare("c2", HTTP | {"name": "admin", "port": 8443})
    for name in ("main", "c1", "c2"):
        shop.kubelets[name].run_many(APP, 1)
    shop.world.link(shop.world.c1, shop.world.c2)
    shop.await_responders("main", "c1")

    load = shop.requests(500)
    draw(load, ())
    assert set(load.by_cluster()) == {"main", "c1"}, load.table()
    degraded = shop.world.links.await_condition("c2", "True", "PortMismatch", kind="Degraded")
    assert f"{shop.world.namespace}/{APP}" in degraded["message"]
    assert shop.condition("c1", "Degraded")["status"] == "False"


@pytest.mark.any_proxy_mode
def test_created_service_responds_by_name(shop: Shop, controller: Controller, draw: Draw) -> None:
    """With --sync-services-to-local-cluster, a Service that only c1 has responds in main."""
    controller.kill()
    controller.start("--sync-services-to-local-cluster=true")
    shop.world.delete_at_end("services", APP, shop.world.namespace)
    shop.declare("c1")
    shop.kubelets["c1"].run_many(APP, 2)
    shop.world.link(shop.world.c1)
    shop.await_responders("c1")

    load = shop.requests(500)
    draw(load, ())
    assert not load.failures, load.table()
    assert set(load.by_cluster()) == {"c1"}


def test_service_moves_to_a_remote_and_back_without_failures(shop: Shop, draw: Draw) -> None:
    """No request fails while Pods are scaled to zero in main, then up again, then to zero in c1."""
    shop.deploy({"main": 2, "c1": 2})

    with shop.under_load() as load:
        start = time.time()
        shop.kubelets["main"].terminate(*shop.kubelets["main"].pods)
        moved = time.time()
        while_moved = shop.responders()
        for pod in ("back-0", "back-1"):
            shop.kubelets["main"].run(pod, APP)
        eventually(lambda: shop.kubelets["main"].assert_published("back-1", APP))
        returning = time.time()
        shop.kubelets["c1"].terminate(*shop.kubelets["c1"].pods)
        back = time.time()
        afterwards = shop.responders()

    moments = [
        (start, "main to zero"),
        (moved, "moved"),
        (returning, "remote to zero"),
        (back, "back"),
    ]
    draw(load, moments)
    assert not load.failures, load.table()
    assert while_moved == {("c1", "web-0"), ("c1", "web-1")}
    assert afterwards == {("main", "back-0"), ("main", "back-1")}
