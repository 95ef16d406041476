"""Gauges of the traffic of Services that have a TrafficPolicy.

A Service without a policy has no series: their number grows with the policies, and with the
clusters that have endpoints of their Services.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily

from svclink_core.service_traffic import EndpointUse, ServiceTraffic
from svclink_core.well_known import MAIN

SHOWN_MAIN = "(main)"
"""The label value of local endpoints; no ClusterLink can have this name."""


SERVICE_LABELS = ("service_namespace", "service_name")
"""Prometheus itself sets the labels `namespace` and `service` of what it scrapes."""


def traffic_gauges(traffic: Iterable[ServiceTraffic]) -> Iterator[GaugeMetricFamily]:
    """The gauges of all Services with a policy."""
    of_policies = [each for each in traffic if each.policy is not None]
    tier = _of_services(
        "active_tier", "The highest tier in use; above 0 if the Service has failed over."
    )
    active = _of_services(
        "active_endpoints", "Number of endpoints in use, excluding those on standby."
    )
    wanted = _of_clusters("wanted_share_ratio", "Share of new connections that the policy asks for")
    reachable = _of_clusters(
        "reachable_share_ratio", "Share of new connections that the cluster gets"
    )
    missed = _of_clusters("share_unreachable", "1 if a cluster cannot get its share")
    for each in of_policies:
        service = [each.service.namespace, each.service.name]
        total = sum(family.active for family in each.families)
        tier.add_metric(service, each.last_tier)
        active.add_metric(service, total)
        for cluster, uses in _by_cluster(each).items():
            labels, share = [*service, cluster or SHOWN_MAIN], uses[0].wanted_share
            if total:
                reachable.add_metric(labels, sum(use.active for use in uses) / total)
            if share is not None:
                wanted.add_metric(labels, share / 100)
                missed.add_metric(labels, any(use.miss is not None for use in uses))
    yield from (tier, active, wanted, reachable, missed)


def _by_cluster(traffic: ServiceTraffic) -> dict[str, list[EndpointUse]]:
    """The endpoints of each cluster, in all IP families; local ones, and clusters with any."""
    found: dict[str, list[EndpointUse]] = {}
    for family in traffic.families:
        for use in family.uses:
            if use.ready or use.cluster == MAIN or use.wanted_share is not None:
                found.setdefault(use.cluster, []).append(use)
    return found


def _of_services(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"svclink_traffic_{name}", text, labels=list(SERVICE_LABELS))


def _of_clusters(name: str, text: str) -> GaugeMetricFamily:
    what = (
        f"{text}. Only for Services with a TrafficPolicy; the label `cluster` is"
        f" `{SHOWN_MAIN}` for local endpoints."
    )
    labels = [*SERVICE_LABELS, "cluster"]
    return GaugeMetricFamily(f"svclink_traffic_{name}", what, labels=labels)
