"""The requests of an idle controller, read from the audit logs of the API servers."""

from __future__ import annotations

from .audit_log import writes_and_lists
from .control_planes import CONTROLLER, READER_USER
from .controller_process import Controller
from .polling import consistently, eventually
from .world import World

QUIET_SECONDS = 40


def test_idle_controller_neither_writes_nor_lists(linked: World) -> None:
    """An idle controller writes nothing and lists nothing during several resyncs."""
    for name in ("web", "api", "db"):
        linked.declare(name)
        linked.publish(linked.c1, name, "10.1.0.1")
        linked.publish(linked.c2, name, "10.2.0.1")
    for name in ("web", "api", "db"):
        linked.await_mirrored(name, c1=["10.1.0.1"], c2=["10.2.0.1"])
    eventually(lambda: assert_counted(linked, "c1", "c2"))
    for name in ("c1", "c2"):
        linked.links.await_event(name, "ClusterReady")
    users = {linked.main: CONTROLLER, linked.c1: READER_USER, linked.c2: READER_USER}
    marks = {cluster: cluster.audit_mark() for cluster in users}

    def assert_idle() -> None:
        requests = {
            cluster.name: writes_and_lists(cluster.audit_events(marks[cluster], user))
            for cluster, user in users.items()
        }
        assert requests == {"main": [], "c1": [], "c2": []}

    consistently(QUIET_SECONDS, assert_idle)


def assert_counted(world: World, *links: str) -> None:
    """Assert that each status is final, so that no write is pending."""
    for link in links:
        status = world.links.status(link)
        counts = (status.get("services"), status.get("slices"), status.get("endpoints"))
        assert counts == (3, 3, 3), f"the status of {link} is {status}"


def test_no_request_is_denied(world: World, controller: Controller) -> None:
    """With the documented permissions, no request is denied in the main cluster or in a remote."""
    users = {world.main: CONTROLLER, world.c1: READER_USER}
    marks = {cluster: cluster.audit_mark() for cluster in users}
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.link(world.c1)
    world.await_mirrored("web", c1=["10.1.0.1"])
    world.set_addresses(world.c1, "web", "10.1.0.2")
    world.await_mirrored("web", c1=["10.1.0.2"])
    world.links.remove("c1")
    world.await_mirrored("web")

    for cluster, user in users.items():
        events = cluster.audit_events(marks[cluster], user)
        assert events
        assert [event for event in events if event.denied] == []
    assert controller.running
