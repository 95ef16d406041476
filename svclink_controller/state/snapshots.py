"""Makes snapshots. Each shares everything unchanged with the previous one."""

from __future__ import annotations

from attrs import define, field

from svclink_controller import clock
from svclink_controller.state.cluster_objects import ClusterObjects
from svclink_controller.state.link_states import LinkStates
from svclink_controller.state.main.facts import MainFacts
from svclink_controller.state.versioned_map import VersionedMap
from svclink_core.snapshot import MainCluster, Options, RemoteCluster, Snapshot
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import MAIN


@define
class SnapshotMaker:
    """Makes snapshots of the state, in which only the clusters that changed are made again.

    Args:
        epoch: The POSIX time at which the clock of plans read zero.
    """

    _link_states: LinkStates
    _main_facts: MainFacts
    _clusters: dict[str, ClusterObjects]
    _main: MainCluster = field(factory=MainCluster)
    _remotes: VersionedMap[str, RemoteCluster] = field(factory=VersionedMap)
    _outdated: set[str] = field(factory=lambda: {MAIN})
    _snapshot: Snapshot = field(factory=Snapshot)
    epoch: float = field(factory=clock.epoch)

    def mark_outdated(self, cluster: str) -> None:
        """Note that a cluster changed."""
        self._outdated.add(cluster)

    def snapshot(self, options: Options) -> Snapshot:
        """The current state."""
        if self._outdated:
            for cluster in self._outdated:
                self._update(cluster)
            self._outdated.clear()
            self._snapshot = Snapshot(self._main, self._remotes.version(), options, self.epoch)
        return self._snapshot

    def _update(self, cluster: str) -> None:
        if cluster == MAIN:
            self._main = self._main_facts.with_objects(self._clusters[MAIN])
        elif (link := self._link_states.planned_links.get(cluster)) is not None:
            self._remotes.set(cluster, self._remote_cluster(cluster, link))
        else:
            self._remotes.pop(cluster)

    def _remote_cluster(self, name: str, link: ClusterLink) -> RemoteCluster:
        objects = self._clusters.get(name) or ClusterObjects()
        return RemoteCluster(
            link=link,
            connection=self._link_states.connection(name),
            services=objects.services.version(),
            endpoint_slices=objects.slices_by_service.version(),
            since=self._link_states.since(name),
            changed_at=objects.changed_at.version(),
            undecodable=objects.undecodable_services.version(),
            guard=self._link_states.guard(name),
            unread_namespaces=objects.unread_namespaces.version(),
        )
