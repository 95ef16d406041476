"""Pods of a remote cluster that are replaced, or become not ready, under load."""

from __future__ import annotations

import time

from tests.e2e.polling import eventually
from tests.e2e.world import RecordMeasure

from .conftest import Draw
from .shop import APP, OBSERVED_SECONDS, Shop, seconds_since


def test_rolling_update_of_a_remote_fails_no_request(shop: Shop, draw: Draw) -> None:
    """No request fails while every Pod of a remote is replaced gracefully."""
    shop.deploy({"main": 1, "c1": 3})
    before = shop.kubelets["c1"].pods

    with shop.under_load() as load:
        start = time.time()
        for pod in before:
            shop.kubelets["c1"].replace(pod, APP)
        end = time.time()
        responders = shop.responders()

    draw(load, [(start, "update"), (end, "done")])
    assert not load.failures, load.table()
    assert responders == {("main", "web-0"), *(("c1", f"{pod}-next") for pod in before)}


def test_remote_pod_that_becomes_not_ready_gets_no_new_connections(
    shop: Shop, draw: Draw, record_measure: RecordMeasure
) -> None:
    """A remote Pod gets no new connections once its change has reached the node."""
    shop.deploy({"main": 1, "c1": 2})

    address = shop.kubelets["c1"].addresses["web-0"]

    with shop.under_load() as load:
        shop.kubelets["c1"].set_ready("web-0", ready=False)
        eventually(lambda: shop.assert_ready("c1", address, ready=False))
        moment = time.time()
        eventually(lambda: shop.assert_ready("main", address, ready=False))
        record_measure("seconds until the mirror was not ready", time.time() - moment)
        left = shop.await_ready_endpoints()
        time.sleep(OBSERVED_SECONDS)  # Observe later requests.
        responders = shop.responders()

    draw(load, [(moment, "not ready")])
    assert not load.failures, load.table()
    after = [
        result for result in load.after(moment) if (result.cluster, result.pod) == ("c1", "web-0")
    ]
    record_measure(
        "seconds until a Pod that is not ready got no requests",
        max(seconds_since(moment, after), default=0),
    )
    late = [result for result in after if result.at > left]
    assert not late, f"responses in seconds after others served alone: {seconds_since(left, late)}"
    assert responders == {("main", "web-0"), ("c1", "web-1")}
