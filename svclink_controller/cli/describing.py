"""The parts of a plan as plain data, for the commands that print it. Reasons are the plan's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from svclink_controller.cli.snapshots.view import FleetView
from svclink_core import codec
from svclink_core.codec import Json
from svclink_core.core_v1 import Namespace, Service
from svclink_core.diffing import Create, Delete, Update
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.mirroring import Finding
from svclink_core.planning import Change, Decision, Plan
from svclink_core.service_creation import CreateNamespace, CreateService


def verb_of(change: Change) -> str:
    """`create`, `update` or `delete`."""
    match change:
        case Create() | CreateService() | CreateNamespace():
            return "create"
        case Update():
            return "update"
        case Delete():
            return "delete"
        case unexpected:
            assert_never(unexpected)


def object_of(change: Change) -> EndpointSlice | Service | Namespace:
    """What is created, updated or deleted."""
    match change:
        case Create() | Update() | Delete():
            return change.endpoint_slice
        case CreateService():
            return change.service
        case CreateNamespace():
            return change.namespace
        case unexpected:
            assert_never(unexpected)


def kind_of(change: Change) -> str:
    """The kind of it."""
    return codec.KINDS[type(object_of(change))][1]


def name_of(change: Change) -> str:
    """Its name, behind that of its namespace where it has one."""
    return str(change.key) if change.key.namespace else change.key.name


def plan_data(result: Plan, view: FleetView) -> dict[str, Json]:
    """A whole plan."""
    return {
        "changes": [change_data(change) for change in result.changes],
        "decisions": [decision_data(decision) for decision in result.decisions],
        "findings": [finding_data(finding) for finding in result.findings],
        "problems": problems_data(view),
    }


def change_data(change: Change) -> dict[str, Json]:
    """What is done to one object; `object` is its manifest, null for a deletion."""
    return {
        "change": verb_of(change),
        "kind": kind_of(change),
        "name": name_of(change),
        "cluster": change.cluster,
        "reason": change.reason.code,
        "message": change.reason.sentence,
        "object": None if isinstance(change, Delete) else codec.unstructure(object_of(change)),
    }


def decision_data(decision: Decision) -> dict[str, Json]:
    """What becomes of one Service of one cluster."""
    return {
        "service": str(decision.service),
        "cluster": decision.cluster,
        "outcome": decision.outcome.value,
        "reason": decision.reason.code,
        "message": decision.reason.sentence,
        "slices": decision.slices,
        "endpoints": decision.endpoints,
    }


def finding_data(finding: Finding) -> dict[str, Json]:
    """What had to be left out of one mirrored Service."""
    return {
        "service": str(finding.service),
        "cluster": finding.cluster,
        "reason": finding.reason.code,
        "message": finding.reason.sentence,
        "details": list(finding.details),
    }


def problems_data(view: FleetView) -> list[Json]:
    """Why nothing is known of some clusters, by the name of their links."""
    return [
        {"cluster": name, "reason": problem.reason.code, "message": problem.message}
        for name, problem in sorted(view.problems.items())
    ]


def finding_text(finding: Finding) -> str:
    """What had to be left out, and which things."""
    return f"{finding.reason.sentence}: {_some(finding.details)}"


SHOWN_DETAILS = 10


def _some(details: Sequence[str]) -> str:
    more = len(details) - SHOWN_DETAILS
    return ", ".join(details[:SHOWN_DETAILS]) + (f" and {more} more" if more > 0 else "")
