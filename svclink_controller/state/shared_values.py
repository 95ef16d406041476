"""Makes decoded slices of values that are held already: endpoints take most of the memory."""

from __future__ import annotations

from attrs import evolve

from svclink_controller.state.store import Store
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.mirroring import normal_endpoints
from svclink_core.ownership import cluster_of
from svclink_core.well_known import MAIN


def reuse_held(store: Store, cluster: str, endpoint_slice: EndpointSlice) -> EndpointSlice:
    """A slice that was just decoded, or an equal one made of values that are held already.

    A slice that did not change is replaced by the held one, and a mirror gets the endpoints of its
    source slice.

    Args:
        store: The state.
        cluster: The cluster that the slice is of.
        endpoint_slice: The slice.
    """
    held = store.held_slice(cluster, endpoint_slice.metadata.key)
    if held == endpoint_slice:
        return held
    source = _source(store, endpoint_slice) if cluster == MAIN else None
    normal = () if source is None else normal_endpoints(source) or ()
    is_equal = normal == endpoint_slice.endpoints
    return evolve(endpoint_slice, endpoints=normal) if is_equal else endpoint_slice


def _source(store: Store, mirror: EndpointSlice) -> EndpointSlice | None:
    """The source slice of a mirror, None if it is not held or the slice is not a mirror."""
    cluster = cluster_of(mirror)
    key = NamespacedName(mirror.metadata.namespace, mirror.source or "")
    return None if cluster is None else store.held_slice(cluster, key)
