"""How far the draining of a cluster has come, according to its link and its mirrors in main.

`traffic` decides which of its endpoints stay active.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import Ours, owner_of, service_of
from svclink_core.svclink_v1alpha1 import ClusterLink


@frozen
class DrainProgress:
    """How far the draining of a cluster has come.

    Args:
        in_use: The Services with active endpoints of the cluster, sorted.
        is_drained: Whether these are the Services that have nothing else.
    """

    in_use: tuple[NamespacedName, ...]
    is_drained: bool


def drain_progress(link: ClusterLink, slices: Iterable[EndpointSlice]) -> DrainProgress:
    """How far the draining of a cluster has come.

    svclink keeps the endpoints active of the Services that it counts in the status. So if as many
    Services use the cluster as it counts, they are those.

    Args:
        link: The ClusterLink, which is drained, with the status that svclink wrote.
        slices: The EndpointSlices of the main cluster; those of other clusters are skipped.
    """
    ours = Ours(link.metadata.name)
    in_use = {service_of(each) for each in slices if owner_of(each) == ours and _is_active(each)}
    services = tuple(sorted([each for each in in_use if each is not None]))
    is_current = link.status.observed_generation >= link.metadata.generation
    return DrainProgress(services, is_current and link.status.still_needed_by == len(services))


def _is_active(endpoint_slice: EndpointSlice) -> bool:
    return any(each.conditions.ready is not False for each in endpoint_slice.endpoints)
