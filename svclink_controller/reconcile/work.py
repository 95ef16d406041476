"""The tasks that write to the main cluster. They run while this replica leads."""

from __future__ import annotations

import asyncio
from typing import Final

from attrs import define

from svclink_controller.reconcile.deletion_holds import DeletionHolds
from svclink_controller.reconcile.events import Events
from svclink_controller.reconcile.reconciler import RECONCILERS, Reconciler
from svclink_controller.reconcile.status.links import STATUS_WRITERS, StatusWriter
from svclink_controller.reconcile.status.policies import (
    POLICY_STATUS_WRITERS,
    PolicyStatusWriter,
)
from svclink_controller.reconcile.workqueue import SWEEP_LANE, WorkQueue
from svclink_controller.state.store import Store
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import all_keys

RESYNC_BATCH: Final = 50
"""Services that a resync enqueues at a time, so that the queue looks no fuller than it is."""

RESYNC_PAUSE_SECONDS: Final = 0.01
"""Time between two batches of a resync."""


@define
class Work:
    """Plans Services, and writes slices, statuses and Events.

    A replica that does not lead keeps nothing for a Service or a slice, because nothing would take
    it away: its queues are closed, and what it knew of its own plans and writes is forgotten.

    Args:
        store: The state.
        services: Queue of the Services to plan.
        links: Queue of the links whose status may be out of date.
        policies: Queue of the policies whose status may be out of date.
        reconciler: Plans the Services, and applies the plans.
        deletion_holds: Count the deletions that plans ask for.
        status_writer: Writes the status of links.
        policy_status_writer: Writes the status of policies.
        events: Writes Events.
        resync_interval: Seconds between two resyncs.
        resyncs: How many resyncs have enqueued everything.
    """

    store: Store
    services: WorkQueue[NamespacedName]
    links: WorkQueue[str]
    policies: WorkQueue[NamespacedName]
    reconciler: Reconciler
    deletion_holds: DeletionHolds
    status_writer: StatusWriter
    policy_status_writer: PolicyStatusWriter
    events: Events
    resync_interval: float
    resyncs: int = 0

    def __attrs_post_init__(self) -> None:
        self._end()

    async def run(self) -> None:
        """Run until cancelled, beginning with everything."""
        self._begin()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(RECONCILERS):
                    group.create_task(self.reconciler.run())
                for _ in range(STATUS_WRITERS):
                    group.create_task(self.status_writer.run())
                for _ in range(POLICY_STATUS_WRITERS):
                    group.create_task(self.policy_status_writer.run())
                group.create_task(self.events.run())
                group.create_task(self._resync())
        finally:
            self._end()

    def _begin(self) -> None:
        """Open the queues, and fill them: no change was noted before."""
        self.store.propagation.start_mirroring()
        self.deletion_holds.forget_plans()
        self.services.open()
        self.links.open()
        self.policies.open()
        if self.store.is_complete:
            self.services.add(all_keys(self.store.snapshot()), SWEEP_LANE)
        for name in self.store.links:
            self.store.mark_status_changed(name)

    def _end(self) -> None:
        """Close the queues, and forget every plan: another replica goes on from the state."""
        self.services.close()
        self.links.close()
        self.policies.close()
        self.store.propagation.stop_mirroring()
        self.reconciler.forget_all()
        self.deletion_holds.forget_plans()
        self.status_writer.forget_all()
        self.policy_status_writer.forget_all()

    async def _resync(self) -> None:
        """Plan everything again at intervals, which corrects what a watch missed.

        A plan that finds no difference writes nothing.
        """
        while True:
            await asyncio.sleep(self.resync_interval)
            keys = list(all_keys(self.store.snapshot())) if self.store.is_complete else []
            for first in range(0, len(keys), RESYNC_BATCH):
                self.services.add(keys[first : first + RESYNC_BATCH], SWEEP_LANE)
                await asyncio.sleep(RESYNC_PAUSE_SECONDS)
            self.resyncs += 1
