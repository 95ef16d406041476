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
from .fault_proxy import FaultProxy, ProxyTo
from .faults import Answering, Fault, Silencing
from .polling import consistently, eventually
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

    def assert_leading(self) -> None:
        """Assert that it holds the Lease."""
        assert self.controller.has_logged(holder_of(self.world) or "no holder")

    def assert_exited(self) -> None:
        assert not self.controller.running


@pytest.fixture
def replicas(world: World, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    """The first replica leads and mirrors the Service `web` from c1; the second stands by."""
    leader, standby = (create_replica(world, name, tmp_path) for name in (A, B))
    yield from running_replicas(world, leader, standby)


@pytest.fixture
def proxy(world: World, proxy_to: ProxyTo) -> FaultProxy:
    """A proxy between the second replica and main."""
    return proxy_to(world.main, terminates_tls=True, user=B)


@pytest.fixture
def replicas_with_proxy(
    world: World, proxy: FaultProxy, tmp_path: Path
) -> Iterator[tuple[Replica, Replica]]:
    """Like `replicas`, with the proxy."""
    leader, standby = (create_replica(world, name, tmp_path) for name in (A, B))
    standby.controller.set_kubeconfig(
        world.main.kubeconfig({}, namespace=CONTROLLER_NAMESPACE, **proxy.cluster_entry)
    )
    yield from running_replicas(world, leader, standby)


def running_replicas(
    world: World, leader: Replica, standby: Replica
) -> Iterator[tuple[Replica, Replica]]:
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


@pytest.mark.parametrize(
    "fault", [Silencing("clusterlinks"), Answering(503, "clusterlinks")], ids=["silent", "refused"]
)
def test_successor_keeps_slices_of_a_link_that_it_has_not_seen(
    world: World,
    proxy: FaultProxy,
    replicas_with_proxy: tuple[Replica, Replica],
    fault: Fault,
) -> None:
    """A standby whose watch of ClusterLinks lags takes over, and deletes nothing on a guess."""
    leader, standby = replicas_with_proxy
    proxy.fail(fault)
    if isinstance(fault, Answering):
        proxy.reset_connections()
    world.publish(world.c2, "web", "10.2.0.1")
    world.link(world.c2)
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    unseen = world.versions("web", "c2")
    assert unseen

    assert leader.controller.stop() == 0
    eventually(standby.assert_leading, timeout=TAKEOVER_SECONDS)
    world.set_addresses(world.c1, "web", "10.1.0.2")
    world.await_mirrored("web", c1=["10.1.0.2"], c2=["10.2.0.1"])
    consistently(5, lambda: assert_versions(world, "c2", unseen))

    proxy.heal()
    world.set_addresses(world.c2, "web", "10.2.0.2")
    eventually(
        lambda: world.assert_mirrored("web", c1=["10.1.0.2"], c2=["10.2.0.2"]), TAKEOVER_SECONDS
    )


def assert_versions(world: World, cluster: str, expected: dict[str, tuple[str, str]]) -> None:
    assert world.versions("web", cluster) == expected
