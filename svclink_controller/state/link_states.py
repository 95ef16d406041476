"""The ClusterLinks, with the connection and the deletion guard of each."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen

from svclink_controller import clock
from svclink_controller.state.link_index import LinkIndex
from svclink_core.credential_expiry import Expiry
from svclink_core.deletion_guard import UNGUARDED, Guard
from svclink_core.link_identity import Problem, oldest_of_same_name
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import PENDING, Connection
from svclink_core.svclink_v1alpha1 import ClusterLink


@frozen
class Observation:
    """What was last observed of the connection to a cluster, for the status of its link.

    Args:
        problem: Why the cluster cannot be read, None if it can.
        version: The version of Kubernetes.
        cluster_id: The uid of the Namespace kube-system.
        silent_since: When a watch last sent something, RFC 3339, if watches are silent while lists
            are answered.
        excess: How a followed cluster exceeds its budget, or None.
        expiries: When the credentials expire that are in use, or else were tried last; None before.
    """

    problem: Problem | None = None
    version: str | None = None
    cluster_id: str | None = None
    silent_since: str | None = None
    excess: str | None = None
    expiries: tuple[Expiry, ...] | None = None


@define
class LinkStates:
    """The state of each link, by name.

    Of several links with one name, one counts; the others only hold the name.

    Attributes:
        index: Every ClusterLink.
        links: The ClusterLinks that count.
        planned_links: The same, each as of the last change that concerns a plan. Planning with
            them compares links by identity, and a new status would be another object.
        connections: Absent means pending.
        observations: Absent means that nothing was observed yet.
        now: The clock of plans.
    """

    index: LinkIndex = field(factory=LinkIndex)
    links: dict[str, ClusterLink] = field(factory=dict)
    planned_links: dict[str, ClusterLink] = field(factory=dict)
    connections: dict[str, Connection] = field(factory=dict)
    observations: dict[str, Observation] = field(factory=dict)
    now: Callable[[], float] = clock.elapsed
    _since: dict[str, float] = field(factory=dict)
    _guards: dict[str, Guard] = field(factory=dict)

    def put(self, link: ClusterLink, *, listed: bool) -> bool:
        """Add or change a link.

        Returns whether plans may change, which the status of a link does not concern.
        """
        return self.index.put(link, listed=listed) and self._elect(link.metadata.name)

    def remove(self, key: NamespacedName) -> bool:
        """Remove a link, and with the last of its name everything about it.

        Returns whether plans may change.
        """
        if not self.index.remove(key):
            return False
        if self.index.of(key.name):
            return self._elect(key.name)
        by_name = (
            self.links,
            self.planned_links,
            self.connections,
            self.observations,
            self._since,
            self._guards,
        )
        for each in by_name:
            each.pop(key.name, None)
        return True

    def connection(self, name: str) -> Connection:
        """The connection to a cluster."""
        return self.connections.get(name, PENDING)

    def set_connection(self, name: str, connection: Connection) -> bool:
        """Set the connection to a cluster. Returns whether it changed."""
        is_changed = name in self.links and self.connection(name) != connection
        if is_changed:
            self.connections[name] = connection
            self._since[name] = self.now()
        return is_changed

    def since(self, name: str) -> float:
        """When the connection became this one, or a link that is being listed was edited."""
        return self._since[name]

    def observe(self, name: str, observation: Observation) -> bool:
        """Set what was observed of a connection. Returns whether it differs."""
        is_changed = name in self.links and self.observations.get(name) != observation
        if is_changed:
            self.observations[name] = observation
        return is_changed

    def guard(self, name: str) -> Guard:
        """The deletion guard of a cluster."""
        return self._guards.get(name, UNGUARDED)

    def set_guard(self, name: str, guard: Guard) -> bool:
        """Set the deletion guard of a cluster. Returns whether its link exists."""
        if name in self.links:
            self._guards[name] = guard
        return name in self.links

    def _elect(self, name: str) -> bool:
        link = self.links[name] = oldest_of_same_name(self.index.of(name))
        planned = self.planned_links.get(name)
        is_changed = planned is None or _rules(planned) != _rules(link)
        if is_changed:
            self.planned_links[name] = link
            if self.connection(name) == PENDING:
                self._since[name] = self.now()
        return is_changed


def _rules(link: ClusterLink) -> tuple[object, ...]:
    """The parts of a link that plans depend on.

    The status of a link that another controller handles tells whether its mirrors are ready.
    """
    connected = None if link.is_selected else link.status.connected
    return link.spec, link.metadata.uid, link.metadata.generation, link.is_selected, connected
