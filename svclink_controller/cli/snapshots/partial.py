"""A snapshot of the clusters that could be read, and why the others could not be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from attrs import define, evolve, field, frozen

from svclink_controller import clock
from svclink_core.api_server_calls import ApiServerCalls
from svclink_core.conditions import condition_of
from svclink_core.connection_loss import Loss, loss_of
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.link_identity import Claim, Problem, known_cluster, oldest_of_same_name, refusals
from svclink_core.link_target import LinkRequest, invalid_spec
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import (
    NO_CALLS,
    PENDING,
    SYNCED,
    Options,
    RemoteCluster,
    Snapshot,
    Synced,
    Unreachable,
    UnreadNamespace,
    main_cluster,
    remote_cluster,
    snapshot,
)
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy, counting_policies


@define
class ClusterContent:
    """The objects of one cluster.

    Args:
        services: Its Services.
        endpoint_slices: Its EndpointSlices.
        undecodable: Services with an object that could not be decoded.
        cluster_id: The uid of its namespace `kube-system`; None if that could not be read.
        links: Its ClusterLinks; empty for a remote cluster.
        namespaces: Its Namespaces; None if they were not read.
        connection: Which included namespaces could not be read.
        unread_namespaces: The namespaces of which nothing was read, and why.
        traffic_policies: Its TrafficPolicies; empty for a remote cluster.
        api_server_calls: The Services that its API server calls.
        warnings: What is odd about the file that they were read from, or could not be read.
    """

    services: list[Service] = field(factory=list)
    endpoint_slices: list[EndpointSlice] = field(factory=list)
    undecodable: list[NamespacedName] = field(factory=list)
    cluster_id: str | None = None
    links: list[ClusterLink] = field(factory=list)
    namespaces: list[Namespace] | None = None
    connection: Synced = SYNCED
    traffic_policies: list[TrafficPolicy] = field(factory=list)
    api_server_calls: ApiServerCalls = NO_CALLS
    unread_namespaces: dict[str, UnreadNamespace] = field(factory=dict)
    warnings: list[str] = field(factory=list)


@frozen
class FailedRead:
    """Reading a cluster failed.

    Args:
        request: What its link asks to be read.
        problem: Why it failed.
    """

    request: LinkRequest
    problem: Problem


@frozen
class PartialSnapshot:
    """A snapshot, and why some of its clusters could not be read.

    Args:
        snapshot: What to plan from. A cluster that could not be read is `PENDING` or `Unreachable`.
        problems: By the name of a link, why its cluster could not be read.
        warnings: What is odd about the files that it was read from, or could not be read.
    """

    snapshot: Snapshot
    problems: Mapping[str, Problem] = field(factory=dict)
    warnings: tuple[str, ...] = ()


def partial_snapshot(
    main: ClusterContent, remotes: Mapping[str, ClusterContent | FailedRead], options: Options
) -> PartialSnapshot:
    """The snapshot that the controller would plan from just after it started.

    Args:
        main: The main cluster.
        remotes: By the name of a link, the objects of its cluster, or why they could not be read.
            A cluster that is missing here is `PENDING`.
        options: The settings of the controller.
    """
    links = {link.metadata.name: link for link in used_links(main.links)}
    contents = {name: each for name, each in remotes.items() if isinstance(each, ClusterContent)}
    failures = {name: each for name, each in remotes.items() if isinstance(each, FailedRead)}
    invalid = _invalid(links)
    usable = {name: each for name, each in contents.items() if name not in invalid}
    refused = invalid | _refused(main.cluster_id, links, usable)
    remote_clusters = [
        _unread(link, failures.get(name))
        if name in refused or name not in contents
        else _read(link, contents[name])
        for name, link in links.items()
    ]
    problems = {name: failure.problem for name, failure in failures.items()} | refused
    cluster = main_cluster(
        main.services,
        main.endpoint_slices,
        main.namespaces,
        main.undecodable,
        main.api_server_calls,
    )
    cluster = evolve(cluster, traffic_policies=counting_policies(main.traffic_policies))
    found = snapshot(cluster, remote_clusters, options)
    return PartialSnapshot(found, problems, tuple(main.warnings))


def used_links(links: Iterable[ClusterLink]) -> list[ClusterLink]:
    """The link that is used for each name.

    The CRD of the Go release is namespaced, so several links may have one name.
    """
    by_name: dict[str, list[ClusterLink]] = {}
    for link in links:
        by_name.setdefault(link.metadata.name, []).append(link)
    return [oldest_of_same_name(same_name) for same_name in by_name.values()]


def _invalid(links: Mapping[str, ClusterLink]) -> dict[str, Problem]:
    """The links with an invalid field: a file may hold what the CRD would refuse."""
    problems = {name: invalid_spec(link) for name, link in links.items() if link.spec.enabled}
    return {name: each for name, each in problems.items() if each is not None}


def _refused(
    main_id: str | None, links: Mapping[str, ClusterLink], contents: Mapping[str, ClusterContent]
) -> dict[str, Problem]:
    """The links that must not be used for the clusters they lead to."""
    claims = {
        name: Claim(links[name], content.cluster_id, known_cluster(links[name]))
        for name, content in contents.items()
        if content.cluster_id is not None and links[name].spec.enabled
    }
    return refusals(main_id, claims)


def _read(link: ClusterLink, content: ClusterContent) -> RemoteCluster:
    return remote_cluster(
        link,
        content.services,
        content.endpoint_slices,
        content.connection,
        content.undecodable,
        content.unread_namespaces,
    )


def _unread(link: ClusterLink, failure: FailedRead | None) -> RemoteCluster:
    loss = Loss.UNKNOWN if failure is None else loss_of(failure.request, failure.problem)
    if loss is Loss.UNKNOWN:
        return remote_cluster(link, connection=PENDING)
    return remote_cluster(link, connection=_unreachable(link, is_lost=loss is Loss.LOST))


def _unreachable(link: ClusterLink, *, is_lost: bool) -> Unreachable:
    """Since when the cluster is away, by the status of its link; now if that says connected."""
    ready = condition_of(link.status.conditions, "Ready")
    since = clock.now() if ready is None or ready.status == "True" else ready.last_transition_time
    return Unreachable(since, datetime.fromisoformat(since).timestamp(), is_lost=is_lost)
