"""The requests of a controller that has nothing to do. The audit logs of the API servers know all of them."""

from __future__ import annotations

from .control_planes import CONTROLLER, READER_USER, AuditEvent, Cluster
from .controller_process import Controller
from .polling import eventually, throughout
from .world import World

QUIET_SECONDS = 40


def test_without_a_change_nothing_is_written_and_nothing_listed(linked: World) -> None:
    """For 40 s, which is several sync intervals, there is no write to the main API server and no list to any."""
    for name in ("web", "api", "db"):
        linked.declare(name)
        linked.publish(linked.c1, name, "10.1.0.1")
        linked.publish(linked.c2, name, "10.2.0.1")
    for name in ("web", "api", "db"):
        linked.await_mirrored(name, c1=["10.1.0.1"], c2=["10.2.0.1"])
    eventually(lambda: assert_counted(linked, "c1", "c2"))
    users = {linked.main: CONTROLLER, linked.c1: READER_USER, linked.c2: READER_USER}
    marks = {cluster: cluster.audit_mark() for cluster in users}

    def quiet() -> None:
        seen = {
            cluster.name: events_of(cluster, marks[cluster], user)
            for cluster, user in users.items()
        }
        assert seen == {"main": [], "c1": [], "c2": []}

    throughout(QUIET_SECONDS, quiet)


def assert_counted(world: World, *links: str) -> None:
    """Each status is final: nothing is left to be written."""
    for link in links:
        status = world.links.status(link)
        counts = (status.get("services"), status.get("slices"), status.get("endpoints"))
        assert counts == (3, 3, 3), f"the status of {link} is {status}"


def events_of(cluster: Cluster, mark: int, user: str) -> list[AuditEvent]:
    """The writes and lists of a user."""
    return [
        event for event in cluster.audit_events(mark, user) if event.writes or event.verb == "list"
    ]


def test_nothing_is_asked_for_that_was_not_granted(world: World, controller: Controller) -> None:
    """The permissions that MIRRORING lists are enough, in the main cluster and in the remotes."""
    users = {world.main: CONTROLLER, world.c1: READER_USER}
    marks = {cluster: cluster.audit_mark() for cluster in users}
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.link(world.c1)
    world.await_mirrored("web", c1=["10.1.0.1"])
    world.rewrite(world.c1, "web", "10.1.0.2")
    world.await_mirrored("web", c1=["10.1.0.2"])
    world.links.remove("c1")
    world.await_mirrored("web")

    for cluster, user in users.items():
        events = cluster.audit_events(marks[cluster], user)
        assert events
        assert [event for event in events if event.denied] == []
    assert controller.running
