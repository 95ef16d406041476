"""The objects of one cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from attrs import define, field

from svclink_controller.state.recent_times import RecentTimes
from svclink_controller.state.versioned_map import VersionedMap
from svclink_core.budget import UNDECODABLE_BYTES, footprint
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import service_of
from svclink_core.remote_consistency import CONSISTENCY_TIMEOUT_SECONDS, may_break_consistency
from svclink_core.snapshot import UnreadNamespace

ObjectType: TypeAlias = type[Service] | type[EndpointSlice]


@define
class ClusterObjects:
    """Services and EndpointSlices of one cluster, and which of its objects could not be decoded.

    Attributes:
        services: By key.
        slices: By key.
        slices_by_service: The same slices by the Service they belong to; those without a Service
            are left out.
        undecodable_services: The Services with undecodable objects, and how many each has.
        unread_namespaces: The namespaces that are not read, and why.
        is_limited: Whether the memory of the objects is counted, as for remote clusters.
        changed_at: When Service and slices last changed so that they may be inconsistent.
    """

    services: VersionedMap[NamespacedName, Service] = field(factory=VersionedMap)
    slices: VersionedMap[NamespacedName, EndpointSlice] = field(factory=VersionedMap)
    slices_by_service: VersionedMap[NamespacedName, tuple[EndpointSlice, ...]] = field(
        factory=VersionedMap
    )
    undecodable_services: VersionedMap[NamespacedName, int] = field(factory=VersionedMap)
    unread_namespaces: VersionedMap[str, UnreadNamespace] = field(factory=VersionedMap)
    is_limited: bool = False
    changed_at: RecentTimes = field(factory=lambda: RecentTimes(CONSISTENCY_TIMEOUT_SECONDS))
    _memory: int = 0
    _undecodable: dict[tuple[ObjectType, NamespacedName], NamespacedName] = field(factory=dict)

    @property
    def memory(self) -> int:
        """About how many bytes the objects take, if that is counted."""
        return self._memory + UNDECODABLE_BYTES * len(self._undecodable)

    def holds(self, item: Service | EndpointSlice) -> bool:
        """Whether this very object is held, not only an equal one."""
        held = self._decoded(type(item)).get(item.metadata.key)
        return held is item

    def put_service(self, key: NamespacedName, new: Service | None) -> Service | None:
        """Set a Service, or remove it (None). Returns the previous one."""
        old = self.services.pop(key) if new is None else self.services.get(key)
        if new is not None and new is not old:
            self.services.set(key, new)
        self._count(old, new)
        return old

    def put_slice(self, key: NamespacedName, new: EndpointSlice | None) -> EndpointSlice | None:
        """Set an EndpointSlice, or remove it (None). Returns the previous one."""
        old = self.slices.get(key)
        if new is None:
            self.slices.pop(key)
        elif new is not old:
            self.slices.set(key, new)
        self._count(old, new)
        before = None if old is None else service_of(old)
        after = None if new is None else service_of(new)
        if before is not None and before != after:
            self._set_slices_of(before, self._others(before, old))
        if new is not None and after is not None and new is not old:
            self._set_slices_of(after, (*self._others(after, old), new))
        return old

    def _count(
        self, old: Service | EndpointSlice | None, new: Service | EndpointSlice | None
    ) -> None:
        if self.is_limited and new is not old:
            self._memory += 0 if new is None else footprint(new)
            self._memory -= 0 if old is None else footprint(old)

    def _others(
        self, service: NamespacedName, old: EndpointSlice | None
    ) -> tuple[EndpointSlice, ...]:
        slices = self.slices_by_service.get(service) or ()
        return tuple(each for each in slices if each is not old)

    def _set_slices_of(self, service: NamespacedName, slices: tuple[EndpointSlice, ...]) -> None:
        if slices:
            self.slices_by_service.set(service, slices)
        else:
            self.slices_by_service.pop(service)

    def mark_undecodable(
        self, kind: ObjectType, key: NamespacedName, service: NamespacedName
    ) -> None:
        """Note that the current state of an object of a Service could not be decoded."""
        self.clear_undecodable(kind, key)
        self._undecodable[kind, key] = service
        count = self.undecodable_services.get(service) or 0
        self.undecodable_services.set(service, count + 1)

    def clear_undecodable(self, kind: ObjectType, key: NamespacedName) -> NamespacedName | None:
        """Note that an object was decoded or removed. Returns its Service if it was undecodable."""
        service = self._undecodable.pop((kind, key), None)
        if service is not None:
            count = (self.undecodable_services.get(service) or 0) - 1
            if count:
                self.undecodable_services.set(service, count)
            else:
                self.undecodable_services.pop(service)
        return service

    def note_change(
        self,
        old: Service | EndpointSlice | None,
        new: Service | EndpointSlice | None,
        now: Callable[[], float],
    ) -> None:
        """Note when a Service changed so that its slices may not fit it, or the reverse."""
        if may_break_consistency(old, new) and (item := new or old) is not None:
            key = service_of(item) if isinstance(item, EndpointSlice) else item.metadata.key
            if key is not None:
                self.changed_at.set(key, now())

    def is_undecodable(self, kind: ObjectType, key: NamespacedName) -> bool:
        """Whether the current state of an object could not be decoded."""
        return (kind, key) in self._undecodable

    def set_unread_namespace(self, name: str, why: UnreadNamespace | None) -> bool:
        """Set why nothing is read of a namespace, None if it is. Returns whether that is new."""
        if self.unread_namespaces.get(name) is why:
            return False
        if why is None:
            self.unread_namespaces.pop(name)
        else:
            self.unread_namespaces.set(name, why)
        return True

    def keys(self, kind: ObjectType) -> set[NamespacedName]:
        """Every object of a kind that exists, decoded or not."""
        undecodable = {key for each, key in self._undecodable if each is kind}
        return {*self._decoded(kind).version(), *undecodable}

    def _decoded(
        self, kind: ObjectType
    ) -> VersionedMap[NamespacedName, Service] | VersionedMap[NamespacedName, EndpointSlice]:
        return self.slices if kind is EndpointSlice else self.services


def is_same_version(old: Service | EndpointSlice, new: Service | EndpointSlice) -> bool:
    """Whether two states are the same one: each change of an object gives it another version."""
    version = old.metadata.resource_version
    same_uid = old.metadata.uid == new.metadata.uid
    return same_uid and bool(version) and version == new.metadata.resource_version
