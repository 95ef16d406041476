"""Outages of a remote: its API server is killed or suspended."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from svclink_core.well_known import ZONE_OF_NO_NODE

from .control_planes import Cluster
from .polling import consistently, eventually
from .world import World

# How long svclink may take to report that a remote does not respond.
STATUS_SECONDS = 90

Outage = Callable[[Cluster], None]


@pytest.mark.timeout(300, func_only=True)
@pytest.mark.parametrize(
    ("start_outage", "seconds"),
    [pytest.param(Cluster.kill, 0, id="killed"), pytest.param(Cluster.pause, 60, id="stopped")],
)
def test_unreachable_remote_keeps_its_slices_and_catches_up(
    linked: World, c3: Cluster, start_outage: Outage, seconds: float
) -> None:
    """Slices of an unreachable remote stay, and it catches up afterwards.

    The outage lasts at least these seconds, and until the status reports it.
    """
    linked.link(c3)
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    kept = linked.versions("web", "c3")

    start_outage(c3)
    started = time.monotonic()
    linked.set_addresses(linked.c1, "web", "10.1.0.2")
    linked.await_mirrored("web", c1=["10.1.0.2"], c3=["10.3.0.1"])
    linked.links.await_condition("c3", "False", "Unreachable", timeout=STATUS_SECONDS)

    status = linked.links.status("c3")
    assert (status["phase"], status["connected"]) == ("NotReady", False)
    linked.set_addresses(linked.c1, "web", "10.1.0.3")
    linked.await_mirrored("web", c1=["10.1.0.3"], c3=["10.3.0.1"])
    linked.links.await_ready("c1", "c2")
    consistently(started + seconds - time.monotonic(), lambda: assert_unchanged(linked, kept))

    c3.recover()
    linked.set_addresses(c3, "web", "10.3.0.2")
    linked.await_mirrored("web", c1=["10.1.0.3"], c3=["10.3.0.2"])
    linked.links.await_ready("c3")


def assert_unchanged(world: World, versions: dict[str, tuple[str, str]]) -> None:
    """Assert that the mirrors of the unreachable remote were not written."""
    assert world.versions("web", "c3") == versions


@pytest.mark.parametrize("start_outage", [Cluster.kill, Cluster.pause], ids=["killed", "stopped"])
def test_remote_unreachable_at_start_keeps_its_slices(
    linked: World, c3: Cluster, start_outage: Outage
) -> None:
    """Mirrors of a remote that was never listed stay, and other remotes are mirrored."""
    linked.link(c3)
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    kept = linked.versions("web", "c3")
    linked.controller.stop()
    start_outage(c3)
    linked.set_addresses(linked.c1, "web", "10.1.0.2")

    linked.controller.start()

    linked.await_mirrored("web", c1=["10.1.0.2"], c3=["10.3.0.1"])
    assert linked.versions("web", "c3") == kept
    c3.recover()
    linked.set_addresses(c3, "web", "10.3.0.2")
    linked.await_mirrored("web", c1=["10.1.0.2"], c3=["10.3.0.2"])


def test_deleted_link_to_an_unreachable_remote_removes_its_slices(
    linked: World, c3: Cluster
) -> None:
    """Deleting a link deletes its slices, although its cluster does not respond."""
    linked.link(c3)
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    c3.pause()

    linked.links.remove("c3")

    linked.await_mirrored("web", c1=["10.1.0.1"])
    eventually(lambda: linked.links.await_ready("c1", "c2"))


def test_what_an_operator_does_in_an_outage_takes_effect(linked: World, c3: Cluster) -> None:
    """An exclusion, a range, a Service that becomes an ExternalName, and a topology."""
    for name in ("api", "db"):
        linked.declare(name)
        linked.publish(c3, name, "10.3.0.2")
    linked.set_addresses(c3, "web", "10.3.0.1", "10.4.0.1")
    linked.link(c3)
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1", "10.4.0.1"])
    for name in ("api", "db"):
        linked.await_mirrored(name, c3=["10.3.0.2"])
    c3.kill()
    linked.links.await_condition("c3", "False", "Unreachable", timeout=STATUS_SECONDS)

    linked.links.edit("c3", excludedServiceNames=["api"], allowedCIDRs=["10.3.0.0/16"])
    alias = {"type": "ExternalName", "externalName": "db.example.com", "clusterIP": None}
    linked.main.api.patch(
        "services",
        "db",
        linked.namespace,
        {"spec": {**alias, "clusterIP": None, "clusterIPs": None}},
    )
    topology = {"spec": {"trafficDistribution": "PreferClose"}}
    linked.main.api.patch("services", "web", linked.namespace, topology)

    linked.await_mirrored("api")
    linked.await_mirrored("db")
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])

    def follows_the_topology() -> None:
        (mirror,) = linked.mirrors("web", "c3").values()
        assert [each.get("hints") for each in mirror["endpoints"]] == [
            {"forZones": [{"name": ZONE_OF_NO_NODE}]}
        ]

    eventually(follows_the_topology)
    c3.recover()
    linked.links.await_ready("c3")
    linked.await_mirrored("api")
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
