"""Proxies on the way to every API server that cut connections on which nothing happens."""

from __future__ import annotations

from typing import Final

import pytest

from .audit_log import writes_and_lists
from .control_planes import CONTROLLER, CONTROLLER_NAMESPACE, READER_USER
from .fault_proxy import FaultProxy, ProxyTo
from .faults import CuttingIdle
from .polling import consistently, eventually
from .world import World

IDLE_SECONDS: Final = 5
QUIET_SECONDS: Final = 25


@pytest.fixture
def proxies(proxy_to: ProxyTo, world: World) -> list[FaultProxy]:
    """The controller mirrors `web` from c1, through proxies to main and to c1."""
    main, c1 = proxy_to(world.main, terminates_tls=True, user=CONTROLLER), proxy_to(world.c1)
    entry = main.cluster_entry
    world.controller.set_kubeconfig(
        world.main.kubeconfig({}, namespace=CONTROLLER_NAMESPACE, **entry)
    )
    world.controller.start()
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.links.add("c1", world.c1.kubeconfig({"token": world.c1.token()}, **c1.cluster_entry))
    world.links.await_ready("c1")
    world.await_mirrored("web", c1=["10.1.0.1"])
    return [main, c1]


def test_cut_watches_go_on_without_a_list(proxies: list[FaultProxy], world: World) -> None:
    """Watches that a proxy ends over and over are resumed: no list, no Event, no status change."""
    eventually(lambda: assert_counted(world))
    world.links.await_event("c1", "ClusterReady")
    users = {world.main: CONTROLLER, world.c1: READER_USER}
    marks = {cluster: cluster.audit_mark() for cluster in users}

    for proxy in proxies:
        proxy.fail(CuttingIdle(IDLE_SECONDS))

    def assert_idle() -> None:
        requests = {
            cluster.name: writes_and_lists(cluster.audit_events(marks[cluster], user))
            for cluster, user in users.items()
        }
        assert requests == {"main": [], "c1": []}

    consistently(QUIET_SECONDS, assert_idle)
    assert watches_of(world, marks[world.c1]) >= 4, "the proxy cut no watch"
    world.set_addresses(world.c1, "web", "10.1.0.2")
    world.await_mirrored("web", c1=["10.1.0.2"])


def assert_counted(world: World) -> None:
    """Assert that the status is final, so that no write is pending."""
    status = world.links.status("c1")
    assert (status.get("services"), status.get("slices"), status.get("endpoints")) == (1, 1, 1)


def watches_of(world: World, mark: int) -> int:
    """How many watches of c1 the controller started after a mark."""
    events = world.c1.audit_events(mark, READER_USER)
    return sum(event.verb == "watch" and event.stage == "ResponseStarted" for event in events)
