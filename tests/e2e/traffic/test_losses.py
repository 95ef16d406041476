"""A remote cluster is lost while its Pods are called: its API server alone, or all of its network."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.world import RecordMeasure

from .conftest import Draw
from .load import under_load
from .network import POD_NETWORKS
from .shop import HEARD_SECONDS, Shop, seconds_since

AFTER_SECONDS = 5


@pytest.fixture
def c2_recovers(shop: Shop) -> Iterator[None]:
    """Whatever a test does to the API server of c2, it serves again before the Pods are taken away."""
    yield
    shop.world.c2.recover()


@pytest.mark.usefixtures("c2_recovers")
def test_a_dead_remote_api_server_fails_no_request(shop: Shop, draw: Draw) -> None:
    """Its Pods go on, and so does the traffic to them."""
    shop.open({"main": 1, "c2": 2})

    with under_load(shop.url) as load:
        shop.world.c2.kill()
        dead = time.time()
        shop.world.links.await_condition("c2", "False", "Unreachable")
        time.sleep(3)

    draw(load, [(dead, "API server killed")])
    assert not load.failures, load.table()
    assert {result.cluster for result in load.after(dead + 1)} == {"main", "c2"}


@pytest.mark.usefixtures("c2_recovers")
def test_a_cut_off_remote_that_is_kept_fails_its_share_until_it_is_back(shop: Shop, draw: Draw) -> None:
    """`Keep` never changes what nobody can check: requests to the remote fail, those to others do not."""
    shop.open({"main": 1, "c2": 1})

    with under_load(shop.url, rate=100) as load:
        with POD_NETWORKS["c2"].cut():
            cut = time.time()
            shop.world.c2.kill()
            time.sleep(4)
        back = time.time()
        shop.world.c2.restart()
        shop.world.links.await_ready("c2")
        time.sleep(2)

    draw(load, [(cut, "cut"), (back, "back")])
    between = [result for result in load.results if cut < result.at < back]
    failed = [result for result in between if result.error is not None]
    assert 0.3 < len(failed) / len(between) < 0.7, load.table()
    assert not [result for result in load.after(back) if result.error is not None], load.table()
    assert {result.cluster for result in load.after(back)} == {"main", "c2"}


@pytest.mark.usefixtures("c2_recovers")
@pytest.mark.parametrize("action", ["NotReady", "Remove"])
def test_an_unreachable_policy_ends_the_failures(
    shop: Shop, draw: Draw, record_measure: RecordMeasure, action: str
) -> None:
    """Soon after the deadline no request fails any more, and the traffic comes back with the cluster."""
    shop.open({"main": 1, "c2": 1})
    shop.world.links.edit("c2", unreachable={"action": action, "afterSeconds": AFTER_SECONDS})
    shop.world.links.await_ready("c2")

    with under_load(shop.url, rate=100) as load:
        with POD_NETWORKS["c2"].cut():
            cut = time.time()
            shop.world.c2.kill()
            shop.world.links.await_condition("c2", "False", "Unreachable")
            deadline = time.time() + AFTER_SECONDS
            time.sleep(AFTER_SECONDS + 3)
        back = time.time()
        shop.world.c2.restart()
        shop.world.links.await_ready("c2")
        shop.await_answers("main", "c2")
        end = time.time()

    draw(load, [(cut, "cut"), (deadline, "deadline"), (back, "back")])
    after = [result for result in load.after(deadline) if result.error is not None]
    record_measure("seconds from the deadline to the last failure", max(seconds_since(deadline, after), default=0))
    late = [result for result in load.after(deadline + HEARD_SECONDS) if result.error is not None]
    assert not late, f"failed so many seconds after the deadline: {seconds_since(deadline, late)}"
    assert {result.cluster for result in load.after(end - 1.5)} == {"main", "c2"}
