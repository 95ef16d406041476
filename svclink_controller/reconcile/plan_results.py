"""What could not be mirrored or written, by Service and cluster: kept for the status of the links."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field

from svclink_controller.reconcile.applier import WriteResult, WriteStatus
from svclink_core.meta_v1 import NamespacedName
from svclink_core.mirroring import Finding

_FAILURES = (WriteStatus.REFUSED, WriteStatus.FAILED)


@define
class PlanResults:
    """Findings and failed writes of the last plan of every Service that has any.

    Args:
        status_changed: Called with the name of a link whose findings changed.
    """

    status_changed: Callable[[str], None]
    _findings: dict[NamespacedName, tuple[Finding, ...]] = field(factory=dict)
    _failures: dict[NamespacedName, dict[str, str]] = field(factory=dict)

    def record(
        self, key: NamespacedName, findings: tuple[Finding, ...], unfinished: Sequence[WriteResult]
    ) -> None:
        """What the present plan of a Service found, and which of its changes failed."""
        failures = {
            outcome.change.cluster or "": f"{key}: {outcome.message}"
            for outcome in unfinished
            if outcome.status in _FAILURES
        }
        if any(outcome.status is WriteStatus.POSTPONED for outcome in unfinished):
            # Whether what failed before works by now will show when it is sent: a status must not say so in between.
            failures = self._failures.get(key, {}) | failures
        before = self._findings.pop(key, ()), self._failures.pop(key, {})
        if findings:
            self._findings[key] = findings
        if failures:
            self._failures[key] = failures
        if before != (findings, failures):
            clusters = {finding.cluster for finding in (*before[0], *findings)}
            for cluster in clusters | before[1].keys() | failures.keys():
                self.status_changed(cluster)

    def findings_of(self, cluster: str) -> list[Finding]:
        """The findings that concern a cluster, by Service."""
        return [
            finding
            for key in sorted(self._findings)
            for finding in self._findings[key]
            if finding.cluster == cluster
        ]

    def failures_of(self, cluster: str) -> list[str]:
        """One message for each Service whose slices of a cluster could not be written."""
        return [
            self._failures[key][cluster]
            for key in sorted(self._failures)
            if cluster in self._failures[key]
        ]
