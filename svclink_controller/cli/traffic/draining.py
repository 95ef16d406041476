"""Waits until a drained cluster is out of use."""

from __future__ import annotations

from attrs import evolve, frozen

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.cli.traffic.interrupts import Interrupt
from svclink_controller.cli.traffic.progress import Report, Reporter
from svclink_controller.cli.traffic.writing import TrafficError
from svclink_controller.reflect.reflector import Reflector
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.reading import decode_object
from svclink_controller.wire.resources import CLUSTER_LINKS, ENDPOINT_SLICES
from svclink_core.codec import Json
from svclink_core.drain_progress import DrainProgress, drain_progress
from svclink_core.meta_v1 import NamespacedName
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import LABEL_CLUSTER


@frozen
class DrainWait:
    """Waits until a drained cluster has active endpoints only of Services that have nothing else.

    Args:
        client: The main cluster.
        link: The ClusterLink.
        interrupt: Ends the waiting.
        reporter: Shows how many Services still use the cluster.
    """

    client: Client
    link: ClusterLink
    interrupt: Interrupt
    reporter: Reporter

    async def until_drained(self) -> tuple[NamespacedName, ...] | None:
        """The Services that have nothing else; None if the waiting was interrupted.

        Raises:
            TrafficError: The link is gone, no longer drained or disabled, or cannot be read.
        """
        total = 0
        while not self.interrupt.has_come:
            try:
                progress = await self._read()
            except (TransportError, WireError) as error:
                self.reporter.show(Report(f"waiting: {error}"))
            else:
                total = max(total, len(progress.in_use))
                self._show(progress, total)
                if progress.is_drained:
                    return progress.in_use
            await self.interrupt.pause()
        return None

    async def _read(self) -> DrainProgress:
        metadata = self.link.metadata
        name = metadata.name
        mirrors = evolve(ENDPOINT_SLICES, label_selector=f"{LABEL_CLUSTER}={name}")
        try:
            path = CLUSTER_LINKS.path(metadata.namespace, name)
            link = decode_object(await self.client.get(path), CLUSTER_LINKS)
            listing = await Reflector(self.client, mirrors).list_all()
        except ApiError as error:
            raise TrafficError(f"failed while waiting for {name} to drain: {error}") from error
        if not (link.spec.drained and link.spec.enabled):
            raise TrafficError(
                f"another client changed ClusterLink {name}, so it is no longer being drained"
            )
        return drain_progress(link, listing.items)

    def _show(self, progress: DrainProgress, total: int) -> None:
        name, left = self.link.metadata.name, len(progress.in_use)
        what = "Service still uses" if left == 1 else "Services still use"
        data: dict[str, Json] = {"cluster": name, "inUse": left}
        self.reporter.show(Report(f"{left} {what} {name}", total - left, total, data))
