"""A cluster is drained for maintenance under load, and used again."""

from __future__ import annotations

import time
from typing import Final

import pytest

from tests.builders.manifests import service
from tests.e2e.polling import eventually
from tests.e2e.shell import Shell
from tests.e2e.world import RecordMeasure

from .conftest import Draw
from .shop import HTTP, OBSERVED_SECONDS, Shop, seconds_since

ONLY: Final = "only"
"""A Service that has no endpoints but those of c1."""


# The commands start slowly on a busy machine.
@pytest.mark.timeout(240, func_only=True)
def test_drain_and_undrain_fail_no_request(
    shop: Shop, shell: Shell, draw: Draw, record_measure: RecordMeasure
) -> None:
    """A drained cluster gets no more connections, and no request fails, also after `undrain`.

    A Service that has nothing else is named, and its requests do not fail either.
    """
    shop.deploy({"main": 2, "c1": 2, "c2": 2})
    only = run_only_in_c1(shop)

    with shop.under_load() as load, shop.load_generator.under_load(only, rate=20) as only_load:
        start = time.time()
        said = shell("svclink drain c1 --wait").splitlines()
        drained = time.time()
        left = shop.await_responders("main", "c2")
        time.sleep(OBSERVED_SECONDS)  # Observe later requests.
        end = time.time()
        shell("svclink undrain c1")
        eventually(lambda: assert_all_answer(shop))
        back = time.time()
        time.sleep(1)  # Observe later requests.

    draw(load, [(start, "drain"), (drained, "drained"), (end, "undrain"), (back, "back")])
    assert not load.failures, load.table()
    assert (
        f"{shop.world.namespace}/{ONLY} has no other ready endpoint, so it keeps using c1" in said
    )
    late = [each for each in load.after(drained) if each.cluster == "c1" and each.at < end]
    last = max(seconds_since(drained, late), default=0.0)
    record_measure("seconds from the end of drain --wait to the last request", last)
    assert {each.cluster for each in load.after(left) if each.at < end} == {"main", "c2"}
    assert not only_load.failures, only_load.table()
    assert set(only_load.by_cluster()) == {"c1"}


def answering_clusters(shop: Shop) -> set[str | None]:
    return {cluster for cluster, _ in shop.responders()}


def assert_all_answer(shop: Shop) -> None:
    assert answering_clusters(shop) == {"main", "c1", "c2"}


def run_only_in_c1(shop: Shop) -> str:
    """Deploy a Service with Pods in c1 alone, and return its URL when it responds."""
    key = f"{shop.world.namespace}/{ONLY}"
    for name in ("main", "c1"):
        created = service(key, ports=[HTTP], selector={"app": ONLY})
        shop.world.create(shop.cluster(name), created)
    shop.kubelets["c1"].run_many(ONLY, 2)
    url = f"http://{ONLY}.{shop.world.namespace}"

    def assert_responding() -> None:
        load = shop.requests(20, url)
        assert not load.failures, load.table()

    eventually(assert_responding)
    return url
