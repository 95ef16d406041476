"""The state of every cluster, as far as it was read.

Everything here is synchronous and without a client. Reflectors and remotes put in what they read,
the listener learns what changed, and a snapshot gives the core a value to plan with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias, TypeVar, assert_never

from attrs import Factory, define, field

from svclink_controller.state.changes import (
    LinkChanged,
    LinkStatusChanged,
    Listener,
    ServicesToPlan,
    ignore_changes,
)
from svclink_controller.state.cluster_objects import (
    ClusterObjects,
    ObjectType,
    is_same_version,
)
from svclink_controller.state.link_index import LinkIndex, is_older
from svclink_controller.state.link_states import LinkStates, Observation
from svclink_controller.state.main.facts import MainFacts
from svclink_controller.state.mirror_counts import MirrorCounter, MirrorCounts
from svclink_controller.state.propagation import PropagationTimes
from svclink_controller.state.snapshots import SnapshotMaker
from svclink_controller.state.successor import Successor
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core.core_v1 import Service
from svclink_core.deletion_guard import Guard
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.enqueueing import (
    ClusterChanged,
    EndpointSliceChanged,
    Event,
    GuardChanged,
    RemoteNamespaceChanged,
    ServiceChanged,
    requests_for,
)
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import service_of
from svclink_core.snapshot import (
    PENDING,
    SYNCED,
    Connection,
    Options,
    Snapshot,
    UnreadNamespace,
)
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy
from svclink_core.well_known import MAIN

PLANNED_KINDS: Final = frozenset({ClusterLink, Service, EndpointSlice, TrafficPolicy})
"""The kinds of the main cluster that must have been listed before anything is planned."""

ClusterObject: TypeAlias = Service | EndpointSlice
T = TypeVar("T", Service, EndpointSlice)


@define
class Store:
    """The state of all clusters. A cluster is given by the name of its link, or by `MAIN`.

    Args:
        options: Settings that plans depend on.
        listener: Called with every change, in order.
        main: What is known of the main cluster besides its Services and EndpointSlices.
    """

    options: Options
    listener: Listener = ignore_changes
    propagation: PropagationTimes = field(factory=PropagationTimes)
    _link_states: LinkStates = field(factory=LinkStates)
    main: MainFacts = field(
        default=Factory(lambda self: MainFacts(self._main_changed), takes_self=True)
    )
    _clusters: dict[str, ClusterObjects] = field(factory=lambda: {MAIN: ClusterObjects()})
    _mirror_counter: MirrorCounter = field(factory=MirrorCounter)
    _listed: set[type] = field(factory=set)
    _snapshots: SnapshotMaker = field(
        default=Factory(
            lambda self: SnapshotMaker(self._link_states, self.main, self._clusters),
            takes_self=True,
        )
    )

    # Reading

    @property
    def is_complete(self) -> bool:
        """Whether every kind of the main cluster was listed that plans depend on.

        Nothing is planned before: what is not known is not absent.
        """
        return self._listed == PLANNED_KINDS

    def snapshot(self) -> Snapshot:
        """The current state as a value, which costs nothing to take and never changes."""
        return self._snapshots.snapshot(self.options)

    @property
    def link_index(self) -> LinkIndex:
        """Every ClusterLink, including those that share a name."""
        return self._link_states.index

    @property
    def links(self) -> Mapping[str, ClusterLink]:
        """The ClusterLinks by name."""
        return self._link_states.links

    @property
    def connections(self) -> Mapping[str, Connection]:
        """The connection to each cluster by the name of its link. One that is absent is pending."""
        return self._link_states.connections

    @property
    def observations(self) -> Mapping[str, Observation]:
        """What was last observed of each connection, by the name of its link."""
        return self._link_states.observations

    def observation(self, cluster: str) -> Observation:
        """The last observation of a connection, an empty one before the first."""
        return self.observations.get(cluster, Observation())

    def guard(self, cluster: str) -> Guard:
        """The deletion guard of a cluster."""
        return self._link_states.guard(cluster)

    def mirrored(self, cluster: str) -> MirrorCounts:
        """How many mirrors the main cluster has of a remote one."""
        return self._mirror_counter.of(cluster)

    def memory(self, cluster: str) -> int:
        """About how many bytes the objects of a remote cluster take."""
        objects = self._clusters.get(cluster)  # Asked for each object of a first list.
        return 0 if objects is None else objects.memory

    def holds(self, cluster: str, item: ClusterObject) -> bool:
        """Whether this very object is held, not only an equal one."""
        return self._objects(cluster).holds(item)

    def held_slice(self, cluster: str, key: NamespacedName) -> EndpointSlice | None:
        """A slice that is held."""
        return self._objects(cluster).slices.get(key)

    def service_of(
        self, cluster: str, kind: ObjectType, key: NamespacedName
    ) -> NamespacedName | None:
        """The Service that a held slice belongs to; a Service belongs to itself."""
        if kind is not EndpointSlice:
            return key
        held = self.held_slice(cluster, key)
        return None if held is None else service_of(held)

    def has_slice(self, key: NamespacedName, uid: str, version: str) -> bool:
        """Whether a slice of the main cluster is held in exactly this version.

        Responses to svclink's own writes arrive before the watch events of these writes.
        """
        main = self._clusters[MAIN]
        held = main.slices.get(key)
        if held is None or not version or main.is_undecodable(EndpointSlice, key):
            return False
        return (held.metadata.uid, held.metadata.resource_version) == (uid, version)

    # Links

    def put_link(self, link: ClusterLink, *, listed: bool = False) -> None:
        """Add or change a ClusterLink.

        The response to a status write may be older than the held link, and is then ignored. A
        change of the status alone concerns no Service, unless another controller writes it.
        """
        if self._link_states.put(link, listed=listed):
            self._link_changed(link.metadata.name)

    def remove_link(self, name: str, namespace: str = "") -> None:
        """Remove a ClusterLink and, if it is the last of its name, all of its cluster."""
        if not self._link_states.remove(NamespacedName(namespace, name)):
            return
        if name not in self.links:
            self._clusters.pop(name, None)
            self.propagation.forget(name)
        self._link_changed(name)

    def set_connection(self, cluster: str, connection: Connection) -> None:
        """Set the connection to a remote cluster."""
        if self._link_states.set_connection(cluster, connection):
            self._link_changed(cluster)

    def observe(self, cluster: str, observation: Observation) -> None:
        """Set what was last observed of the connection to a remote cluster."""
        if self._link_states.observe(cluster, observation):
            self.mark_status_changed(cluster)

    def set_guard(self, cluster: str, guard: Guard, services: Iterable[NamespacedName]) -> None:
        """Set the deletion guard of a cluster, which changes the plans of these Services."""
        if self._link_states.set_guard(cluster, guard):
            self._snapshots.mark_outdated(cluster)
            self.mark_status_changed(cluster)
            self._plan_again_after(GuardChanged(frozenset(services)), cluster)

    def mark_status_changed(self, cluster: str) -> None:
        """Report that the status of a link is out of date."""
        self.listener(LinkStatusChanged(cluster))

    def wake(self, cluster: str) -> None:
        """Plan all Services again, because a deadline of a cluster has passed."""
        self._plan_again_after(ClusterChanged(cluster), None)

    def forget(self, cluster: str) -> None:
        """Drop all objects of a remote cluster that is not read. It counts as never listed."""
        self._clusters.pop(cluster, None)
        self.propagation.forget(cluster)
        self._snapshots.mark_outdated(cluster)
        self.set_connection(cluster, PENDING)

    def _link_changed(self, cluster: str) -> None:
        self._snapshots.mark_outdated(cluster)
        self.mark_status_changed(cluster)
        self.listener(LinkChanged(cluster))
        self._plan_again_after(ClusterChanged(cluster), None)

    def set_unread_namespace(self, cluster: str, name: str, why: UnreadNamespace | None) -> None:
        """Set why nothing is read of a namespace of a remote cluster; None if it is, or is gone."""
        if self._changing(cluster).set_unread_namespace(name, why):
            self._plan_again_after(RemoteNamespaceChanged(name), cluster)

    # Services and EndpointSlices of any cluster

    def replacing(
        self, cluster: str, kind: ObjectType, listing: Listing[T], namespace: str = ""
    ) -> Iterator[None]:
        """Take a complete list of one namespace, or of all, and remove what is not in it.

        One object at a time: between two of them others may use the store, as between watch events.
        """
        items = {item.metadata.key: item for item in listing.items}
        listed = items.keys() | {each.key for each in listing.undecodable}
        for key in self._objects(cluster).keys(kind) - listed:
            if not namespace or key.namespace == namespace:
                self.remove(cluster, kind, key)
                yield
        for item in items.values():
            self._put(cluster, item)
            yield
        for each in listing.undecodable:
            self.mark_undecodable(cluster, kind, each)
            yield
        if cluster == MAIN:
            self.mark_listed(kind)

    def successor(self, cluster: str) -> Successor:
        """Begin to replace everything of a remote cluster, which `take_over` ends."""
        is_synced = self._link_states.connection(cluster) == SYNCED
        return Successor(self._objects(cluster), self._link_states.now if is_synced else None)

    def take_over(self, cluster: str, successor: Successor) -> None:
        """Replace everything of a remote cluster in one step."""
        if cluster not in self.links:
            return
        self._clusters[cluster] = successor.objects
        self._snapshots.mark_outdated(cluster)
        if self._link_states.connection(cluster) != PENDING:  # Else it is planned once connected.
            self._plan_again_after(ClusterChanged(cluster), None)

    def mark_listed(self, kind: type) -> None:
        """Note that a kind of the main cluster is complete. After the last, all is planned."""
        was_complete = self.is_complete
        self._listed.add(kind)
        if self.is_complete and not was_complete:
            self._plan_again_after(ClusterChanged(MAIN), None)

    def put(self, cluster: str, item: ClusterObject, *, is_as_planned: bool = False) -> None:
        """Add or change an object, as a watch or the response to a write has it.

        In the main cluster the watch lags behind the responses to svclink's own writes. An older
        state is ignored.

        Args:
            cluster: The cluster.
            item: The object.
            is_as_planned: Whether a plan of its Service wanted exactly this. A plan that is applied
                has nothing left to change (law L1), so the Service is not planned again.
        """
        held = self._clusters[MAIN].slices.get(item.metadata.key) if cluster == MAIN else None
        is_overtaken = (
            isinstance(item, EndpointSlice)
            and held is not None
            and is_older(item.metadata, held.metadata)
        )
        if not is_overtaken:
            self._put(cluster, item, is_as_planned=is_as_planned)

    def remove(self, cluster: str, kind: ObjectType, key: NamespacedName) -> None:
        """Remove an object."""
        objects = self._changing(cluster)
        self._clear_undecodable(cluster, objects, kind, key)
        if kind is EndpointSlice:
            if (old_slice := objects.put_slice(key, None)) is not None:
                self._slice_changed(cluster, old_slice, None)
        elif (old := objects.put_service(key, None)) is not None:
            self._object_changed(cluster, ServiceChanged(old, None))

    def mark_gone(self, key: NamespacedName, uid: str) -> None:
        """Remove a slice of the main cluster that a write did not find.

        The watch may have reported the deletion before the response to an earlier write brought the
        slice back.
        """
        held = self._clusters[MAIN].slices.get(key)
        if held is not None and held.metadata.uid == uid:
            self.remove(MAIN, EndpointSlice, key)

    def mark_undecodable(self, cluster: str, kind: ObjectType, each: Undecodable) -> None:
        """Note that an object exists but could not be decoded. Its Service is left as it is."""
        self._changing(cluster).mark_undecodable(kind, each.key, each.service)
        self._plan_again(each.service, cluster)

    def _put(self, cluster: str, item: ClusterObject, *, is_as_planned: bool = False) -> None:
        objects, key = self._changing(cluster), item.metadata.key
        self._clear_undecodable(cluster, objects, type(item), key)
        match item:
            case Service():
                old = objects.put_service(key, item)
                if old is None or not is_same_version(old, item):
                    self._object_changed(cluster, ServiceChanged(old, item))
            case EndpointSlice():
                old_slice = objects.put_slice(key, item)
                if old_slice is None or not is_same_version(old_slice, item):
                    self._slice_changed(cluster, old_slice, item, is_as_planned=is_as_planned)
            case unexpected:
                assert_never(unexpected)

    def _clear_undecodable(
        self, cluster: str, objects: ClusterObjects, kind: ObjectType, key: NamespacedName
    ) -> None:
        if (service := objects.clear_undecodable(kind, key)) is not None:
            self._plan_again(service, cluster)

    def _objects(self, cluster: str) -> ClusterObjects:
        """The objects of a cluster, to be read."""
        return self._clusters.get(cluster) or ClusterObjects()

    def _changing(self, cluster: str) -> ClusterObjects:
        """The objects of a cluster, to be changed. Those of a cluster without a link are lost."""
        if cluster != MAIN and cluster not in self.links:
            return ClusterObjects()
        self._snapshots.mark_outdated(cluster)
        if (objects := self._clusters.get(cluster)) is None:
            objects = self._clusters[cluster] = ClusterObjects(is_limited=cluster != MAIN)
        return objects

    # Reporting

    def _slice_changed(
        self,
        cluster: str,
        old: EndpointSlice | None,
        new: EndpointSlice | None,
        *,
        is_as_planned: bool = False,
    ) -> None:
        if cluster == MAIN:
            for source in self._mirror_counter.replace(old, new):
                self.mark_status_changed(source)
        if not is_as_planned:
            self._object_changed(cluster, EndpointSliceChanged(old, new, in_main=cluster == MAIN))

    def _object_changed(self, cluster: str, event: ServiceChanged | EndpointSliceChanged) -> None:
        """Report a change. After the first list of a cluster all Services are planned."""
        connection = SYNCED if cluster == MAIN else self._link_states.connection(cluster)
        if cluster != MAIN and connection == SYNCED:
            self._changing(cluster).note_change(event.old, event.new, self._link_states.now)
        if connection != PENDING:
            self._plan_again_after(event, cluster)

    def _main_changed(self, event: Event) -> None:
        self._snapshots.mark_outdated(MAIN)
        self._plan_again_after(event, MAIN)

    def _plan_again_after(self, event: Event, cluster: str | None) -> None:
        if self.is_complete:
            self.listener(ServicesToPlan(requests_for(event, self.snapshot()), cluster))

    def _plan_again(self, service: NamespacedName, cluster: str) -> None:
        if self.is_complete:
            self.listener(ServicesToPlan((service,), cluster))
