"""The core's plan for the clusters as an administrator reads them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeVar

from svclink_core import codec
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.full_planning import plan
from svclink_core.plans import Plan
from svclink_core.snapshot import Options, Snapshot, main_cluster, remote_cluster, snapshot
from svclink_core.svclink_v1alpha1 import ClusterLink

from .control_planes import Cluster

T = TypeVar("T", Service, EndpointSlice, ClusterLink)


def remaining_plan(main: Cluster, remotes: Mapping[str, Cluster]) -> Plan:
    """The plan for every Service; it has no changes when the controller is done.

    Args:
        main: The main cluster.
        remotes: The remote clusters by the names of their links.
    """
    return plan(live_snapshot(main, remotes), time.time())


def live_snapshot(main: Cluster, remotes: Mapping[str, Cluster]) -> Snapshot:
    """All objects of all clusters, with every remote completely listed."""
    return snapshot(
        main_cluster(
            everything(main, "services", Service), everything(main, "endpointslices", EndpointSlice)
        ),
        [
            remote_cluster(
                link,
                everything(remotes[link.metadata.name], "services", Service),
                everything(remotes[link.metadata.name], "endpointslices", EndpointSlice),
            )
            for link in everything(main, "clusterlinks", ClusterLink)
        ],
        Options(deletion_hold=0),
    )


def everything(cluster: Cluster, resource: str, kind: type[T]) -> list[T]:
    return [codec.structure(item, kind) for item in cluster.api.find(resource)]
