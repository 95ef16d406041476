"""Services that differ between the clusters, that only a remote has, and that move from one cluster to another."""

from __future__ import annotations

import time

import pytest

from tests.e2e.controller_process import Controller
from tests.e2e.polling import eventually

from .conftest import Draw
from .shop import APP, HTTP, Shop


@pytest.mark.any_proxy_mode
def test_a_port_of_another_name_is_translated_and_one_without_partner_is_reported(
    shop: Shop, draw: Draw
) -> None:
    """`web` of c1 has the number of the main Service's `http` and works; `admin` of c2 has neither name nor number."""
    shop.declare("main")
    shop.declare("c1", HTTP | {"name": "web"})
    shop.declare("c2", HTTP | {"name": "admin", "port": 8443})
    for name in ("main", "c1", "c2"):
        shop.kubelets[name].run_many(APP, 1)
    shop.world.link(shop.world.c1, shop.world.c2)
    shop.await_answers("main", "c1")

    load = shop.requests(500)
    draw(load, ())
    assert set(load.by_cluster()) == {"main", "c1"}, load.table()
    degraded = shop.world.links.await_condition("c2", "True", "PortMismatch", kind="Degraded")
    assert f"{shop.world.namespace}/{APP}" in degraded["message"]
    assert shop.condition("c1", "Degraded")["status"] == "False"


@pytest.mark.any_proxy_mode
def test_a_created_service_works_by_name_without_anything_else_done(
    shop: Shop, controller: Controller, draw: Draw
) -> None:
    """Only c1 has it. With --sync-services-to-local-cluster it answers in the main cluster."""
    controller.kill()
    controller.start("--sync-services-to-local-cluster=true")
    shop.world.delete_at_end("services", APP, shop.world.namespace)
    shop.declare("c1")
    shop.kubelets["c1"].run_many(APP, 2)
    shop.world.link(shop.world.c1)
    shop.await_answers("c1")

    load = shop.requests(500)
    draw(load, ())
    assert not load.failures, load.table()
    assert set(load.by_cluster()) == {"c1"}


def test_a_service_moves_to_a_remote_and_back_without_a_failed_request(
    shop: Shop, draw: Draw
) -> None:
    """In the main cluster it is scaled to zero while the remote takes over, and up again while that is scaled down."""
    shop.open({"main": 2, "c1": 2})

    with shop.under_load() as load:
        start = time.time()
        shop.kubelets["main"].end(*shop.kubelets["main"].pods)
        moved = time.time()
        while_away = shop.answering()
        for pod in ("back-0", "back-1"):
            shop.kubelets["main"].run(pod, APP)
        eventually(lambda: shop.kubelets["main"].is_published("back-1", APP))
        returning = time.time()
        shop.kubelets["c1"].end(*shop.kubelets["c1"].pods)
        back = time.time()
        afterwards = shop.answering()

    moments = [
        (start, "main to zero"),
        (moved, "moved"),
        (returning, "remote to zero"),
        (back, "back"),
    ]
    draw(load, moments)
    assert not load.failures, load.table()
    assert while_away == {("c1", "web-0"), ("c1", "web-1")}
    assert afterwards == {("main", "back-0"), ("main", "back-1")}
