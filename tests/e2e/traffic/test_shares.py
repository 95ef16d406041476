"""Shares of a TrafficPolicy: what a cluster gets of real requests, and that a change fails none."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests.e2e.polling import eventually
from tests.e2e.shell import Shell

from .conftest import Draw
from .policies import Policy, applied_policy
from .shop import APP, OBSERVED_SECONDS, Shop, chi_square

PODS: Final = 10

ACTIVE: Final = {0: 0, 10: 1, 25: 3, 50: 10}
"""How many remote Pods of ten are active beside ten local ones, by the wanted share."""

REQUESTS: Final = 3_000
# With one degree of freedom, a fair balance exceeds this limit in one of a million runs.
LIMIT: Final = 23.93

WATCH_SECONDS: Final = 3
"""How long `svclink shift` watches each step but the last, which ends when Pods fail."""


@pytest.mark.timeout(300, func_only=True)
def test_cluster_gets_its_reachable_share(shop: Shop, draw: Draw) -> None:
    """Ten local and ten remote Pods: each share is measured, and no change of it fails a request.

    12,000 requests as fast as possible: a busy machine needs minutes for them.
    """
    shop.deploy({"main": PODS, "c1": PODS})
    policy = applied_policy(shop)

    for share, active in ACTIVE.items():
        with shop.under_load() as load:
            policy.edit({"name": "c1", "share": share})
            shop.await_ready_endpoints()
        assert not load.failures, load.table()
        measured = shop.requests(REQUESTS)
        draw(measured, ())
        assert not measured.failures, measured.table()
        expected = {"main": PODS, "c1": active} if active else {"main": PODS}
        assert set(measured.by_cluster()) == set(expected), measured.table()
        assert chi_square(measured.by_cluster(), expected) < LIMIT, measured.table()


@pytest.mark.any_proxy_mode
def test_shift_goes_up_and_back_when_pods_fail(shop: Shop, shell: Shell, draw: Draw) -> None:
    """No request fails in a shift to half of the traffic, nor when it goes back by itself.

    Three of ten Pods of the target turn not ready, and seven are fewer than --min-ready.
    """
    shop.deploy({"main": PODS, "c1": PODS})
    policy = applied_policy(shop, {"name": "c1", "share": 0})
    shop.await_responders("main")
    shift = f"svclink shift {shop.world.namespace}/{APP} --to c1 --min-ready 8"
    failing = shop.kubelets["c1"].pods[:3]

    with shop.under_load() as load, ThreadPoolExecutor() as background:
        done = background.submit(shell, f"{shift} --steps 10,25 --every {WATCH_SECONDS}s")
        marks = [(await_active(policy, ACTIVE[share]), f"share {share}") for share in (10, 25)]
        done.result()
        set_back = background.submit(shell.run, f"{shift} --steps 50 --every 60s")
        marks.append((await_active(policy, ACTIVE[50]), "share 50"))
        shop.await_ready_endpoints()
        time.sleep(WATCH_SECONDS)  # Observe requests before Pods fail.
        marks.append((time.time(), "Pods fail"))
        for pod in failing:
            shop.kubelets["c1"].set_ready(pod, ready=False)
        result = set_back.result()
        shop.await_ready_endpoints()
        end = time.time()
        time.sleep(WATCH_SECONDS)  # Observe later requests.

    draw(load, marks)
    assert not load.failures, load.table()
    assert result.returncode == 2, result.stdout + result.stderr
    reason = "restored c1's share to 25%, because c1 had fewer than 8 ready endpoints"
    assert result.stdout.splitlines()[-1] == reason
    responders = {(each.cluster, each.pod) for each in load.after(end)}
    assert len(responders) == PODS + ACTIVE[25], responders
    assert not responders & {("c1", pod) for pod in failing}


def await_active(policy: Policy, expected: int) -> float:
    """Wait until at least this many remote endpoints are active, and return the time."""

    def check() -> float:
        (cluster,) = policy.status()["clusters"]
        assert cluster["active"] >= expected, cluster
        return time.time()

    return eventually(check)


@pytest.mark.any_proxy_mode
def test_blue_green_moves_all_new_connections_at_once(shop: Shop, draw: Draw) -> None:
    """One edit takes everything from one remote to the other, one more takes it back."""
    shop.deploy({"main": 0, "c1": 3, "c2": 3})
    blue = ({"name": "c1", "share": 100}, {"name": "c2", "share": 0})
    green = ({"name": "c1", "share": 0}, {"name": "c2", "share": 100})
    policy = applied_policy(shop, *blue)
    shop.await_responders("c1")

    marks: list[tuple[float, str]] = []
    arrivals: list[float] = []
    with shop.under_load() as load:
        for rules, cluster, name in ((green, "c2", "green"), (blue, "c1", "back to blue")):
            time.sleep(OBSERVED_SECONDS)  # Observe requests before the edit.
            marks.append((time.time(), name))
            policy.edit(*rules)
            arrivals.append(shop.await_responders(cluster))
        time.sleep(OBSERVED_SECONDS)  # Observe later requests.

    draw(load, marks)
    assert not load.failures, load.table()
    (moved, _), (back, _) = marks
    assert {result.cluster for result in load.before(moved)} == {"c1"}
    all_green, all_blue = arrivals
    assert {result.cluster for result in load.before(back) if result.at > all_green} == {"c2"}
    assert {result.cluster for result in load.after(all_blue)} == {"c1"}
