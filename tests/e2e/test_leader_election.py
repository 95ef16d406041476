"""Two replicas for one main cluster: one works, the other takes over, and they never both write.

Each has a user of its own, so that the audit log of the main cluster tells them apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from .control_planes import CONTROLLER_NAMESPACE, AuditEvent
from .controller_process import Controller
from .polling import eventually
from .world import RecordMeasure, World

A: Final = "svclink-a"
B: Final = "svclink-b"
TAKEOVER_SECONDS: Final = 60


@dataclass
class Replica:
    """One controller, and what the API server saw of it."""

    world: World
    name: str
    controller: Controller
    made: int

    def writes(self, since: int | None = None) -> list[AuditEvent]:
        """What it tried to write, a Lease or anything else, after a mark in the audit log or ever."""
        events = self.world.main.audit_events(self.made if since is None else since, self.name)
        return [event for event in events if event.writes]

    def stands_by(self) -> None:
        """Assert that it looked at the Lease, and knows the remote."""
        events = self.world.main.audit_events(self.made, self.name)
        assert any(event.resource == "leases" for event in events)
        assert "cluster connected" in self.controller.tail()

    def is_gone(self) -> None:
        assert not self.controller.running


@pytest.fixture
def replicas(world: World, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    """The first leads and has mirrored a Service `web` of `c1`, the second stands by and has written nothing."""
    made = [make(world, name, tmp_path) for name in (A, B)]
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    try:
        made[0].controller.start("--leader-elect=true")
        world.link(world.c1)
        world.await_mirrored("web", c1=["10.1.0.1"])
        made[1].controller.start("--leader-elect=true")
        eventually(made[1].stands_by)
        yield made[0], made[1]
    finally:
        for replica in made:
            if replica.controller.running:
                replica.controller.resume()
                replica.controller.stop()
        world.main.api.delete("leases", "svclink", CONTROLLER_NAMESPACE)


def make(world: World, name: str, directory: Path) -> Replica:
    kubeconfig = directory / f"{name}.kubeconfig"
    kubeconfig.write_text(world.main.controller_kubeconfig(name), encoding="utf-8")
    return Replica(
        world, name, Controller(kubeconfig, directory / f"{name}.log"), world.main.audit_mark()
    )


def holder_of(world: World) -> str:
    """Who the Lease says is leading."""
    return str(
        world.main.api.get("leases", "svclink", CONTROLLER_NAMESPACE)["spec"]["holderIdentity"]
    )


def test_a_leader_that_stands_still_is_replaced_and_writes_nothing_when_it_wakes_up(
    world: World, replicas: tuple[Replica, Replica], record_measure: RecordMeasure
) -> None:
    """After SIGSTOP the standby takes over; after SIGCONT the old leader has changes to make, and makes none."""
    old, new = replicas
    assert new.writes() == []
    old.controller.pause()
    stopped = time.monotonic()
    world.rewrite(world.c1, "web", "10.1.0.2")
    eventually(lambda: world.shows("web", c1=["10.1.0.2"]), timeout=TAKEOVER_SECONDS)
    record_measure(
        "seconds from SIGSTOP of the leader to the first write of its successor",
        time.monotonic() - stopped,
    )
    mark = world.main.audit_mark()
    world.rewrite(world.c1, "web", "10.1.0.3")

    old.controller.resume()

    eventually(old.is_gone)
    world.await_mirrored("web", c1=["10.1.0.3"])
    assert old.writes(since=mark) == []
    assert new.controller.running


def test_a_leader_that_is_told_to_end_gives_up_the_lease(
    world: World, replicas: tuple[Replica, Replica]
) -> None:
    """After SIGTERM the standby writes, though the Lease would have been good for longer; both ended well."""
    old, new = replicas
    holder = holder_of(world)
    assert old.controller.stop() == 0
    assert holder_of(world) != holder
    mark = world.main.audit_mark()

    world.rewrite(world.c1, "web", "10.1.0.2")

    world.await_mirrored("web", c1=["10.1.0.2"])
    assert new.writes(since=mark)
    assert old.writes(since=mark) == []
    assert new.controller.stop() == 0


def test_a_standby_that_ends_changes_nothing(
    world: World, replicas: tuple[Replica, Replica]
) -> None:
    """The end of a replica that does not lead is not noticed by anybody."""
    leading, standby = replicas
    assert standby.controller.stop() == 0
    assert standby.writes() == []
    world.rewrite(world.c1, "web", "10.1.0.2")
    world.await_mirrored("web", c1=["10.1.0.2"])
    assert leading.controller.running
