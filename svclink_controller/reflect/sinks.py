"""From reflectors to the store: what a list or watch says of a cluster becomes what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import frozen

from svclink_controller.api.errors import TransportError
from svclink_controller.loop_turns import in_turns
from svclink_controller.reflect.pager import MAX_OBJECTS
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.svclink_v1alpha1 import ClusterLink

T = TypeVar("T", Service, EndpointSlice)


@frozen
class ObjectSink(Generic[T]):
    """Services or EndpointSlices of one cluster, of one namespace or (empty) of all."""

    store: Store
    cluster: str
    kind: type[T]
    namespace: str = ""

    async def replace(self, listing: Listing[T]) -> None:
        """The complete list. Ten thousand slices take a tenth of a second, in which others get their turn."""
        await in_turns(self.store.replacing(self.cluster, self.kind, listing, self.namespace))

    def apply(self, item: T) -> None:
        """An object was added or changed."""
        self._receive(item.metadata.key)
        self.store.put(self.cluster, item)
        self._receive(item.metadata.key)
        self._require_an_end()

    def remove(self, key: NamespacedName) -> None:
        """An object is gone."""
        self._receive(key)
        self.store.remove(self.cluster, self.kind, key)

    def mark_undecodable(self, each: Undecodable) -> None:
        """An object cannot be understood."""
        self.store.mark_undecodable(self.cluster, self.kind, each)
        self._require_an_end()

    def _require_an_end(self) -> None:
        """A server that always has one more object would fill the memory, in a watch as in a list."""
        if (count := self.store.count(self.cluster, self.kind)) > MAX_OBJECTS:
            raise TransportError(
                f"the server has {count} objects of one kind, more than the {MAX_OBJECTS} svclink reads"
            )

    def _receive(self, key: NamespacedName) -> None:
        """Note that the Service of an object has news, the one it had and the one it has."""
        service = self.store.service_of(self.cluster, self.kind, key)
        if service is not None and self.cluster in self.store.links:
            self.store.propagation.record_change(self.cluster, service)


@frozen
class NamespaceSink:
    """Namespaces of the main cluster."""

    store: Store

    async def replace(self, listing: Listing[Namespace]) -> None:
        """The complete list."""
        self.store.replace_namespaces(listing)

    def apply(self, item: Namespace) -> None:
        """A Namespace was added or changed."""
        self.store.put_namespace(item)

    def remove(self, key: NamespacedName) -> None:
        """A Namespace is gone."""
        self.store.remove_namespace(key.name)

    def mark_undecodable(self, each: Undecodable) -> None:
        """A Namespace cannot be understood; it exists."""
        self.store.put_namespace(Namespace(ObjectMeta(each.key.name)))


@frozen
class LinkSink:
    """ClusterLinks of the main cluster.

    Args:
        store: Told first.
        changed: Called with the name of each link that was added, changed or removed.
        is_everything_selected: Whether also a link of which nobody can tell is this controller's.
    """

    store: Store
    changed: Callable[[str], None]
    is_everything_selected: bool = True

    async def replace(self, listing: Listing[ClusterLink]) -> None:
        """The complete list."""
        listed = {link.metadata.key for link in listing.items} | {
            each.key for each in listing.undecodable
        }
        for key in self.store.link_index.keys() - listed:
            self.remove(key)
        for link in listing.items:
            self.store.put_link(link, listed=True)
            self.changed(link.metadata.name)
        for each in listing.undecodable:
            self.mark_undecodable(each)
        self.store.mark_listed(ClusterLink)

    def apply(self, item: ClusterLink) -> None:
        """A link was added or changed."""
        self.store.put_link(item)
        self.changed(item.metadata.name)

    def remove(self, key: NamespacedName) -> None:
        """A link is gone, and with it what was mirrored from its cluster."""
        self.store.remove_link(key.name, key.namespace)
        self.changed(key.name)

    def mark_undecodable(self, each: Undecodable) -> None:
        """A link cannot be understood: the last state that could be stays in force, else it only holds its place."""
        if each.key not in self.store.link_index:
            metadata = ObjectMeta(name=each.key.name, namespace=each.key.namespace)
            self.apply(ClusterLink(metadata, is_selected=self.is_everything_selected))
