"""Prepares what replaces all objects of a cluster, while the previous ones are in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar, assert_never

from attrs import Factory, define, field

from svclink_controller.state.cluster_objects import ClusterObjects, ObjectType, is_same_version
from svclink_controller.wire.messages import Listing
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName

T = TypeVar("T", Service, EndpointSlice)


@define
class Successor:
    """The next objects of a remote cluster. Each generator takes one object at a time.

    Args:
        previous: The objects in force.
        now: The clock, if the cluster is synced: changes are noted, because Services and slices
            were listed at different moments. None if that is known of the whole cluster.
    """

    previous: ClusterObjects
    now: Callable[[], float] | None
    objects: ClusterObjects = field(
        init=False,
        default=Factory(
            lambda self: ClusterObjects(is_limited=True, changed_at=self.previous.changed_at),
            takes_self=True,
        ),
    )

    def taking(self, kind: type[T], listing: Listing[T]) -> Iterator[None]:
        """Take a complete list of one namespace, or of all of them. The list is empty afterwards.

        An undecodable object keeps its previous state, as it does in a watch.
        """
        for item in listing.items:
            self._put(item)
            yield
        listing.items.clear()
        for each in listing.undecodable:
            if (previous := self._previous(kind, each.key)) is not None:
                self._put(previous)
            self.objects.mark_undecodable(kind, each.key, each.service)
            yield

    def noting_removals(self) -> Iterator[None]:
        """Note which Services are gone, after everything was taken."""
        if self.now is not None:
            for key, service in self.previous.services.version().items():
                if key not in self.objects.services:
                    self.objects.note_change(service, None, self.now)
                yield

    def _put(self, item: Service | EndpointSlice) -> None:
        key = item.metadata.key
        match item:
            case Service():
                self.objects.put_service(key, item)
            case EndpointSlice():
                self.objects.put_slice(key, item)
            case unexpected:
                assert_never(unexpected)
        previous = self._previous(type(item), key)
        if self.now is not None and (previous is None or not is_same_version(previous, item)):
            self.objects.note_change(previous, item, self.now)

    def _previous(self, kind: ObjectType, key: NamespacedName) -> Service | EndpointSlice | None:
        held = self.previous
        return held.slices.get(key) if kind is EndpointSlice else held.services.get(key)
