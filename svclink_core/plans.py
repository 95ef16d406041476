"""What a plan is: changes of the main cluster, and the reason for every decision."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from attrs import frozen

from svclink_core.diffing import SliceChange
from svclink_core.meta_v1 import NamespacedName
from svclink_core.mirroring import Finding
from svclink_core.service_creation import Creation
from svclink_core.service_traffic import ServiceTraffic
from svclink_core.well_known import Reason

Change: TypeAlias = SliceChange | Creation
"""Anything that a plan changes in the main cluster."""


class Outcome(Enum):
    """What happens to one Service in one cluster."""

    MIRRORED = "Mirrored"
    CREATED = "Created"
    KEPT = "Kept"
    SKIPPED = "Skipped"


@frozen
class Decision:
    """Whether a Service in a cluster is mirrored, kept unchanged or skipped, and why.

    Args:
        service: The Service.
        cluster: The cluster. Its ClusterLink no longer exists if the reason is `LINK_GONE`.
        outcome: What happens to the Service.
        reason: Why.
        slices: How many EndpointSlices the main cluster has for it after the plan.
        endpoints: How many endpoints these slices have.
        deletions: How many slices the plan would delete because of what the cluster itself
            reports. They wait if the reason is `DELETION_SETTLING` or `DELETION_HELD`. The
            deletion guard counts them.
        reference: The object that the reason refers to, as `Kind/name`; empty for most reasons.
    """

    service: NamespacedName
    cluster: str
    outcome: Outcome
    reason: Reason
    slices: int = 0
    endpoints: int = 0
    deletions: int = 0
    reference: str = ""

    @property
    def sentence(self) -> str:
        """The reason as a sentence, with the object that it refers to."""
        return self.reason.sentence + (f" ({self.reference})" if self.reference else "")


@frozen
class Plan:
    """What to change in the main cluster, in this order, and the reason for every decision.

    For each Service, changes that it depends on come first, then creates and updates, then
    deletes and changes from an unreachable policy, so that no address is lost in between.

    Args:
        changes: What to do, each with its reason.
        decisions: One for every Service and cluster, sorted by Service and then by cluster.
        findings: What could not be mirrored or decoded, and addresses in two clusters.
        again_at: When to plan again even if nothing happens, on the clock of `now`; None
            if not needed. Unreachable policies and guards have their own deadlines.
        traffic: What happens to the traffic of Services with a policy or a drained cluster.
    """

    changes: tuple[Change, ...] = ()
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()
    again_at: float | None = None
    traffic: tuple[ServiceTraffic, ...] = ()
