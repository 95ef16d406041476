"""Outages of a remote under load: of its API server, or of its network."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.polling import eventually
from tests.e2e.world import RecordMeasure

from .conftest import Draw
from .load import BLACK_HOLE_SECONDS
from .network import POD_NETWORKS, assert_untracked, tracking_timeout, unanswered_ports
from .shop import OBSERVED_SECONDS, Shop, seconds_since

AFTER_SECONDS = 5


@pytest.fixture(autouse=True)
def remotes_recover(shop: Shop) -> Iterator[None]:
    """Make the API servers of the remotes serve again, before the Pods are deleted."""
    yield
    shop.world.c1.recover()
    shop.world.c2.recover()


@pytest.mark.any_proxy_mode
def test_outage_of_a_remote_api_server_fails_no_request(shop: Shop, draw: Draw) -> None:
    """Pods of a remote still get requests while its API server is down."""
    shop.deploy({"main": 1, "c2": 2})

    with shop.under_load() as load:
        shop.world.c2.kill()
        dead = time.time()
        shop.world.links.await_condition("c2", "False", "Unreachable")
        responders = shop.responders()
        time.sleep(1)  # Observe later requests.

    draw(load, [(dead, "API server killed")])
    assert not load.failures, load.table()
    assert responders == {("main", "web-0"), ("c2", "web-0"), ("c2", "web-1")}


@pytest.mark.any_proxy_mode
def test_cut_off_remote_with_policy_keep_fails_its_share(shop: Shop, draw: Draw) -> None:
    """With `Keep`, requests to a remote fail while its network is down, and others do not."""
    shop.deploy({"main": 1, "c2": 1})

    with shop.under_load(rate=100, timeout=BLACK_HOLE_SECONDS) as load:
        with POD_NETWORKS["c2"].cut():
            cut = time.time()
            shop.world.c2.kill()
            time.sleep(2 * BLACK_HOLE_SECONDS)
        back = time.time()
        shop.world.c2.restart()
        shop.world.links.await_ready("c2")
        responders = shop.responders()

    draw(load, [(cut, "cut"), (back, "back")])
    # Later requests may succeed, because lost packets are retransmitted.
    between = [result for result in load.results if cut < result.at < back - BLACK_HOLE_SECONDS]
    failed = [result for result in between if result.error is not None]
    assert 0.3 < len(failed) / len(between) < 0.7, load.table()
    assert responders == {("main", "web-0"), ("c2", "web-0")}


def test_unreachable_policy_ends_the_failures(
    shop: Shop, draw: Draw, record_measure: RecordMeasure
) -> None:
    """With `NotReady` and `Remove`, failures end after the deadline, and traffic returns later."""
    shop.deploy({"main": 1, "c1": 1, "c2": 1})
    for name, action in (("c1", "NotReady"), ("c2", "Remove")):
        shop.world.links.edit(name, unreachable={"action": action, "afterSeconds": AFTER_SECONDS})
    shop.world.links.await_ready("c1", "c2")
    unreachable = [shop.kubelets[name].addresses["web-0"] for name in ("c1", "c2")]

    with shop.under_load(rate=50, timeout=BLACK_HOLE_SECONDS) as load:
        with POD_NETWORKS["c1"].cut(), POD_NETWORKS["c2"].cut():
            cut = time.time()
            shop.world.c1.kill()
            shop.world.c2.kill()
            deadline = time.time() + AFTER_SECONDS
            eventually(lambda: shop.assert_ready("main", *unreachable, ready=False))
            record_measure(
                "seconds from the deadline to the change of the mirrors", time.time() - deadline
            )
            alone = shop.await_responders("main")
            time.sleep(OBSERVED_SECONDS)  # Observe later requests.
        back = time.time()
        shop.world.c1.restart()
        shop.world.c2.restart()
        shop.world.links.await_ready("c1", "c2")
        shop.await_responders("main", "c1", "c2")
        time.sleep(1)  # Observe later requests.

    draw(load, [(cut, "cut"), (deadline, "deadline"), (back, "back")])
    failed = [result for result in load.after(deadline) if result.error is not None]
    record_measure(
        "seconds from the deadline to the last failure",
        max(seconds_since(deadline, failed), default=0),
    )
    late = [result for result in failed if result.at > alone]
    assert not late, f"failures in seconds after main served alone: {seconds_since(alone, late)}"
    # Requests to an unreachable Pod may succeed later, because lost packets are retransmitted.
    assert {result.cluster for result in load.after(alone) if result.at < back} == {"main"}


def test_connection_from_the_port_of_a_tracked_one_reaches_the_same_pod(shop: Shop) -> None:
    """While the kernel tracks an unanswered connection, its port leads to the same Pod."""
    shop.deploy({"main": 1, "c1": 1})
    with POD_NETWORKS["c1"].cut():
        tracked = shop.abandoned_ports() & unanswered_ports()
        with tracking_timeout(seconds=1):
            untracked = shop.abandoned_ports()
    shop.kubelets["c1"].set_ready("web-0", ready=False)
    shop.await_responders("main")
    eventually(lambda: assert_untracked(untracked))

    assert shop.requests_from(tracked).by_cluster() == {"c1": len(tracked)}
    assert shop.requests_from(untracked).by_cluster() == {"main": len(untracked)}
