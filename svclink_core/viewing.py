"""One Service, as far as a snapshot knows it, and all that the plan of one cluster can depend on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import frozen

from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.naming import Names
from svclink_core.snapshot import RemoteCluster, Snapshot

Observed: TypeAlias = list[EndpointSlice]


@frozen
class View:
    """One Service, as far as the snapshot knows it, and the names that its plan can give to new slices.

    Of the slices of its main Service, `ours` are those that svclink manages, by cluster; `leftovers` those of the Go
    release, by cluster; `local` the others.
    """

    snapshot: Snapshot
    key: NamespacedName
    main: Service | None
    ours: Mapping[str, Observed]
    leftovers: Mapping[str, Observed]
    local: Observed
    names: Names


def view_of(snapshot: Snapshot, key: NamespacedName) -> View:
    """What a snapshot knows of the Service `key`."""
    ours: dict[str, Observed] = {}
    leftovers: dict[str, Observed] = {}
    local = []
    for endpoint_slice in snapshot.main.endpoint_slices.get(key, ()):
        if endpoint_slice.is_ours:
            # One whose cluster label was lost counts to no cluster.
            ours.setdefault(endpoint_slice.cluster or "", []).append(endpoint_slice)
        elif endpoint_slice.go_cluster is not None:
            leftovers.setdefault(endpoint_slice.go_cluster, []).append(endpoint_slice)
        else:
            local.append(endpoint_slice)
    names = Names(key.namespace, snapshot.remotes, snapshot.main.names)
    return View(snapshot, key, snapshot.main.services.get(key), ours, leftovers, local, names)


def facts_of(view: View, remote: RemoteCluster) -> tuple[object, ...]:
    """All that the part of a linked cluster depends on, as far as it has no names to give, besides the main Service."""
    key, main = view.key, view.snapshot.main
    return (
        remote.link,
        remote.connection,
        remote.guard,
        view.snapshot.options,
        remote.services.get(key),
        key in main.undecodable,
        key in remote.undecodable,
        *remote.endpoint_slices.get(key, ()),
        None,
        *view.ours.get(remote.link.metadata.name, ()),
    )
