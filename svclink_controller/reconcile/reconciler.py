"""Reconciles Services: take a snapshot, let the core plan, and apply the plan's changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog
from attrs import define, field

from svclink_controller import clock
from svclink_controller.loop_turns import next_turn
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.reconcile.applier import Applier, WriteResult, WriteStatus
from svclink_controller.reconcile.link_removal import LinkRemoval
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.state.store import Store
from svclink_core.meta_v1 import NamespacedName
from svclink_core.planner import Planner
from svclink_core.planning import Change, Decision

RECONCILERS: Final = 32
"""Services reconciled concurrently; the applier limits the number of requests."""

log = structlog.get_logger()


@define
class Reconciler:
    """Reconciles the Services of a queue with the current state.

    Args:
        store: The current state.
        queue: Keys of the Services to plan.
        applier: Performs the changes.
        plan_results: Records findings and failed writes.
        decided: Called with each planned Service and its decisions, before any change is applied.
        metrics: Where writes and times are counted.
        link_removal: Confirms with the API server that a link no longer exists before its slices
            are deleted. None if this controller handles every link.
        planner: Makes the plans, and remembers what makes the next one fast.
    """

    store: Store
    queue: WorkQueue[NamespacedName]
    applier: Applier
    plan_results: PlanResults
    decided: Callable[[NamespacedName, Sequence[Decision]], None] = lambda _key, _decisions: None
    metrics: Metrics = field(factory=Metrics)
    link_removal: LinkRemoval | None = None
    planner: Planner = field(factory=Planner)

    async def run(self) -> None:
        """Reconcile until cancelled; an internal error is logged, and its Service retried."""
        while True:
            key = await self.queue.get()
            try:
                # A full queue returns keys without a pause; a large plan takes 5 ms.
                await next_turn()
                await self.reconcile(key)
            except Exception:
                log.exception("internal error", service=str(key))
                self.queue.retry(key)
            finally:
                self.queue.done(key)

    async def reconcile(self, key: NamespacedName) -> None:
        """Bring the main cluster's slices of one Service to the planned state."""
        if not self.store.is_complete:
            return
        started, received = clock.elapsed(), self.store.propagation.take(key)
        plan = self.planner.plan_service(self.store.snapshot(), key, clock.seconds())
        self.decided(key, plan.decisions)
        changes: Sequence[Change] = plan.changes
        if self.link_removal is not None:
            changes = await self.link_removal.proven(changes)
        results = await self.applier.apply(changes)
        self._measure(key, started, received, results)
        unfinished = [result for result in results if result.status is not WriteStatus.APPLIED]
        self.plan_results.record(key, plan.findings, unfinished)
        self._requeue(key, unfinished, is_unproven=len(changes) < len(plan.changes))

    def _requeue(
        self, key: NamespacedName, unfinished: list[WriteResult], *, is_unproven: bool
    ) -> None:
        """Plan a Service again if some changes were not applied.

        What may succeed later is retried with growing delays, what was postponed after its delay.
        What the API server refused is planned again when something changes: it would be refused
        again.
        """
        if is_unproven or any(
            result.status in (WriteStatus.FAILED, WriteStatus.SUPERSEDED) for result in unfinished
        ):
            self.queue.retry(key, max(_delays(unfinished), default=None))
            return
        self.queue.forget(key)
        if (delay := min(_delays(unfinished), default=None)) is not None:
            self.queue.postpone(key, delay)

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


def _delays(results: list[WriteResult]) -> list[float]:
    """The delays that the API server or the write pace asked for."""
    return [result.retry_after for result in results if result.retry_after]
