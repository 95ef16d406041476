"""Two replicas for one main cluster: one leads, the other takes over, and they never both write.

Each replica has its own user, so that the audit log of the main cluster distinguishes them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from .audit_log import AuditEvent
from .control_planes import CONTROLLER_NAMESPACE
from .controller_process import Controller, new_controller
from .polling import eventually
from .world import RecordMeasure, World

A: Final = "svclink-a"
B: Final = "svclink-b"
TAKEOVER_SECONDS: Final = 60


@dataclass
class Replica:
    """One controller, and its requests in the audit log."""

    world: World
    name: str
    controller: Controller
    created: int

    def writes(self, since: int | None = None) -> list[AuditEvent]:
        """Its write requests, also for Leases, after a mark or since its creation."""
        events = self.world.main.audit_events(self.created if since is None else since, self.name)
        return [event for event in events if event.writes]

    def assert_standby(self) -> None:
        """Assert that it read the Lease, and is connected to the remote."""
        events = self.world.main.audit_events(self.created, self.name)
        assert any(event.resource == "leases" for event in events)
        assert "cluster connected" in self.controller.tail()

    def assert_exited(self) -> None:
        assert not self.controller.running


@pytest.fixture
def replicas(world: World, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    """The first replica leads and mirrors the Service `web` from c1; the second stands by."""
    leader, standby = (create_replica(world, name, tmp_path) for name in (A, B))
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    try:
        leader.controller.start("--leader-elect=true")
        world.link(world.c1)
        world.await_mirrored("web", c1=["10.1.0.1"])
        standby.controller.start("--leader-elect=true")
        eventually(standby.assert_standby)
        yield leader, standby
    finally:
        for replica in (leader, standby):
            if replica.controller.running:
                replica.controller.resume()
                replica.controller.stop()
        world.main.api.delete("leases", "svclink", CONTROLLER_NAMESPACE)


def create_replica(world: World, name: str, directory: Path) -> Replica:
    controller = new_controller(world.main.controller_kubeconfig(name), directory, name)
    return Replica(world, name, controller, world.main.audit_mark())


def holder_of(world: World) -> str:
    """The holder of the Lease."""
    return str(
        world.main.api.get("leases", "svclink", CONTROLLER_NAMESPACE)["spec"]["holderIdentity"]
    )


def test_suspended_leader_is_replaced_and_exits_without_writing(
    world: World, replicas: tuple[Replica, Replica], record_measure: RecordMeasure
) -> None:
    """The standby takes over after SIGSTOP, and the old leader writes nothing after SIGCONT."""
    old, new = replicas
    assert new.writes() == []
    old.controller.pause()
    suspended = time.monotonic()
    world.set_addresses(world.c1, "web", "10.1.0.2")
    eventually(lambda: world.assert_mirrored("web", c1=["10.1.0.2"]), timeout=TAKEOVER_SECONDS)
    record_measure(
        "seconds from SIGSTOP of the leader to the first write of its successor",
        time.monotonic() - suspended,
    )
    mark = world.main.audit_mark()
    world.set_addresses(world.c1, "web", "10.1.0.3")

    old.controller.resume()

    eventually(old.assert_exited)
    world.await_mirrored("web", c1=["10.1.0.3"])
    assert old.writes(since=mark) == []
    assert new.controller.running


def test_terminated_leader_releases_the_lease(
    world: World, replicas: tuple[Replica, Replica]
) -> None:
    """After SIGTERM the leader releases its Lease, and the standby writes."""
    old, new = replicas
    holder = holder_of(world)
    assert old.controller.stop() == 0
    assert holder_of(world) != holder
    mark = world.main.audit_mark()

    world.set_addresses(world.c1, "web", "10.1.0.2")

    world.await_mirrored("web", c1=["10.1.0.2"])
    assert new.writes(since=mark)
    assert old.writes(since=mark) == []
    assert new.controller.stop() == 0


def test_terminated_standby_leaves_the_leader_at_work(
    world: World, replicas: tuple[Replica, Replica]
) -> None:
    """A standby that exits has written nothing, and the leader goes on."""
    leader, standby = replicas
    assert standby.controller.stop() == 0
    assert standby.writes() == []
    world.set_addresses(world.c1, "web", "10.1.0.2")
    world.await_mirrored("web", c1=["10.1.0.2"])
    assert leader.controller.running
