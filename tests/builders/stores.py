"""Builders of a state."""

from __future__ import annotations

from typing import TypeVar

from svclink_controller.state.cluster_objects import ObjectType
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice

T = TypeVar("T", Service, EndpointSlice)


def replace_objects(
    store: Store, cluster: str, kind: ObjectType, listing: Listing[T], namespace: str = ""
) -> None:
    """Let a store take a complete list of one namespace, or of all, at once."""
    for _ in store.replacing(cluster, kind, listing, namespace):
        pass
