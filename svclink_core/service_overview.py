"""What a table shows of one Service: whether each cluster's is mirrored, and what is in use.

Nothing is decided here: the reasons are those of the plan, and the endpoints are those that the
main cluster has now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from attrs import frozen

from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.levels import Level, level_of, worst
from svclink_core.meta_v1 import NamespacedName
from svclink_core.plans import Decision, Outcome, Plan
from svclink_core.service_view import ServiceView, view_of
from svclink_core.snapshot import Snapshot
from svclink_core.standby import EndpointRole, roles_of
from svclink_core.well_known import Reason


@frozen
class EndpointCounts:
    """How many endpoints there are, by what kube-proxy does with them."""

    active: int = 0
    standby: int = 0
    not_ready: int = 0

    @property
    def total(self) -> int:
        """All endpoints."""
        return self.active + self.standby + self.not_ready

    def plus(self, other: EndpointCounts, sign: int = 1) -> EndpointCounts:
        """The sum of two counts, or (`sign` -1) their difference."""
        return EndpointCounts(
            self.active + sign * other.active,
            self.standby + sign * other.standby,
            self.not_ready + sign * other.not_ready,
        )


WITHOUT_ENDPOINTS: Final = EndpointCounts()


@frozen
class ClusterCell:
    """One Service of one linked cluster.

    Args:
        cluster: The cluster.
        outcome: What happens to the Service.
        reason: Why.
        endpoints: The endpoints that the main cluster has of it now.
        changes: How many objects would be created, updated or deleted.
    """

    cluster: str
    outcome: Outcome
    reason: Reason
    endpoints: EndpointCounts = WITHOUT_ENDPOINTS
    changes: int = 0

    @property
    def level(self) -> Level:
        """How much attention it needs."""
        return level_of(self.reason)


@frozen
class ServiceOverview:
    """One Service.

    Args:
        key: The Service.
        local: The main cluster's own endpoints; None if it has no such Service.
        policy: The name of the TrafficPolicy that counts; None without one.
        tier: The last tier that is in use.
        cells: One for each linked cluster, sorted by name.
        findings: The clusters with parts that could not be mirrored, and why.
    """

    key: NamespacedName
    local: EndpointCounts | None = None
    policy: str | None = None
    tier: int = 0
    cells: tuple[ClusterCell, ...] = ()
    findings: tuple[tuple[str, Reason], ...] = ()

    @property
    def level(self) -> Level:
        """How much attention the Service needs: as much as its worst part."""
        reasons = [cell.reason for cell in self.cells] + [reason for _, reason in self.findings]
        levels = tuple([level_of(each) for each in reasons])
        highest = worst(levels)
        # A Service that one cluster skips is in order where another cluster's is mirrored.
        return Level.OK if highest is Level.SKIPPED and Level.OK in levels else highest


def service_overview(snapshot: Snapshot, key: NamespacedName, plan: Plan) -> ServiceOverview | None:
    """The overview of a Service; None if no cluster has it, and no policy is for it.

    Args:
        snapshot: What is known.
        key: The Service.
        plan: Its plan, made from that snapshot.
    """
    view = view_of(snapshot, key)
    policy = snapshot.main.traffic_policies.get(key)
    if view.main is None and policy is None and not _is_anywhere(view, plan):
        return None
    return ServiceOverview(
        key=key,
        local=None if view.main is None else counts_of(view.local),
        policy=None if policy is None else policy.metadata.name,
        tier=max([each.last_tier for each in plan.traffic], default=0),
        cells=tuple([_cell(view, decision, plan) for decision in plan.decisions]),
        findings=tuple([(each.cluster, each.reason) for each in plan.findings]),
    )


def counts_of(slices: Iterable[EndpointSlice]) -> EndpointCounts:
    """The endpoints of some slices of the main cluster."""
    return tally([role for each in slices for role in roles_of(each)])


def tally(roles: Sequence[EndpointRole]) -> EndpointCounts:
    """How many endpoints have each role."""
    return EndpointCounts(
        roles.count(EndpointRole.ACTIVE),
        roles.count(EndpointRole.STANDBY),
        roles.count(EndpointRole.NOT_READY),
    )


def _is_anywhere(view: ServiceView, plan: Plan) -> bool:
    """Whether a linked cluster has the Service, or the main cluster has mirrors of it."""
    clusters = view.snapshot.remotes
    return any(
        view.is_known_of(each.cluster) if each.cluster in clusters else view.ours.get(each.cluster)
        for each in plan.decisions
    )


def _cell(view: ServiceView, decision: Decision, plan: Plan) -> ClusterCell:
    cluster = decision.cluster
    mirrors = [*view.ours.get(cluster, ()), *view.leftovers.get(cluster, ())]
    return ClusterCell(
        cluster,
        decision.outcome,
        decision.reason,
        counts_of(mirrors),
        sum([change.cluster == cluster for change in plan.changes]),
    )
