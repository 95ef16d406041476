"""What plans are made from: a `Snapshot` of the main cluster, every remote and the options.

The main cluster and the ClusterLinks must have been listed completely. A remote cluster that was
not is `PENDING` or `Unreachable`, which differs from a remote cluster that is empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, KeysView, Mapping
from enum import Enum
from typing import Final, TypeAlias

from attrs import field, frozen

from svclink_core.api_server_calls import ApiServerCalls
from svclink_core.cidrs import CIDRs, invalid_cidrs
from svclink_core.core_v1 import Namespace, Service
from svclink_core.deletion_guard import HOLD_SECONDS, UNGUARDED, Guard
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.label_selector import EVERYTHING, Selector
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import Leftover, Ours, owner_of, service_of
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy

SlicesByService: TypeAlias = Mapping[NamespacedName, Collection[EndpointSlice]]


@frozen
class Synced:
    """The remote has been fully listed and is being watched.

    Args:
        missing_namespaces: Included namespaces that cannot be read, so nothing is known about them.
    """

    missing_namespaces: frozenset[str] = frozenset()


@frozen
class Unreachable:
    """The remote was lost, or svclink has not reached it since it started.

    Args:
        since: When svclink noticed the loss, as RFC 3339.
        at: When it was lost, in seconds on the plan clock, which never
            jumps, unlike the time of day.
        is_lost: Whether the cluster sends no response or server errors such as 503. A
            cluster that rejects svclink is not lost.
        never_reached: Whether the cluster may have been lost long before `at`, because svclink
            has not reached it since svclink started.
    """

    since: str
    at: float
    is_lost: bool = True
    never_reached: bool = False


@frozen
class Pending:
    """The remote has not been fully listed since svclink started or the link was created."""


Connection: TypeAlias = Synced | Unreachable | Pending
SYNCED: Final = Synced()
PENDING: Final = Pending()

NO_CALLS: Final = ApiServerCalls()

LONG_AGO: Final = float("-inf")
"""A time before every other."""


@frozen
class Options:
    """Settings of the whole controller.

    Args:
        included_namespaces: The only namespaces to mirror; empty means all.
        sync_services: Whether to create Services in the main cluster that only remote clusters
            have.
        deletion_hold: How long to hold a mass deletion, in seconds; 0 disables the guard.
        opt_in: Whether to mirror only Services with the annotation `mirror: "true"`,
            for all links.
        service_selector: Selects the remote Services to mirror by their labels, for all links.
    """

    included_namespaces: frozenset[str] = frozenset()
    sync_services: bool = False
    deletion_hold: float = HOLD_SECONDS
    opt_in: bool = False
    service_selector: Selector = EVERYTHING


class UnreadNamespace(Enum):
    """Why nothing is read of a namespace that exists, where a link has a namespaceSelector."""

    NOT_SELECTED = "NotSelected"
    NOT_LISTED = "NotListed"


@frozen
class RemoteCluster:
    """One linked cluster. Its Services and slices are ignored unless `connection` is `Synced`.

    Args:
        link: Its ClusterLink.
        connection: Whether its Services and slices are complete and current.
        services: Its Services.
        endpoint_slices: Its EndpointSlices by Service.
        since: When the connection entered this state or, for a link that is being listed, when the
            link was added or edited, in seconds on the plan clock.
        changed_at: When each Service and its slices last changed in a way that may have
            made them inconsistent. It can omit times older than `CONSISTENCY_TIMEOUT_SECONDS`.
        undecodable: Services with objects that could not be decoded.
        guard: Which deletions must wait.
        unread_namespaces: The namespaces that are not read, and why, if the link selects
            namespaces by their labels. It contains only namespaces that the cluster has.
    """

    link: ClusterLink
    connection: Connection
    services: Mapping[NamespacedName, Service] = field(factory=dict)
    endpoint_slices: SlicesByService = field(factory=dict)
    since: float = LONG_AGO
    changed_at: Mapping[NamespacedName, float] = field(factory=dict)
    undecodable: Collection[NamespacedName] = ()
    guard: Guard = UNGUARDED
    unread_namespaces: Mapping[str, UnreadNamespace] = field(factory=dict)

    @property
    def name(self) -> str:
        """The cluster's name, which is the name of its ClusterLink."""
        return self.link.metadata.name

    @property
    def allowed_cidrs(self) -> CIDRs:
        """The only ranges from which to mirror endpoints; empty for all, or if the list is invalid.

        While the list is invalid, nothing that depends on it is decided.
        """
        cidrs = self.link.spec.allowed_cidrs
        return () if cidrs and invalid_cidrs(cidrs) else cidrs

    @property
    def missing_namespaces(self) -> frozenset[str]:
        """The included namespaces that cannot be read, if others can."""
        connection = self.connection
        return connection.missing_namespaces if isinstance(connection, Synced) else frozenset()


