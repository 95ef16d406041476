"""When EndpointSlices of the Go release of svclink are deleted.

A leftover goes once its link is enabled and synced, and the Service is either mirrored completely
or not mirrored at all. Those of a cluster without a link stay. With standby endpoints, only
traffic_planning knows whether the mirrors are complete. Source: docs/how-to/migration.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from svclink_core.diffing import Create, Delete, SliceChange, Update, WhyGone, deletions
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.well_known import Reason


def superseded(
    leftovers: Iterable[EndpointSlice],
    desired: Collection[EndpointSlice],
    changes: Iterable[SliceChange],
    why_gone: WhyGone,
) -> list[Delete]:
    """The deletions of leftovers of an imported Service: none before all its mirrors are right.

    Args:
        leftovers: Slices of the Go release, of one Service and cluster.
        desired: The slices that this Service and cluster should have in the main cluster.
        changes: What is to be done for that.
        why_gone: Why a slice goes if no slice is desired.
    """
    if any(isinstance(change, Create | Update) for change in changes):
        return []
    if desired:
        return deletions(leftovers, Reason.LEFTOVER_REPLACED)
    return [change for each in leftovers for change in deletions([each], why_gone(each))]
