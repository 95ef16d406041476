"""Reconciles Services: take a snapshot, let the core plan, and apply the plan's changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog
from attrs import define, field

from svclink_controller import clock
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.reconcile.applier import MAX_IN_FLIGHT, Applier
from svclink_controller.reconcile.link_removal import LinkRemoval
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.traffic_results import TrafficResults
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.reconcile.write_results import WriteResult, WriteStatus
from svclink_controller.state.store import Store
from svclink_core.meta_v1 import NamespacedName
from svclink_core.planner import Planner
from svclink_core.plans import Decision

RECONCILERS: Final = MAX_IN_FLIGHT
"""Services reconciled concurrently.

With more of them than writes, Services would wait for a write in the order in which they came, and
not in the queue, where clusters take turns.
"""

PLAN_REST_SECONDS: Final = 0.05
"""Time between two plans of a Service because of the same remote, which may change all the time."""

log = structlog.get_logger()


@define
class Reconciler:
    """Reconciles the Services of a queue with the current state.

    Args:
        store: The current state.
        queue: Keys of the Services to plan.
        applier: Performs the changes.
        plan_results: Records findings and failed writes.
        link_removal: Confirms that a link no longer exists before its slices are deleted.
        traffic_results: Remembers what plans say about traffic.
        decided: Called with each planned Service and its decisions, before any change is applied.
        metrics: Where writes and times are counted.
        planner: Makes the plans, and remembers what makes the next one fast.
    """

    store: Store
    queue: WorkQueue[NamespacedName]
    applier: Applier
    plan_results: PlanResults
    link_removal: LinkRemoval
    traffic_results: TrafficResults
    decided: Callable[[NamespacedName, Sequence[Decision]], None] = lambda _key, _decisions: None
    metrics: Metrics = field(factory=Metrics)
    planner: Planner = field(factory=Planner)

    async def run(self) -> None:
        """Reconcile until cancelled; an internal error is logged, and its Service retried."""
        while True:
            key = await self.queue.get()
            try:
                await self.reconcile(key)
            except Exception:
                log.exception("internal error", service=str(key))
                self.queue.retry(key)
            finally:
                self.queue.done(key)

    def forget_all(self) -> None:
        """Forget every plan and its results, as if none had been made."""
        self.planner = Planner()
        self.plan_results.forget_all()
        self.traffic_results.forget_all()
        self.applier.retries.forget_all()

    async def reconcile(self, key: NamespacedName) -> None:
        """Bring the main cluster's slices of one Service to the planned state."""
        if not self.store.is_complete:
            return
        started, received = clock.elapsed(), self.store.propagation.take(key)
        plan = self.planner.plan_service(self.store.snapshot(), key, clock.elapsed())
        self.decided(key, plan.decisions)
        self.traffic_results.remember(plan.traffic)
        changes = await self.link_removal.proven(plan.changes)
        results = await self.applier.apply(changes)
        self._measure(key, started, received, results)
        unfinished = [result for result in results if result.status is not WriteStatus.APPLIED]
        self.plan_results.record(key, plan.findings, unfinished)
        self.traffic_results.record(key, plan.traffic, unfinished)
        is_unproven = len(changes) < len(plan.changes)
        self._requeue(key, plan.again_at, unfinished, is_unproven=is_unproven)
        if plan.traffic and any(each.status is WriteStatus.APPLIED for each in results):
            self.queue.add([key])  # The status of a policy describes what is mirrored.

    def _requeue(
        self,
        key: NamespacedName,
        again_at: float | None,
        unfinished: list[WriteResult],
        *,
        is_unproven: bool,
    ) -> None:
        """Plan a Service again when its plan ends, or when the first unfinished change may be sent.

        Args:
            key: The Service.
            again_at: When its plan ends without an event, if it does.
            unfinished: The results of the changes that were not applied.
            is_unproven: Whether other changes were not sent, because they were not proven.
        """
        delays = [each.retry_after for each in unfinished if each.retry_after is not None]
        if again_at is not None:
            delays.append(max(again_at - clock.elapsed(), 0))
        if is_unproven:
            delays.append(self.queue.retry(key))
        else:
            self.queue.forget(key)
        if delays:
            self.queue.postpone(key, min(delays))

    def _measure(
        self,
        key: NamespacedName,
        started: float,
        received: dict[str, float],
        results: list[WriteResult],
    ) -> None:
        """Count writes and observe times.

        Args:
            key: The Service.
            started: When its reconciliation started.
            received: When the oldest unwritten event of each cluster was received.
            results: The results of the changes.
        """
        now = clock.elapsed()
        self.metrics.reconcile.observe(now - started)
        written: dict[str | None, bool] = {}
        for result in results:
            change, status = result.change, result.status.value
            self.metrics.writes.labels(change.kind, change.verb, status).inc()
            cluster, is_applied = result.change.cluster, result.status is WriteStatus.APPLIED
            written[cluster] = written.get(cluster, True) and is_applied
        for cluster, received_at in received.items():
            if cluster not in written or cluster not in self.store.links:
                continue
            if written[cluster]:
                self.metrics.propagation.labels(cluster).observe(now - received_at)
            else:
                self.store.propagation.put_back(key, cluster, received_at)