@frozen
class MainCluster:
    """The main cluster.

    Args:
        services: Its Services.
        endpoint_slices: Its EndpointSlices by Service.
        names: Every EndpointSlice under its own name.
        undecodable: Services with objects that could not be decoded.
        namespaces: The names of its Namespaces, or None if they were not listed.
        terminating: The names of the Namespaces that are being deleted.
        traffic_policies: The policy in effect for each Service; see `counting_policies`.
        api_server_calls: The Services that its API server calls.
    """

    services: Mapping[NamespacedName, Service] = field(factory=dict)
    endpoint_slices: SlicesByService = field(factory=dict)
    names: Mapping[NamespacedName, EndpointSlice] = field(factory=dict)
    undecodable: Collection[NamespacedName] = ()
    namespaces: Collection[str] | None = None
    terminating: Collection[str] = ()
    traffic_policies: Mapping[NamespacedName, TrafficPolicy] = field(factory=dict)
    api_server_calls: ApiServerCalls = NO_CALLS


@frozen
class Snapshot:
    """Everything that plans depend on.

    Args:
        main: The main cluster.
        remotes: The linked clusters by name, one for each ClusterLink.
        options: The settings of the controller.
        epoch: The POSIX time at which the plan clock read zero, as known when svclink started.
            It converts times in statuses, which outlive svclink, to times on the plan clock.
    """

    main: MainCluster = field(factory=MainCluster)
    remotes: Mapping[str, RemoteCluster] = field(factory=dict)
    options: Options = Options()
    epoch: float = 0.0


def main_cluster(
    services: Iterable[Service],
    endpoint_slices: Iterable[EndpointSlice],
    namespaces: Iterable[Namespace] | None = None,
    undecodable: Iterable[NamespacedName] = (),
    api_server_calls: ApiServerCalls = NO_CALLS,
) -> MainCluster:
    """Build a main cluster from plain lists.

    Args:
        services: All its Services.
        endpoint_slices: All its EndpointSlices, not only mirrors, because their names are in use.
        namespaces: All its Namespaces, or None if not listed. Needed only to create Services.
        undecodable: Services with an object that could not be decoded.
        api_server_calls: The Services that its API server calls.
    """
    slices, spaces = list(endpoint_slices), None if namespaces is None else list(namespaces)
    return MainCluster(
        services={service.metadata.key: service for service in services},
        endpoint_slices=group_by_service(slices),
        names={endpoint_slice.metadata.key: endpoint_slice for endpoint_slice in slices},
        undecodable=frozenset(undecodable),
        namespaces=None if spaces is None else frozenset(each.metadata.name for each in spaces),
        terminating=frozenset(each.metadata.name for each in spaces or () if each.is_terminating),
        api_server_calls=api_server_calls,
    )


def remote_cluster(
    link: ClusterLink,
    services: Iterable[Service] = (),
    endpoint_slices: Iterable[EndpointSlice] = (),
    connection: Connection = SYNCED,
    undecodable: Iterable[NamespacedName] = (),
    unread_namespaces: Mapping[str, UnreadNamespace] | None = None,
) -> RemoteCluster:
    """Build a remote cluster from its link and plain lists.

    Args:
        link: Its ClusterLink.
        services: All its Services.
        endpoint_slices: All its EndpointSlices.
        connection: `SYNCED` if both lists are complete; otherwise, they are ignored.
        undecodable: Services with an object that could not be decoded.
        unread_namespaces: The namespaces that are not read, and why.
    """
    return RemoteCluster(
        link=link,
        connection=connection,
        services={service.metadata.key: service for service in services},
        endpoint_slices=group_by_service(endpoint_slices),
        undecodable=frozenset(undecodable),
        unread_namespaces=unread_namespaces or {},
    )


def snapshot(
    main: MainCluster, remotes: Iterable[RemoteCluster], options: Options = Options()
) -> Snapshot:
    """Build a snapshot from its parts.

    Args:
        main: The main cluster.
        remotes: One for each ClusterLink, whether reachable or not. Mirrors of other clusters
            are deleted.
        options: The settings of the controller.
    """
    return Snapshot(main, {remote.link.metadata.name: remote for remote in remotes}, options)


def group_by_service(
    endpoint_slices: Iterable[EndpointSlice],
) -> dict[NamespacedName, list[EndpointSlice]]:
    """EndpointSlices by the Service they belong to; those without a Service are left out."""
    groups: dict[NamespacedName, list[EndpointSlice]] = {}
    for endpoint_slice in endpoint_slices:
        if (service := service_of(endpoint_slice)) is not None:
            groups.setdefault(service, []).append(endpoint_slice)
    return groups


def all_keys(snapshot: Snapshot) -> KeysView[NamespacedName]:
    """Every Service that can have a plan, in the order in which the snapshot has them.

    Endpoints are in memory in that order too, and random access is slower.
    """
    keys = dict.fromkeys(snapshot.main.services)
    for key, slices in snapshot.main.endpoint_slices.items():
        if key not in keys and any(isinstance(owner_of(each), Ours | Leftover) for each in slices):
            keys[key] = None
    for cluster in snapshot.remotes.values():
        keys.update(dict.fromkeys(cluster.services))
    keys.update(dict.fromkeys(snapshot.main.traffic_policies))
    return keys.keys()
