"""Pods of a remote cluster come, go and change while they are called."""

from __future__ import annotations

import time

from tests.e2e.polling import eventually
from tests.e2e.world import RecordMeasure

from .conftest import Draw
from .shop import APP, HEARD_SECONDS, Shop, seconds_since


def test_a_rolling_update_of_a_remote_fails_no_request(shop: Shop, draw: Draw) -> None:
    """Every Pod of a remote is replaced, with readiness and termination as Kubernetes does it."""
    shop.open({"main": 1, "c1": 3})
    before = shop.kubelets["c1"].pods

    with shop.under_load() as load:
        start = time.time()
        for pod in before:
            shop.kubelets["c1"].replace(pod, APP)
        end = time.time()
        answering = shop.answering()

    draw(load, [(start, "update"), (end, "done")])
    assert not load.failures, load.table()
    assert answering == {("main", "web-0"), *(("c1", f"{pod}-next") for pod in before)}


def test_a_remote_pod_that_turns_not_ready_gets_no_new_connection(
    shop: Shop, draw: Draw, record_measure: RecordMeasure
) -> None:
    """None once what the remote slice says has come to the node."""
    shop.open({"main": 1, "c1": 2})

    address = shop.kubelets["c1"].addresses["web-0"]

    with shop.under_load() as load:
        shop.kubelets["c1"].set_ready("web-0", ready=False)
        eventually(lambda: shop.says("c1", address, ready=False))
        moment = time.time()
        eventually(lambda: shop.says("main", address, ready=False))
        record_measure("seconds until svclink's slice said so", time.time() - moment)
        time.sleep(HEARD_SECONDS + 1)
        answering = shop.answering()

    draw(load, [(moment, "not ready")])
    assert not load.failures, load.table()
    after = [
        result for result in load.after(moment) if (result.cluster, result.pod) == ("c1", "web-0")
    ]
    record_measure(
        "seconds until a Pod that is not ready was left alone",
        max(seconds_since(moment, after), default=0),
    )
    late = [result for result in after if result.at > moment + HEARD_SECONDS]
    assert not late, (
        f"answers of a Pod that is not ready, so many seconds later: {seconds_since(moment, late)}"
    )
    assert answering == {("main", "web-0"), ("c1", "web-1")}
