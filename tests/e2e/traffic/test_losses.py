"""A remote cluster is lost while its Pods are called: its API server alone, or all of its network."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.polling import eventually
from tests.e2e.world import RecordMeasure

from .conftest import Draw
from .load import BLACK_HOLE_SECONDS
from .network import POD_NETWORKS, are_forgotten, forgetting_after, ports_without_answer
from .shop import HEARD_SECONDS, Shop, seconds_since

AFTER_SECONDS = 5


@pytest.fixture(autouse=True)
def remotes_recover(shop: Shop) -> Iterator[None]:
    """Whatever a test does to the API servers of the remotes, they serve again before the Pods are taken away."""
    yield
    shop.world.c1.recover()
    shop.world.c2.recover()


@pytest.mark.any_proxy_mode
def test_a_dead_remote_api_server_fails_no_request(shop: Shop, draw: Draw) -> None:
    """Its Pods go on, and so does the traffic to them."""
    shop.open({"main": 1, "c2": 2})

    with shop.under_load() as load:
        shop.world.c2.kill()
        dead = time.time()
        shop.world.links.await_condition("c2", "False", "Unreachable")
        answering = shop.answering()
        time.sleep(1)

    draw(load, [(dead, "API server killed")])
    assert not load.failures, load.table()
    assert answering == {("main", "web-0"), ("c2", "web-0"), ("c2", "web-1")}


@pytest.mark.any_proxy_mode
def test_a_cut_off_remote_that_is_kept_fails_its_share_until_it_is_back(
    shop: Shop, draw: Draw
) -> None:
    """`Keep` never changes what nobody can check: requests to the remote fail, those to others do not."""
    shop.open({"main": 1, "c2": 1})

    with shop.under_load(rate=100, timeout=BLACK_HOLE_SECONDS) as load:
        with POD_NETWORKS["c2"].cut():
            cut = time.time()
            shop.world.c2.kill()
            time.sleep(2 * BLACK_HOLE_SECONDS)
        back = time.time()
        shop.world.c2.restart()
        shop.world.links.await_ready("c2")
        answering = shop.answering()

    draw(load, [(cut, "cut"), (back, "back")])
    # The later ones may come through yet: a lost packet is sent again.
    between = [result for result in load.results if cut < result.at < back - BLACK_HOLE_SECONDS]
    failed = [result for result in between if result.error is not None]
    assert 0.3 < len(failed) / len(between) < 0.7, load.table()
    assert answering == {("main", "web-0"), ("c2", "web-0")}


def test_an_unreachable_policy_ends_the_failures(
    shop: Shop, draw: Draw, record_measure: RecordMeasure
) -> None:
    """`NotReady` and `Remove`: soon after the deadline no request fails any more, and the traffic comes back by itself
    with the clusters."""
    shop.open({"main": 1, "c1": 1, "c2": 1})
    for name, action in (("c1", "NotReady"), ("c2", "Remove")):
        shop.world.links.edit(name, unreachable={"action": action, "afterSeconds": AFTER_SECONDS})
    shop.world.links.await_ready("c1", "c2")
    lost_ones = [shop.kubelets[name].addresses["web-0"] for name in ("c1", "c2")]

    with shop.under_load(rate=50, timeout=BLACK_HOLE_SECONDS) as load:
        with POD_NETWORKS["c1"].cut(), POD_NETWORKS["c2"].cut():
            cut = time.time()
            shop.world.c1.kill()
            shop.world.c2.kill()
            deadline = time.time() + AFTER_SECONDS
            eventually(lambda: shop.says("main", *lost_ones, ready=False))
            record_measure("seconds from the deadline to svclink's slices", time.time() - deadline)
            time.sleep(HEARD_SECONDS + 2)
        back = time.time()
        shop.world.c1.restart()
        shop.world.c2.restart()
        shop.world.links.await_ready("c1", "c2")
        shop.await_answers("main", "c1", "c2")
        time.sleep(1)

    draw(load, [(cut, "cut"), (deadline, "deadline"), (back, "back")])
    failed = [result for result in load.after(deadline) if result.error is not None]
    record_measure(
        "seconds from the deadline to the last failure",
        max(seconds_since(deadline, failed), default=0),
    )
    late = [result for result in failed if result.at > deadline + HEARD_SECONDS]
    assert not late, f"failed so many seconds after the deadline: {seconds_since(deadline, late)}"
    # One that was sent to a lost Pod could have come through later: a lost packet is sent again.
    meanwhile = [
        result.cluster for result in load.after(deadline + HEARD_SECONDS) if result.at < back
    ]
    assert set(meanwhile) == {"main"}


def test_a_new_connection_from_the_port_of_a_lost_one_follows_it(shop: Shop) -> None:
    """To the kernel it is the same one, whatever the slices say by then, until it has forgotten it."""
    shop.open({"main": 1, "c1": 1})
    with POD_NETWORKS["c1"].cut():
        remembered = shop.given_up() & ports_without_answer()
        with forgetting_after(seconds=1):
            forgotten = shop.given_up()
    shop.kubelets["c1"].set_ready("web-0", ready=False)
    shop.await_answers("main")
    eventually(lambda: are_forgotten(forgotten))

    assert shop.requests_from(remembered).by_cluster() == {"c1": len(remembered)}
    assert shop.requests_from(forgotten).by_cluster() == {"main": len(forgotten)}
