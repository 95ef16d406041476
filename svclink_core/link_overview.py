"""What a page shows of one link: what its controller wrote, and what is seen of its cluster."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from svclink_core.conditions import most_urgent
from svclink_core.levels import Level, worst
from svclink_core.link_identity import Problem
from svclink_core.service_overview import WITHOUT_ENDPOINTS, EndpointCounts
from svclink_core.snapshot import PENDING, Connection, Pending
from svclink_core.svclink_v1alpha1 import ClusterLink, Condition, Phase


@frozen
class SeenCluster:
    """What the reader of a cluster sees of it, which may differ from what the controller sees.

    Args:
        connection: Whether its Services and EndpointSlices are complete and current.
        problem: Why it cannot be read, None if it can.
        version: Its version of Kubernetes.
        last_event: When one of its watches last sent anything, RFC 3339.
        services: How many Services it has.
        memory: About how many bytes its objects take.
        memory_budget: How many they may take.
    """

    connection: Connection = PENDING
    problem: Problem | None = None
    version: str | None = None
    last_event: str | None = field(default=None, eq=False)
    services: int = 0
    memory: int = 0
    memory_budget: int = 0


@frozen
class LinkOverview:
    """One link.

    Args:
        link: The link, with the status that its controller wrote.
        seen: What is seen of its cluster.
        endpoints: The endpoints that the main cluster has of it.
    """

    link: ClusterLink
    seen: SeenCluster
    endpoints: EndpointCounts = WITHOUT_ENDPOINTS

    @property
    def shown(self) -> Condition | None:
        """The condition that matters most; None if no controller has processed the link."""
        return most_urgent(self.link.status.conditions)

    @property
    def level(self) -> Level:
        """How much attention the link needs."""
        return worst((self._written_level, self._seen_level))

    @property
    def _written_level(self) -> Level:
        shown, status = self.shown, self.link.status
        if shown is None or not self.link.spec.enabled:
            return Level.WAITING if self.link.spec.enabled else Level.SKIPPED
        level = _BY_PHASE[status.phase]
        is_troubled = not shown.is_healthy or status.still_needed_by > 0
        return Level.WARNING if level is Level.OK and is_troubled else level

    @property
    def _seen_level(self) -> Level:
        if not (self.link.spec.enabled and self.link.is_selected):
            return Level.NONE
        if self.seen.problem is not None:
            return Level.WARNING
        return Level.WAITING if isinstance(self.seen.connection, Pending) else Level.NONE


_BY_PHASE: Final[dict[Phase, Level]] = {
    "Ready": Level.OK,
    "Pending": Level.WAITING,
    "NotReady": Level.ERROR,
    "Disabled": Level.WAITING,
}
"""A link that is enabled, and whose status says Disabled, is about to be connected."""
