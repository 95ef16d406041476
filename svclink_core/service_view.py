"""What a snapshot says about one Service."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from svclink_core.api_server_calls import ApiServerCall
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import Leftover, Ours, owner_of
from svclink_core.snapshot import Snapshot, Synced


@frozen
class ServiceView:
    """What a snapshot says about one Service.

    Args:
        snapshot: The snapshot.
        key: Namespace and name of the Service.
        main: The Service in the main cluster, None if it has none.
        ours: The slices that svclink mirrors, by cluster.
        leftovers: The slices that the Go release mirrored, by cluster.
        local: All other slices of the Service in the main cluster.
    """

    snapshot: Snapshot
    key: NamespacedName
    main: Service | None
    ours: Mapping[str, list[EndpointSlice]]
    leftovers: Mapping[str, list[EndpointSlice]]
    local: list[EndpointSlice]

    def is_known_of(self, cluster: str) -> bool:
        """Whether a linked cluster is known to have the Service, or has mirrors of it."""
        remote = self.snapshot.remotes[cluster]
        is_found = isinstance(remote.connection, Synced) and self.key in remote.services
        return is_found or bool(self.ours.get(cluster))

    @property
    def is_decodable(self) -> bool:
        """Whether every object of the Service in the main cluster could be decoded."""
        return self.key not in self.snapshot.main.undecodable

    @property
    def call(self) -> ApiServerCall:
        """Whether the main cluster's API server calls the Service."""
        return self.snapshot.main.api_server_calls.of(self.key)


def view_of(snapshot: Snapshot, key: NamespacedName) -> ServiceView:
    """What a snapshot says about the Service `key`."""
    ours: dict[str, list[EndpointSlice]] = {}
    leftovers: dict[str, list[EndpointSlice]] = {}
    local = []
    for endpoint_slice in snapshot.main.endpoint_slices.get(key, ()):
        owner = owner_of(endpoint_slice)
        if isinstance(owner, Ours):  # `match` takes twice as long, and this runs for every slice.
            ours.setdefault(owner.cluster, []).append(endpoint_slice)
        elif isinstance(owner, Leftover):
            leftovers.setdefault(owner.cluster, []).append(endpoint_slice)
        else:
            local.append(endpoint_slice)
    return ServiceView(snapshot, key, snapshot.main.services.get(key), ours, leftovers, local)
