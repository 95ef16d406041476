"""Which Services have to be planned again after an event."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from attrs import frozen

from svclink_core.api_server_calls import ApiServerCalls
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.naming import services_named
from svclink_core.ownership import service_of
from svclink_core.snapshot import Snapshot, all_keys
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy


@frozen
class ServiceChanged:
    """A Service of any cluster was added (`old` is None), removed (`new` is None) or changed."""

    old: Service | None
    new: Service | None


@frozen
class EndpointSliceChanged:
    """An EndpointSlice was added, removed or changed. Names matter only in the main cluster."""

    old: EndpointSlice | None
    new: EndpointSlice | None
    in_main: bool


@frozen
class ClusterChanged:
    """A ClusterLink changed, or its cluster was synced, lost, or lost for too long."""

    name: str


@frozen
class NamespaceChanged:
    """A Namespace of the main cluster was added or removed, or is being deleted."""

    name: str


@frozen
class RemoteNamespaceChanged:
    """A Namespace of a linked cluster was selected, listed, deselected or deleted."""

    name: str


@frozen
class GuardChanged:
    """A cluster's deletion guard changed; `services` are the Services with deletions."""

    services: frozenset[NamespacedName]


@frozen
class TrafficPolicyChanged:
    """A TrafficPolicy was added (`old` is None), removed (`new` is None) or changed."""

    old: TrafficPolicy | None
    new: TrafficPolicy | None


@frozen
class ApiServerCallsChanged:
    """The main cluster's API server calls different Services, or svclink learned which it calls."""

    old: ApiServerCalls
    new: ApiServerCalls


Event: TypeAlias = (
    ServiceChanged
    | EndpointSliceChanged
    | ClusterChanged
    | NamespaceChanged
    | RemoteNamespaceChanged
    | GuardChanged
    | TrafficPolicyChanged
    | ApiServerCallsChanged
)


def requests_for(event: Event, snapshot: Snapshot) -> set[NamespacedName]:
    """Return the Services whose plans the event may have changed (law L7: never too few).

    Args:
        event: What happened.
        snapshot: What is known after the event.
    """
    match event:
        case ServiceChanged(old, new):
            found = {service.metadata.key for service in (old, new) if service is not None}
        case EndpointSliceChanged(old, new, in_main):
            found = _with_slice(old, new, snapshot, in_main=in_main)
        case ClusterChanged():
            found = set(all_keys(snapshot))
        case RemoteNamespaceChanged(name):
            found = {key for key in all_keys(snapshot) if key.namespace == name}
        case NamespaceChanged(name):
            found = _waiting_for_namespace(name, snapshot)
        case GuardChanged(services):
            found = set(services)
        case TrafficPolicyChanged(old, new):
            found = {policy.service for policy in (old, new) if policy is not None}
        case ApiServerCallsChanged(old, new):
            found = _called_otherwise(old, new, snapshot)
        case unexpected:
            assert_never(unexpected)
    return found


def _with_slice(
    old: EndpointSlice | None, new: EndpointSlice | None, snapshot: Snapshot, *, in_main: bool
) -> set[NamespacedName]:
    """The Services that a slice belonged to and belongs to, and those that wait for its name."""
    slices = [endpoint_slice for endpoint_slice in (old, new) if endpoint_slice is not None]
    keys = {service_of(endpoint_slice) for endpoint_slice in slices}
    found = {key for key in keys if key is not None}
    if in_main and len(slices) == 1:
        found |= _waiting_for_name(slices[0].metadata.key, snapshot)
    return found


def _waiting_for_name(name: NamespacedName, snapshot: Snapshot) -> set[NamespacedName]:
    """Services that would take a name that was just taken or became free."""
    services = {
        NamespacedName(name.namespace, service)
        for service in services_named(name.name, snapshot.remotes)
    }
    return {service for service in services if service in snapshot.main.services}


def _waiting_for_namespace(name: str, snapshot: Snapshot) -> set[NamespacedName]:
    """Services whose creation in the main cluster may depend on a namespace."""
    if not snapshot.options.sync_services:
        return set()
    keys = {
        key
        for remote in snapshot.remotes.values()
        for key in remote.services
        if key.namespace == name
    }
    return {key for key in keys if key not in snapshot.main.services}


def _called_otherwise(
    old: ApiServerCalls, new: ApiServerCalls, snapshot: Snapshot
) -> set[NamespacedName]:
    """Services that the API server calls now and did not before, or the reverse."""
    if old.is_known != new.is_known:
        return set(all_keys(snapshot))
    called = old.by_service.keys() | new.by_service.keys()
    return {key for key in called if old.of(key) != new.of(key)}
