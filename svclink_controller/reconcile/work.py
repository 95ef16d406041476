"""The tasks that write to the main cluster. They run while this replica leads."""

from __future__ import annotations

import asyncio
from typing import Final

from attrs import define

from svclink_controller.reconcile.events import Events
from svclink_controller.reconcile.reconciler import RECONCILERS, Reconciler
from svclink_controller.reconcile.status_writer import STATUS_WRITERS, StatusWriter
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.state.store import Store
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import all_keys

RESYNC_BATCH: Final = 8
"""Services that a resync enqueues at a time, so that changes wait behind few of them."""

RESYNC_PAUSE_SECONDS: Final = 0.01
"""Time between two batches of a resync."""


@define
class Work:
    """Plans Services, and writes slices, statuses and Events.

    Args:
        store: The state.
        services: Queue of the Services to plan.
        reconciler: Plans the Services, and applies the plans.
        status_writer: Writes the status of links.
        events: Writes Events.
        resync_interval: Seconds between two resyncs.
        resyncs: How many resyncs have enqueued everything.
    """

    store: Store
    services: WorkQueue[NamespacedName]
    reconciler: Reconciler
    status_writer: StatusWriter
    events: Events
    resync_interval: float
    resyncs: int = 0

    async def run(self) -> None:
        """Run until cancelled, beginning with everything: changes may have been missed before."""
        if self.store.is_complete:
            self.services.add(all_keys(self.store.snapshot()))
        for name in self.store.links:
            self.store.mark_status_changed(name)
        async with asyncio.TaskGroup() as group:
            for _ in range(RECONCILERS):
                group.create_task(self.reconciler.run())
            for _ in range(STATUS_WRITERS):
                group.create_task(self.status_writer.run())
            group.create_task(self.events.run())
            group.create_task(self._resync())

    async def _resync(self) -> None:
        """Plan everything again at intervals, which corrects what a watch missed.

        A plan that finds no difference writes nothing.
        """
        while True:
            await asyncio.sleep(self.resync_interval)
            keys = list(all_keys(self.store.snapshot())) if self.store.is_complete else []
            for first in range(0, len(keys), RESYNC_BATCH):
                self.services.add(keys[first : first + RESYNC_BATCH])
                await asyncio.sleep(RESYNC_PAUSE_SECONDS)
            self.resyncs += 1
