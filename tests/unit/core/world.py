"""Snapshots in tests of the core: read, changed, and after a plan was applied. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import evolve

from svclink_core import (
    Change,
    EndpointSlice,
    Plan,
    RemoteCluster,
    Service,
    Snapshot,
    main_cluster,
    plan,
)
from svclink_core.ownership import is_ours
from svclink_core.snapshot import Connection, group_by_service
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkSpec
from svclink_core.timestamps import timestamp_of
from svclink_core.traffic_status import traffic_status
from tests.unit.core.api_server import FIRST_REVISION, ApiServer

ROUNDS: Final = 3
"""Plans until nothing changes: create a Service, create its slices, delete leftovers."""
NOW: Final = 1_782_907_200.0
"""2026-07-01T12:00:00Z, the time of every plan unless a test gives another one."""


# What a snapshot holds, as plain lists; and the same snapshot with one difference.


def main_slices(snapshot: Snapshot) -> list[EndpointSlice]:
    """Every EndpointSlice of the main cluster."""
    return list(snapshot.main.names.values())


def remote_slices(remote: RemoteCluster) -> list[EndpointSlice]:
    """Every EndpointSlice of a remote cluster that belongs to a Service."""
    return [
        endpoint_slice for slices in remote.endpoint_slices.values() for endpoint_slice in slices
    ]


def without_history(endpoint_slice: EndpointSlice) -> EndpointSlice:
    """A slice without what depends on what happened before.

    Which of two rivals has the readable name does. So does what others put on a mirror: it goes
    with a mirror that is deleted and created again.
    """
    metadata = evolve(
        endpoint_slice.metadata,
        name="",
        uid="",
        resource_version="",
        generation=0,
        additions=None,
    )
    return evolve(endpoint_slice, metadata=metadata)


def ours(snapshot: Snapshot) -> list[EndpointSlice]:
    """The EndpointSlices of the main cluster that are ours and not being deleted."""
    return [
        endpoint_slice
        for endpoint_slice in main_slices(snapshot)
        if is_ours(endpoint_slice) and endpoint_slice.metadata.deletion_timestamp is None
    ]


def with_main(
    snapshot: Snapshot,
    services: Iterable[Service] | None = None,
    slices: Iterable[EndpointSlice] | None = None,
) -> Snapshot:
    """The snapshot with other Services or EndpointSlices in the main cluster."""
    main = main_cluster(
        snapshot.main.services.values() if services is None else services,
        main_slices(snapshot) if slices is None else slices,
    )
    held = evolve(
        snapshot.main,
        services=main.services,
        endpoint_slices=main.endpoint_slices,
        names=main.names,
    )
    return evolve(snapshot, main=held)


def with_remote(
    snapshot: Snapshot,
    name: str,
    services: Iterable[Service] | None = None,
    slices: Iterable[EndpointSlice] | None = None,
) -> Snapshot:
    """The snapshot with other Services or EndpointSlices in one remote cluster."""
    old = snapshot.remotes[name]
    held = {each.metadata.key: each for each in services or ()}
    new = evolve(
        old,
        services=old.services if services is None else held,
        endpoint_slices=old.endpoint_slices if slices is None else group_by_service(slices),
    )
    return evolve(snapshot, remotes={**snapshot.remotes, name: new})


def with_link(
    snapshot: Snapshot,
    name: str,
    spec: ClusterLinkSpec | None = None,
    connection: Connection | None = None,
    *,
    is_selected: bool | None = None,
) -> Snapshot:
    """The snapshot with another spec, connection or selection of one link."""
    old = snapshot.remotes[name]
    link: ClusterLink = evolve(
        old.link,
        spec=old.link.spec if spec is None else spec,
        is_selected=old.link.is_selected if is_selected is None else is_selected,
    )
    new = evolve(old, link=link, connection=old.connection if connection is None else connection)
    return evolve(snapshot, remotes={**snapshot.remotes, name: new})


def unseen(snapshot: Snapshot) -> Snapshot:
    """An equal snapshot whose Services and EndpointSlices remember nothing of earlier plans."""
    main = snapshot.main
    slices = {
        endpoint_slice.metadata.key: evolve(endpoint_slice)
        for endpoint_slice in main.names.values()
    }
    remotes = {
        name: evolve(
            remote,
            services={key: evolve(service) for key, service in remote.services.items()},
            endpoint_slices={
                key: [evolve(endpoint_slice) for endpoint_slice in some]
                for key, some in remote.endpoint_slices.items()
            },
        )
        for name, remote in snapshot.remotes.items()
    }
    return evolve(
        snapshot,
        main=evolve(
            main,
            services={key: evolve(service) for key, service in main.services.items()},
            endpoint_slices={
                key: [slices[endpoint_slice.metadata.key] for endpoint_slice in some]
                for key, some in main.endpoint_slices.items()
            },
            names=slices,
        ),
        remotes=remotes,
    )


def without_link(snapshot: Snapshot, name: str) -> Snapshot:
    """The snapshot after a ClusterLink was deleted."""
    return evolve(
        snapshot,
        remotes={each: remote for each, remote in snapshot.remotes.items() if each != name},
    )


# The snapshot after writes.


def applied(snapshot: Snapshot, changes: Iterable[Change]) -> Snapshot:
    """The snapshot after the main cluster accepted the changes in order. Raises `Refused`."""
    main = snapshot.main
    server = ApiServer(
        tuple(main_slices(snapshot)),
        tuple(main.services.values()),
        frozenset(main.namespaces or ()),
        frozenset(main.terminating),
        _next_revision(snapshot),
    )
    for change in changes:
        server = server.apply(change)
    after = with_main(snapshot, server.services, server.slices)
    if main.namespaces is None:
        return after
    return evolve(after, main=evolve(after.main, namespaces=server.namespaces))


def _next_revision(snapshot: Snapshot) -> int:
    versions = [
        int(endpoint_slice.metadata.resource_version) for endpoint_slice in main_slices(snapshot)
    ]
    return max([FIRST_REVISION, *versions]) + 1


def remembered(snapshot: Snapshot, now: float = NOW) -> Snapshot:
    """The snapshot after the statuses of the TrafficPolicies were written."""
    main, time = snapshot.main, timestamp_of(now)
    traffic = {each.service: each for each in plan(snapshot, now).traffic}
    policies = {
        key: evolve(
            policy,
            status=traffic_status(policy, policy, main.services.get(key), traffic.get(key), time),
        )
        for key, policy in main.traffic_policies.items()
    }
    return evolve(snapshot, main=evolve(main, traffic_policies=policies))


def settled(snapshot: Snapshot) -> Snapshot:
    """The snapshot after its plan was applied, and the plans that follow from that.

    A created Service gets its slices with the second plan; the third removes leftovers. Without
    changes the next plan would be the same.
    """
    for _ in range(ROUNDS):
        decided: Plan = plan(snapshot, NOW)
        if not decided.changes:
            break
        snapshot = applied(snapshot, decided.changes)
    return snapshot


def collected(snapshot: Snapshot) -> Snapshot:
    """The snapshot after the garbage collector deleted slices whose owners are all gone, by uid."""
    uids = {
        (service.metadata.namespace, service.metadata.uid)
        for service in snapshot.main.services.values()
    }

    def is_kept(each: EndpointSlice) -> bool:
        owners = each.metadata.owner_references
        return not owners or any((each.metadata.namespace, owner.uid) in uids for owner in owners)

    return with_main(snapshot, slices=filter(is_kept, main_slices(snapshot)))
