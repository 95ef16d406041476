"""What the core says of the clusters as an administrator reads them: its plan, and statuses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeVar

from attrs import evolve

from svclink_controller.reconcile.status.policies import is_policy_transition
from svclink_core import codec
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.full_planning import plan
from svclink_core.plans import Plan
from svclink_core.snapshot import (
    MainCluster,
    Options,
    Snapshot,
    main_cluster,
    remote_cluster,
    snapshot,
)
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.timestamps import timestamp_of
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy, counting_policies
from svclink_core.traffic_status import traffic_status

from .control_planes import Cluster

T = TypeVar("T", Service, EndpointSlice, ClusterLink, TrafficPolicy)


def remaining_plan(main: Cluster, remotes: Mapping[str, Cluster]) -> Plan:
    """The plan for every Service; it has no changes when the controller is done.

    Args:
        main: The main cluster.
        remotes: The remote clusters by the names of their links.
    """
    return plan(live_snapshot(main, remotes), time.time())


def outdated_policies(main: Cluster, remotes: Mapping[str, Cluster]) -> dict[str, object]:
    """The conditions that the status of a policy should have, where it has others, by its name.

    Numbers are not compared: svclink writes them half a minute late.
    """
    found, now = live_snapshot(main, remotes), time.time()
    traffic = {each.service: each for each in plan(found, now).traffic}
    wanted = {
        policy: traffic_status(
            policy,
            found.main.traffic_policies[policy.service],
            found.main.services.get(policy.service),
            traffic.get(policy.service),
            timestamp_of(now),
        )
        for policy in everything(main, "trafficpolicies", TrafficPolicy)
    }
    return {
        str(policy.metadata.key): [each.state for each in status.conditions]
        for policy, status in wanted.items()
        if is_policy_transition(policy.status, status)
    }


def live_snapshot(main: Cluster, remotes: Mapping[str, Cluster]) -> Snapshot:
    """All objects of all clusters, with every remote completely listed."""
    return snapshot(
        _main_cluster(main),
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


def _main_cluster(main: Cluster) -> MainCluster:
    found = main_cluster(
        everything(main, "services", Service), everything(main, "endpointslices", EndpointSlice)
    )
    policies = counting_policies(everything(main, "trafficpolicies", TrafficPolicy))
    return evolve(found, traffic_policies=policies)


def everything(cluster: Cluster, resource: str, kind: type[T]) -> list[T]:
    return [codec.structure(item, kind) for item in cluster.api.find(resource)]
