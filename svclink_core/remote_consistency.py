"""Whether a remote Service and its EndpointSlices are consistent, and how long to wait for that.

Services and EndpointSlices arrive on two watches, in any order. When a port is renamed, or a
Service is deleted and created again, for a moment one of the two is new and the other is old.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import is_mirror
from svclink_core.snapshot import LONG_AGO, RemoteCluster
from svclink_core.well_known import Reason

CONSISTENCY_TIMEOUT_SECONDS: Final = 2.0
"""How long Service and slices of a remote cluster that are inconsistent wait for each other."""


ABSENT: Final = frozenset(
    {
        Reason.REMOTE_SERVICE_MISSING,
        Reason.SELECTED_SERVICE_MISSING,
        Reason.SERVICE_NOT_SELECTED,
    }
)
"""Reasons of a remote Service that is not read, whose slices may be about to go too."""


def settles_at(remote: RemoteCluster, service: NamespacedName) -> float:
    """When what a synced cluster says about a Service counts even if it is inconsistent.

    Both lists of the cluster are of different moments too.
    """
    return max(remote.since, remote.changed_at.get(service, LONG_AGO)) + CONSISTENCY_TIMEOUT_SECONDS


def is_consistent(service: Service | None, endpoint_slices: Iterable[EndpointSlice]) -> bool:
    """Whether a remote Service and its slices can be of the same moment.

    They are not if the slices are there and the Service is not, if a slice belongs to an earlier
    Service of the name, or if it has a port that the Service does not have. The reverse is normal:
    a Service may have no slices, and slices need not have every port.
    """
    sources = [each for each in endpoint_slices if not is_mirror(each)]
    if service is None:
        return not sources
    ports = {(port.name, port.protocol) for port in service.spec.ports}
    return all(
        _belongs_to(each, service)
        and ports.issuperset([(port.name, port.protocol) for port in each.ports])
        for each in sources
    )


def current_slices(
    service: Service, endpoint_slices: Collection[EndpointSlice]
) -> Collection[EndpointSlice]:
    """The slices that belong to a remote Service; all of them if they belong to an earlier one.

    Kubernetes writes the slices of a re-created Service before the old ones go. A mirror is not one
    of them, so that what is said of it does not depend on time.
    """
    current = [each for each in endpoint_slices if is_mirror(each) or _belongs_to(each, service)]
    return endpoint_slices if all(map(is_mirror, current)) else current


def may_break_consistency(
    old: Service | EndpointSlice | None, new: Service | EndpointSlice | None
) -> bool:
    """Whether after a change of a remote object Service and slices may be inconsistent.

    A Service or a slice is new, its ports changed, or a Service is gone.
    """
    if isinstance(new, EndpointSlice):  # `match` takes twice as long, and this is frequent.
        return not isinstance(old, EndpointSlice) or old.ports != new.ports
    if isinstance(old, Service) and isinstance(new, Service):
        return old.metadata.uid != new.metadata.uid or old.spec.ports != new.spec.ports
    return not isinstance(old, EndpointSlice)


def _belongs_to(endpoint_slice: EndpointSlice, service: Service) -> bool:
    """Whether the owner of a slice is the Service; a slice without such an owner belongs to it."""
    uids = [
        owner.uid
        for owner in endpoint_slice.metadata.owner_references
        if owner.is_service and owner.name == service.metadata.name
    ]
    return not uids or service.metadata.uid in uids
