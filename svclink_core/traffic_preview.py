"""What becomes of the traffic of one Service, for a command that shows it and changes nothing."""

from __future__ import annotations

from attrs import frozen

from svclink_core.meta_v1 import NamespacedName
from svclink_core.planning import plan_service
from svclink_core.plans import Change
from svclink_core.service_traffic import EndpointUse, ServiceTraffic
from svclink_core.snapshot import Snapshot
from svclink_core.svclink_v1alpha1 import Condition
from svclink_core.timestamps import timestamp_of
from svclink_core.traffic_edits import edited_policy, with_policy
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy
from svclink_core.traffic_shares import percent_of
from svclink_core.traffic_status import traffic_status


@frozen
class TrafficPreview:
    """What becomes of the traffic of a Service.

    Args:
        service: The Service.
        policy: The policy that counts for it; None without one.
        traffic: Which endpoints are active, and why.
        changes: What svclink will change for the Service.
        conditions: Those that the policy will have; empty without one.
    """

    service: NamespacedName
    policy: TrafficPolicy | None
    traffic: ServiceTraffic
    changes: tuple[Change, ...] = ()
    conditions: tuple[Condition, ...] = ()

    def ready(self, cluster: str) -> int:
        """How many ready endpoints a cluster has, of all IP families."""
        return sum([each.ready for each in self._uses(cluster)])

    def active(self, cluster: str) -> int:
        """How many of them are active."""
        return sum([each.active for each in self._uses(cluster)])

    def reachable_share(self, cluster: str) -> int | None:
        """The share of new connections that they get, in percent; None if nothing is active."""
        total = sum([each.active for each in self.traffic.families])
        return percent_of(self.active(cluster), total)

    def _uses(self, cluster: str) -> list[EndpointUse]:
        uses = [use for each in self.traffic.families for use in each.uses]
        return [each for each in uses if each.cluster == cluster]


def preview_traffic(
    found: Snapshot, service: NamespacedName, posix: float
) -> TrafficPreview | None:
    """What becomes of the traffic of a Service.

    None if nothing can be said: the main cluster lacks the Service, or an object of it could not
    be decoded.

    Args:
        found: What is known. Its clock of plans is that of POSIX.
        service: The Service.
        posix: POSIX time.
    """
    planned = plan_service(found, service, posix)
    policy = found.main.traffic_policies.get(service)
    traffic = planned.traffic
    if not traffic:
        # A policy without rules changes nothing (law L16), but its plan says what is active.
        neutral = with_policy(found, edited_policy(None, service, {}))
        traffic = plan_service(neutral, service, posix).traffic
    if not traffic:
        return None
    (only,) = traffic
    conditions: tuple[Condition, ...] = ()
    if policy is not None:
        main, now = found.main.services.get(service), timestamp_of(posix)
        conditions = traffic_status(policy, policy, main, only, now).conditions
    return TrafficPreview(service, policy, only, planned.changes, conditions)
