"""Plans as plain data for programs and pages. Every reason comes from the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from svclink_core import codec
from svclink_core.codec import Json
from svclink_core.core_v1 import Namespace, Service
from svclink_core.diffing import Create, Delete, Update
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.link_identity import Problem
from svclink_core.mirroring import Finding
from svclink_core.plans import Change, Decision, Plan
from svclink_core.service_creation import CreateNamespace, CreateService
from svclink_core.service_traffic import ServiceTraffic
from svclink_core.standby import ready_addresses
from svclink_core.traffic_shares import percent_of


def plan_data(result: Plan, problems: Mapping[str, Problem]) -> dict[str, Json]:
    """A whole plan, and why some clusters could not be read."""
    return {
        "changes": [change_data(change) for change in result.changes],
        "decisions": [decision_data(decision) for decision in result.decisions],
        "findings": [finding_data(finding) for finding in result.findings],
        "problems": problems_data(problems),
        "traffic": [traffic_data(traffic) for traffic in result.traffic],
    }


def change_data(change: Change) -> dict[str, Json]:
    """One change; `object` is the manifest to write, null for a deletion."""
    is_deletion = isinstance(change, Delete)
    written = None if is_deletion else codec.unstructure(object_of(change))
    return {**change_summary(change), "object": written}


def change_summary(change: Change) -> dict[str, Json]:
    """One change without the manifest, which may be large."""
    return {
        "change": change.verb,
        "kind": change.kind,
        "name": name_of(change),
        "cluster": change.cluster,
        "reason": change.reason.code,
        "message": change.reason.sentence,
    }


def decision_data(decision: Decision) -> dict[str, Json]:
    """Whether a Service of a cluster is mirrored, and why."""
    return {
        "service": str(decision.service),
        "cluster": decision.cluster,
        "outcome": decision.outcome.value,
        "reason": decision.reason.code,
        "message": decision.sentence,
        "slices": decision.slices,
        "endpoints": decision.endpoints,
        "reference": decision.reference or None,
    }


def finding_data(finding: Finding) -> dict[str, Json]:
    """Which part of a cluster's Service could not be mirrored, and why."""
    return {
        "service": str(finding.service),
        "cluster": finding.cluster,
        "reason": finding.reason.code,
        "message": finding.reason.sentence,
        "details": list(finding.details),
    }


def problems_data(problems: Mapping[str, Problem]) -> list[Json]:
    """Why some clusters could not be read, sorted by the name of their links."""
    return [
        {"cluster": name, "reason": problem.reason.code, "message": problem.message}
        for name, problem in sorted(problems.items())
    ]


def traffic_data(traffic: ServiceTraffic) -> dict[str, Json]:
    """What becomes of the traffic of a Service. The cluster of local endpoints is null."""
    return {
        "service": str(traffic.service),
        "policy": traffic.policy,
        "activeTier": traffic.last_tier,
        "clusters": [
            {
                "cluster": use.cluster or None,
                "ipFamily": family.ip_family,
                "tier": use.tier,
                "endpoints": use.ready,
                "active": use.active,
                "wantedShare": use.wanted_share,
                "reachableShare": percent_of(use.active, family.active),
                "reason": use.reason.code,
                "message": use.reason.sentence,
            }
            for family in traffic.families
            for use in family.uses
        ],
    }


def change_text(change: Change) -> str:
    """One change in a line, with how many endpoints of an EndpointSlice will be active."""
    changed, text = object_of(change), f"{change.verb} {change.kind} {name_of(change)}"
    active = ""
    if isinstance(changed, EndpointSlice) and not isinstance(change, Delete):
        active = f" ({len(ready_addresses(changed))} of {len(changed.endpoints)} endpoints active)"
    return f"{text}{active}: {change.reason.sentence}"


def name_of(change: Change) -> str:
    """Name of the changed object, as `namespace/name` if it is in a namespace."""
    return str(change.key) if change.key.namespace else change.key.name


def object_of(change: Change) -> EndpointSlice | Service | Namespace:
    """The object that is created, updated or deleted."""
    match change:
        case Create() | Update() | Delete():
            return change.endpoint_slice
        case CreateService():
            return change.service
        case CreateNamespace():
            return change.namespace
        case unexpected:
            assert_never(unexpected)
