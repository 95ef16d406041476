"""Findings and failed writes of the latest plans, kept for the status of the links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from attrs import define, field

from svclink_controller.reconcile.write_results import WriteResult
from svclink_core.meta_v1 import NamespacedName
from svclink_core.mirroring import Finding


@define
class PlanResults:
    """Findings and failed writes of the latest plan of each Service.

    Args:
        status_changed: Called with the name of a link whose findings or failures changed.
    """

    status_changed: Callable[[str], None]
    _findings: dict[NamespacedName, tuple[Finding, ...]] = field(factory=dict)
    _failures: dict[NamespacedName, dict[str, str]] = field(factory=dict)

    def record(
        self, key: NamespacedName, findings: tuple[Finding, ...], unfinished: Sequence[WriteResult]
    ) -> None:
        """Replace the findings and failures of a Service.

        Args:
            key: The Service.
            findings: The findings of its plan.
            unfinished: The results of the changes that were not applied.
        """
        failures = {
            result.change.cluster or "": f"{key}: {result.message}"
            for result in unfinished
            if result.is_failure
        }
        old_findings, old_failures = self._findings.pop(key, ()), self._failures.pop(key, {})
        if findings:
            self._findings[key] = findings
        if failures:
            self._failures[key] = failures
        if (old_findings, old_failures) != (findings, failures):
            clusters = {finding.cluster for finding in (*old_findings, *findings)}
            for cluster in clusters | old_failures.keys() | failures.keys():
                self.status_changed(cluster)

    def forget_all(self) -> None:
        """Drop the results of every plan: a Service that goes meanwhile would leave its own."""
        self._findings.clear()
        self._failures.clear()

    def findings_of(self, cluster: str) -> list[Finding]:
        """The findings about a cluster, in no order: the status sorts the few names it shows."""
        return [
            finding
            for findings in self._findings.values()
            for finding in findings
            if finding.cluster == cluster
        ]

    def finding_counts(self) -> Mapping[tuple[str, str], int]:
        """How many Services have a finding, by cluster and code of the reason."""
        return Counter(
            each
            for findings in self._findings.values()
            for each in {(finding.cluster, finding.reason.code) for finding in findings}
        )

    def failures_of(self, cluster: str) -> list[str]:
        """One message for each Service with a failed write for a cluster, in no order."""
        return [each[cluster] for each in self._failures.values() if cluster in each]
