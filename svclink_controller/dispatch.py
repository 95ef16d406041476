"""Which part of the controller acts on which change of the state, of a link or of a Secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

from attrs import define, field, frozen

from svclink_controller.reconcile.deadlines import Deadlines
from svclink_controller.reconcile.deletion_holds import DeletionHolds
from svclink_controller.reconcile.workqueue import OWN_LANE, SWEEP_LANE, WorkQueue
from svclink_controller.remotes.supervisor import Supervisor
from svclink_controller.state.changes import (
    ClusterRead,
    LinkChanged,
    LinkStatusChanged,
    ServicesToPlan,
    StateChange,
)
from svclink_controller.state.store import Store
from svclink_core import unreachable_policy
from svclink_core.meta_v1 import NamespacedName
from svclink_core.well_known import MAIN


@frozen
class LinkRead:
    """A watch reported a link of this name: it was added, edited or deleted."""

    name: str


@frozen
class SecretRead:
    """A Secret that links name was read, changed or deleted."""

    name: str


ControllerChange: TypeAlias = StateChange | LinkRead | SecretRead


@define
class Dispatcher:
    """Passes changes on from the parts that report them to the parts that act on them.

    It breaks the cycle between the two: the store reports changes to parts that read the store.
    """

    _receivers: list[Callable[[ControllerChange], None]] = field(factory=list)

    def emit(self, change: ControllerChange) -> None:
        """Pass a change on, at once."""
        for receive in self._receivers:
            receive(change)

    def subscribe(self, receive: Callable[[ControllerChange], None]) -> None:
        """Pass changes on to a receiver, from now on."""
        self._receivers.append(receive)


@frozen
class Routes:
    """The parts that act on changes.

    Args:
        services: Queue of the Services to plan.
        links: Queue of the links whose status may be out of date.
        store: The state.
        deletion_holds: Decides which deletions wait.
        policy_deadlines: When the unreachable policies of lost clusters take effect.
        supervisor: Runs the remotes.
    """

    services: WorkQueue[NamespacedName]
    links: WorkQueue[str]
    store: Store
    deletion_holds: DeletionHolds
    policy_deadlines: Deadlines
    supervisor: Supervisor

    def receive(self, change: ControllerChange) -> None:
        """Act on a change."""
        match change:
            case ServicesToPlan(keys, cluster):
                self.services.add(keys, lane_of(cluster))
            case LinkStatusChanged(name):
                self.links.add([name])
                self.deletion_holds.slices_changed(name)
            case LinkChanged(name):
                self.deletion_holds.link_changed(name)
                self.policy_deadlines.set(name, self._policy_deadline(name))
            case ClusterRead():
                self.deletion_holds.cluster_read(change)
            case LinkRead(name):
                self.supervisor.link_changed(name)
            case SecretRead(name):
                self.supervisor.secret_changed(name)
            case unexpected:
                assert_never(unexpected)

    def _policy_deadline(self, name: str) -> float | None:
        remote = self.store.snapshot().remotes.get(name)
        return None if remote is None else unreachable_policy.policy_deadline(remote)


def lane_of(cluster: str | None) -> str:
    """The lane of the Services to plan after a change in a cluster; None concerns all of them."""
    if cluster is None:
        return SWEEP_LANE
    return OWN_LANE if cluster == MAIN else cluster
