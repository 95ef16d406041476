"""One Service after the other: what is known, what the core says of it, and having it done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog
from attrs import define, field

from svclink_controller import clock
from svclink_controller.loop_turns import next_turn
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.reconcile.applier import Applier, WriteResult, WriteStatus, kind_and_verb
from svclink_controller.reconcile.link_removal import LinkRemoval
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.state.store import Store
from svclink_core.meta_v1 import NamespacedName
from svclink_core.planning import Decision, plan_service

RECONCILERS: Final = 32
"""Services worked on at once; how many requests are under way is the applier's to limit."""

log = structlog.get_logger()


@define
class Reconciler:
    """Works on the keys of a queue, each from the store's present state.

    Args:
        store: What is known.
        queue: The Services to plan.
        applier: Has the changes done.
        plan_results: Told what could not be mirrored or written.
        decided: Called with every Service and what was decided about it, before anything is done.
        link_removal: Confirms with the API server that a link no longer exists before its slices
            are deleted. None if this controller handles every link.
    """

    store: Store
    queue: WorkQueue[NamespacedName]
    applier: Applier
    plan_results: PlanResults
    decided: Callable[[NamespacedName, Sequence[Decision]], None] = lambda _key, _decisions: None
    metrics: Metrics = field(factory=Metrics)
    link_removal: LinkRemoval | None = None

    async def run(self) -> None:
        """Work until cancelled. A broken plan is logged with its traceback, tried again, and stops nothing else."""
        while True:
            key = await self.queue.get()
            try:
                await next_turn()  # A full queue gives keys without a pause, and a plan of many endpoints takes 5 ms.
                await self.reconcile(key)
            except Exception:
                log.exception("internal error", service=str(key))
                self.queue.retry(key)
            finally:
                self.queue.done(key)

    async def reconcile(self, key: NamespacedName) -> None:
        """Bring the main cluster's slices of one Service to what the core says."""
        if not self.store.is_complete:
            return
        started, news = clock.elapsed(), self.store.propagation.take(key)
        plan = plan_service(self.store.snapshot(), key, clock.seconds())
        self.decided(key, plan.decisions)
        changes = (
            plan.changes
            if self.link_removal is None
            else await self.link_removal.proven(plan.changes)
        )
        outcomes = await self.applier.apply(changes)
        self._measure(key, started, news, outcomes)
        unfinished = [outcome for outcome in outcomes if outcome.status is not WriteStatus.APPLIED]
        self.plan_results.record(key, plan.findings, unfinished)
        self._come_back(key, unfinished, is_unproven=len(changes) < len(plan.changes))

    def _come_back(
        self, key: NamespacedName, unfinished: list[WriteResult], *, is_unproven: bool
    ) -> None:
        """What may work later is planned again later, with growing delays; what only waits, when it need wait no more.

        What the API server refused is planned again when something changes: it would be refused again.
        """
        if is_unproven or any(
            each.status in (WriteStatus.FAILED, WriteStatus.SUPERSEDED) for each in unfinished
        ):
            self.queue.retry(key, max(_waits(unfinished), default=None))
            return
        self.queue.forget(key)
        if (wait := min(_waits(unfinished), default=None)) is not None:
            self.queue.postpone(key, wait)

    def _measure(
        self,
        key: NamespacedName,
        started: float,
        news: dict[str, float],
        outcomes: list[WriteResult],
    ) -> None:
        """Count what was written, and how old the news were by then; what was not written stays news."""
        now = clock.elapsed()
        self.metrics.reconcile.observe(now - started)
        written: dict[str | None, bool] = {}
        for outcome in outcomes:
            self.metrics.writes.labels(*kind_and_verb(outcome.change), outcome.status.value).inc()
            cluster, is_applied = outcome.change.cluster, outcome.status is WriteStatus.APPLIED
            written[cluster] = written.get(cluster, True) and is_applied
        for cluster, received_at in news.items():
            if cluster not in written or cluster not in self.store.links:
                continue
            if written[cluster]:
                self.metrics.propagation.labels(cluster).observe(now - received_at)
            else:
                self.store.propagation.put_back(key, cluster, received_at)


def _waits(outcomes: list[WriteResult]) -> list[float]:
    """How long the API server asked to be left alone, and how long writes were held back."""
    return [outcome.retry_after for outcome in outcomes if outcome.retry_after]
