"""What is known of every cluster. A change says which Services it concerns; a snapshot is a view, made without copying.

Synchronous, without a client: whoever reads clusters tells the store, whoever decides asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import TypeAlias, TypeVar, assert_never

from attrs import define, evolve, field, frozen

from svclink_controller.state.changes import (
    LinkChanged,
    LinkStatusChanged,
    Listener,
    ServicesToPlan,
    ignore_changes,
)
from svclink_controller.state.cluster_objects import ClusterObjects, MirrorCounts, Tally
from svclink_controller.state.link_index import LinkIndex, is_older
from svclink_controller.state.propagation import PropagationClock
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core.core_v1 import Namespace, Service
from svclink_core.deletion_guard import UNGUARDED, Guard
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.enqueueing import (
    ClusterChanged,
    EndpointSliceChanged,
    Event,
    GuardChanged,
    NamespaceChanged,
    ServiceChanged,
    requests_for,
)
from svclink_core.link_identity import Problem, elected
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.snapshot import PENDING, Connection, MainCluster, Options, RemoteCluster, Snapshot
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import MAIN

ClusterObject: TypeAlias = Service | EndpointSlice
ObjectType: TypeAlias = type[Service] | type[EndpointSlice]
T = TypeVar("T", Service, EndpointSlice)


@frozen
class Observation:
    """What is known of the connection to a cluster, for the status of its link."""

    problem: Problem | None = None
    version: str | None = None
    cluster_id: str | None = None
    last_connected: str | None = None


@define
class Store:
    """Everything known, and whom to tell of changes.

    Args:
        options: Settings that decisions depend on.
        listener: Called with every change, in order.
    """

    options: Options
    listener: Listener = ignore_changes
    propagation: PropagationClock = field(factory=PropagationClock)
    links: dict[str, ClusterLink] = field(factory=dict)
    link_index: LinkIndex = field(factory=LinkIndex)
    connections: dict[str, Connection] = field(factory=dict)
    observations: dict[str, Observation] = field(factory=dict)
    _guards: dict[str, Guard] = field(factory=dict)
    _namespaces: dict[str, Namespace] | None = None
    _clusters: dict[str, ClusterObjects] = field(factory=lambda: {MAIN: ClusterObjects()})
    _listed: set[type] = field(factory=set)
    _tally: Tally = field(factory=Tally)
    _snapshot: Snapshot | None = None

    # What the core sees

    @property
    def is_complete(self) -> bool:
        """Whether links, Services and slices of the main cluster have all been listed. Before, nothing is decided."""
        return self._listed == {ClusterLink, Service, EndpointSlice}

    def snapshot(self) -> Snapshot:
        """What the core may look at: a view of the store as it is, to be used before the next change."""
        if self._snapshot is None:
            main = self._clusters[MAIN]
            self._snapshot = Snapshot(
                main=MainCluster(
                    services=MappingProxyType(main.services),
                    endpoint_slices=MappingProxyType(main.slices_by_service),
                    names=MappingProxyType(main.slices),
                    undecodable=main.undecodable.values(),
                    namespaces=None if self._namespaces is None else self._namespaces.keys(),
                    terminating={
                        name
                        for name, each in (self._namespaces or {}).items()
                        if each.is_terminating
                    },
                ),
                remotes=MappingProxyType(
                    {name: self._remote(name, link) for name, link in self.links.items()}
                ),
                options=self.options,
            )
        return self._snapshot

    def count(self, cluster: str, kind: ObjectType) -> int:
        """How many objects of a kind a cluster has, at most: what nobody understands counts for every kind."""
        objects = self._of(cluster)
        return len(objects.slices if kind is EndpointSlice else objects.services) + len(
            objects.undecodable
        )

    def mirrored(self, cluster: str) -> MirrorCounts:
        """How much the main cluster has of a remote one."""
        return self._tally.of(cluster)

    def service_of(
        self, cluster: str, kind: ObjectType, key: NamespacedName
    ) -> NamespacedName | None:
        """The Service an object belongs to, as far as that is known; a Service belongs to itself."""
        if kind is not EndpointSlice:
            return key
        objects = self._clusters.get(cluster)
        held = None if objects is None else objects.slices.get(key)
        return None if held is None else held.service

    def has_slice(self, key: NamespacedName, uid: str, version: str) -> bool:
        """Whether a slice of the main cluster is held in this very version: answers to writes overtake the watch."""
        main = self._clusters[MAIN]
        held = main.slices.get(key)
        if held is None or (EndpointSlice, key) in main.undecodable:
            return False
        return bool(version) and (held.metadata.uid, held.metadata.resource_version) == (
            uid,
            version,
        )

    def sharing(self, cluster: str, endpoint_slice: EndpointSlice) -> EndpointSlice:
        """A slice that was just read, made of what is held already where that is equal: endpoints fill the memory.

        One that is as it was is the very one that is held. A mirror gets the endpoints of the remote slice it is of.
        """
        held = self._of(cluster).slices.get(endpoint_slice.metadata.key)
        if held == endpoint_slice:
            return held
        source = self._source(endpoint_slice) if cluster == MAIN else None
        if source is None or source.normal_endpoints != endpoint_slice.endpoints:
            return endpoint_slice
        return evolve(endpoint_slice, endpoints=source.normal_endpoints)

    def _source(self, mirror: EndpointSlice) -> EndpointSlice | None:
        """The remote slice that a slice of the main cluster is a mirror of, where it is known."""
        objects = self._clusters.get(mirror.cluster or MAIN)
        if objects is None or not mirror.is_ours:
            return None
        return objects.slices.get(NamespacedName(mirror.metadata.namespace, mirror.source or ""))

    def _remote(self, name: str, link: ClusterLink) -> RemoteCluster:
        objects = self._clusters.setdefault(name, ClusterObjects())
        return RemoteCluster(
            link=link,
            connection=self.connections.get(name, PENDING),
            services=MappingProxyType(objects.services),
            endpoint_slices=MappingProxyType(objects.slices_by_service),
            undecodable=objects.undecodable.values(),
            guard=self.guard(name),
        )

    def guard(self, cluster: str) -> Guard:
        """Which deletions that a cluster asks for have to wait."""
        return self._guards.get(cluster, UNGUARDED)

    # Links

    def put_link(self, link: ClusterLink, *, listed: bool = False) -> None:
        """A ClusterLink was added or changed; the answer to a status write may be older than what is held.

        Its status is svclink's own and concerns no Service.
        """
        if self.link_index.put(link, listed=listed):
            self._elect(link.metadata.name)

    def remove_link(self, name: str, namespace: str = "") -> None:
        """A ClusterLink is gone: with the last of its name, what was mirrored from its cluster will go."""
        if not self.link_index.remove(NamespacedName(namespace, name)):
            return
        if self.link_index.of(name):
            self._elect(name)
            return
        for held in (self.links, self.connections, self.observations, self._guards, self._clusters):
            held.pop(name, None)
        self.propagation.forget(name)
        self._cluster_changed(name)

    def _elect(self, name: str) -> None:
        """Let the link count that has to, of those of a name."""
        old, new = self.links.get(name), elected(self.link_index.of(name))
        self.links[name] = new
        if old is None or _rules(old) != _rules(new):
            self._cluster_changed(name)

    def set_connection(self, cluster: str, connection: Connection) -> None:
        """A remote cluster was synced, was lost, or is to be listed anew."""
        if cluster in self.links and self.connections.get(cluster, PENDING) != connection:
            self.connections[cluster] = connection
            self._cluster_changed(cluster)

    def observe(self, cluster: str, observation: Observation) -> None:
        """Something was learnt of the connection to a remote cluster."""
        if cluster in self.links and self.observations.get(cluster) != observation:
            self.observations[cluster] = observation
            self.mark_status_changed(cluster)

    def set_guard(self, cluster: str, guard: Guard, doomed: Iterable[NamespacedName]) -> None:
        """The deletion guard of a cluster changed, and with it the plans of the Services `doomed`."""
        if cluster in self.links:
            self._guards[cluster] = guard
            self._snapshot = None
            self.mark_status_changed(cluster)
            self._dirty(GuardChanged(frozenset(doomed)))

    def mark_status_changed(self, cluster: str) -> None:
        """Report that the status of a link is out of date, for a reason inside or outside of the state."""
        self.listener(LinkStatusChanged(cluster))

    def wake(self, cluster: str) -> None:
        """A moment has come at which other things hold for a cluster, although nothing is news."""
        self._dirty(ClusterChanged(cluster))

    # Namespaces of the main cluster

    def replace_namespaces(self, listing: Listing[Namespace]) -> None:
        """The complete list of them. One that cannot be understood exists all the same."""
        unclear = {
            each.key.name: Namespace(ObjectMeta(each.key.name)) for each in listing.undecodable
        }
        self._namespaces = unclear | {item.metadata.name: item for item in listing.items}
        self._snapshot = None
        self._dirty(ClusterChanged(MAIN))

    def put_namespace(self, namespace: Namespace) -> None:
        """One was added, or changed."""
        name = namespace.metadata.name
        if self._namespaces is not None:
            self._namespaces[name] = namespace
            self._namespace_changed(name)

    def remove_namespace(self, name: str) -> None:
        """One is gone."""
        if self._namespaces is not None and self._namespaces.pop(name, None) is not None:
            self._namespace_changed(name)

    def _namespace_changed(self, name: str) -> None:
        self._snapshot = None
        self._dirty(NamespaceChanged(name))

    def forget(self, cluster: str) -> None:
        """A remote cluster is no longer read: its objects are freed, and it counts as never listed."""
        self._clusters.pop(cluster, None)
        self.propagation.forget(cluster)
        self.set_connection(cluster, PENDING)
        self._snapshot = None

    def mark_listed(self, kind: type) -> None:
        """All objects of a kind of the main cluster are known; with the last kind, everything is planned."""
        before = self.is_complete
        self._listed.add(kind)
        if self.is_complete and not before:
            self._dirty(ClusterChanged(MAIN))

    # Services and EndpointSlices of any cluster

    def replace(
        self, cluster: str, kind: ObjectType, listing: Listing[T], namespace: str = ""
    ) -> None:
        """A complete list, of one namespace or of all: what is not in it does not exist any more."""
        for _ in self.replacing(cluster, kind, listing, namespace):
            pass

    def replacing(
        self, cluster: str, kind: ObjectType, listing: Listing[T], namespace: str = ""
    ) -> Iterator[None]:
        """`replace`, one object at a time. Others may use the store in between, as between two events of a watch."""
        items = {item.metadata.key: item for item in listing.items}
        held = [
            key for key in self._held(cluster, kind) if not namespace or key.namespace == namespace
        ]
        for key in set(held) - items.keys() - {each.key for each in listing.undecodable}:
            self.remove(cluster, kind, key)
            yield
        for key, item in items.items():
            self._put(cluster, key, item)
            yield
        for each in listing.undecodable:
            self.mark_undecodable(cluster, kind, each)
            yield
        if cluster == MAIN:
            self.mark_listed(kind)

    def put(self, cluster: str, item: ClusterObject) -> None:
        """A watch tells that an object was added or changed.

        In the main cluster the watch lags behind the answers to svclink's own writes; what they overtook is old news.
        """
        held = self._clusters[MAIN].slices.get(item.metadata.key) if cluster == MAIN else None
        if not (
            isinstance(item, EndpointSlice)
            and held is not None
            and is_older(item.metadata, held.metadata)
        ):
            self._put(cluster, item.metadata.key, item)

    def remove(self, cluster: str, kind: ObjectType, key: NamespacedName) -> None:
        """An object is gone."""
        objects = self._objects(cluster, kind, key)
        if kind is EndpointSlice:
            if (old_slice := objects.put_slice(key, None)) is not None:
                self._count(cluster, old_slice, None)
                self._object_changed(
                    cluster, EndpointSliceChanged(old_slice, None, in_main=cluster == MAIN)
                )
        elif (old := objects.services.pop(key, None)) is not None:
            self._object_changed(cluster, ServiceChanged(old, None))

    def mark_gone(self, key: NamespacedName, uid: str) -> None:
        """A write found that a slice of the main cluster does not exist.

        The watch has said so already where the answer to an earlier write, which came after, brought the slice back.
        """
        held = self._clusters[MAIN].slices.get(key)
        if held is not None and held.metadata.uid == uid:
            self.remove(MAIN, EndpointSlice, key)

    def mark_undecodable(self, cluster: str, kind: ObjectType, each: Undecodable) -> None:
        """An object exists, but in a form nobody understands: its Service is left as it is."""
        self._of(cluster).undecodable[kind, each.key] = each.service
        self._plan_again(each.service)

    def _put(self, cluster: str, key: NamespacedName, item: ClusterObject) -> None:
        objects = self._objects(cluster, type(item), key)
        match item:
            case Service():
                old = objects.services.get(key)
                objects.services[key] = item
                if old is None or not _is_same(old, item):
                    self._object_changed(cluster, ServiceChanged(old, item))
            case EndpointSlice():
                old_slice = objects.put_slice(key, item)
                if old_slice is None or not _is_same(old_slice, item):
                    self._count(cluster, old_slice, item)
                    self._object_changed(
                        cluster, EndpointSliceChanged(old_slice, item, in_main=cluster == MAIN)
                    )
            case unexpected:
                assert_never(unexpected)

    def _objects(self, cluster: str, kind: ObjectType, key: NamespacedName) -> ClusterObjects:
        """The objects of a cluster, one of which is about to be known again."""
        objects = self._of(cluster)
        if (service := objects.undecodable.pop((kind, key), None)) is not None:
            self._plan_again(service)
        return objects

    def _held(self, cluster: str, kind: ObjectType) -> set[NamespacedName]:
        """What exists of a kind, understood or not."""
        objects = self._of(cluster)
        known = objects.slices if kind is EndpointSlice else objects.services
        return known.keys() | {key for each, key in objects.undecodable if each is kind}

    def _of(self, cluster: str) -> ClusterObjects:
        if cluster != MAIN and cluster not in self.links:
            return (
                ClusterObjects()
            )  # A last word from the cluster of a link that is gone: nobody keeps it.
        if (objects := self._clusters.get(cluster)) is None:
            objects = self._clusters[cluster] = ClusterObjects()
        return objects

    def _count(self, cluster: str, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        if cluster != MAIN:
            return
        self._tally.count(old, -1)
        self._tally.count(new, 1)
        for source in {
            endpoint_slice.cluster
            for endpoint_slice in (old, new)
            if endpoint_slice is not None and endpoint_slice.is_ours
        }:
            self.mark_status_changed(source or MAIN)

    def _cluster_changed(self, cluster: str) -> None:
        self._snapshot = None
        self.mark_status_changed(cluster)
        self.listener(LinkChanged(cluster))
        self._dirty(ClusterChanged(cluster))

    def _object_changed(self, cluster: str, event: ServiceChanged | EndpointSliceChanged) -> None:
        """Nothing of a cluster counts before it is synced, and then everything is planned: its list is long."""
        if cluster == MAIN or self.connections.get(cluster, PENDING) != PENDING:
            self._dirty(event)

    def _dirty(self, event: Event) -> None:
        if self.is_complete:
            self.listener(ServicesToPlan(requests_for(event, self.snapshot())))

    def _plan_again(self, service: NamespacedName) -> None:
        if self.is_complete:
            self.listener(ServicesToPlan((service,)))


def _rules(link: ClusterLink) -> tuple[object, ...]:
    """What of a link decides about Services."""
    return link.spec, link.metadata.uid, link.is_selected


def _is_same(old: Service | EndpointSlice, new: Service | EndpointSlice) -> bool:
    """Whether two states are one: the API server counts up the resourceVersion with every change."""
    same_object = old.metadata.uid == new.metadata.uid
    return (
        same_object
        and bool(old.metadata.resource_version)
        and old.metadata.resource_version == new.metadata.resource_version
    )
