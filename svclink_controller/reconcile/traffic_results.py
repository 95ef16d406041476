"""What the latest plans say about traffic, for the next plans, for statuses and for metrics.

Which tiers are in use depends on which were: the policy's status remembers it. The order is:

1. What a plan decides about tiers counts for the next plan at once, in memory.
2. The EndpointSlices are written.
3. The status of the policy is written.

A crash between 2 and 3 loses the memory of a tier that came into use a moment ago. The next leader
plans from what is ready then: if the tiers before still have too few endpoints, it decides the same
and writes nothing but the status; if they have enough again, it leaves the tier once without
waiting for `recoverySeconds`. The other order would never do that, but every failover would wait
for the write of a status, and one that is refused would keep a Service dark (laws L12, L17, L20).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from attrs import define, field

from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.reconcile.write_results import WriteResult
from svclink_controller.state.main.traffic_policies import TrafficPolicies
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.service_traffic import ServiceTraffic
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy


@define
class TrafficResults:
    """The traffic of each Service that has a policy or uses a drained cluster.

    Args:
        policies: The TrafficPolicies.
        queue: Keys of the policies whose status may be out of date.
        status_changed: Called with the name of a drained link that more or fewer Services need.
    """

    policies: TrafficPolicies
    queue: WorkQueue[NamespacedName]
    status_changed: Callable[[str], None] = lambda _: None
    _traffic: dict[NamespacedName, ServiceTraffic] = field(factory=dict)
    _failures: dict[NamespacedName, str] = field(factory=dict)
    _planned: dict[NamespacedName, ObjectMeta] = field(factory=dict)
    _applied: dict[NamespacedName, ObjectMeta] = field(factory=dict)

    def remember(self, plan_traffic: Sequence[ServiceTraffic]) -> None:
        """Let the tiers that a plan uses count for the next one, before anything is written.

        It is called before anything else can change the policies that the plan was made with.
        """
        for each in plan_traffic:
            if (policy := self.policies.counting().get(each.service)) is not None:
                self._planned[each.service] = policy.metadata
                self.policies.decide(policy, each.remembered)

    def record(
        self,
        key: NamespacedName,
        plan_traffic: Sequence[ServiceTraffic],
        unfinished: Sequence[WriteResult],
    ) -> None:
        """Replace the traffic of a Service after its plan was applied.

        Args:
            key: The Service.
            plan_traffic: What the plan says about its traffic; empty if that is nothing.
            unfinished: The results of the changes that were not applied.
        """
        planned, policies = self._planned.pop(key, None), self.policies.of_service(key)
        if not (plan_traffic or policies or key in self._traffic):
            return
        if any(not result.is_failure for result in unfinished):
            return  # Something changed meanwhile, or waits: the Service is planned again.
        old, new = self._traffic.pop(key, None), next(iter(plan_traffic), None)
        for each in (self._applied, self._failures):
            each.pop(key, None)
        if new is not None:
            self._traffic[key] = new
        if planned is not None:
            self._applied[key] = planned
        for result in unfinished:
            if result.is_failure and policies:
                self._failures.setdefault(key, result.message)
        self.queue.add(policy.metadata.key for policy in policies)
        for cluster in _needed(old) ^ _needed(new):
            self.status_changed(cluster)

    def forget_all(self) -> None:
        """Forget every plan: another replica decides from the statuses."""
        for each in (self._traffic, self._failures, self._planned, self._applied):
            each.clear()
        self.policies.forget_decisions()

    def all(self) -> Iterable[ServiceTraffic]:
        """The traffic of every Service of which plans say something."""
        return self._traffic.values()

    def of(self, policy: TrafficPolicy) -> ServiceTraffic | None:
        """The traffic of a policy's Service; None if no plan was applied for the policy as it is.

        A status must not call an edit applied because the plan before it was.
        """
        applied, metadata = self._applied.get(policy.service), policy.metadata
        if applied is None or applied.uid != metadata.uid:
            return None
        is_current = applied.generation == metadata.generation
        return self._traffic.get(policy.service) if is_current else None

    def failure_of(self, service: NamespacedName) -> str | None:
        """Why an EndpointSlice of a Service could not be written, if one could not."""
        return self._failures.get(service)

    def needing(self, cluster: str) -> list[str]:
        """The Services that have nothing ready but the endpoints of a drained cluster, sorted."""
        return sorted(str(key) for key, traffic in self._traffic.items() if traffic.needs(cluster))


def _needed(traffic: ServiceTraffic | None) -> set[str]:
    """The drained clusters that a Service needs."""
    if traffic is None:
        return set()
    clusters = {use.cluster for family in traffic.families for use in family.uses}
    return {cluster for cluster in clusters if traffic.needs(cluster)}
