"""Findings and failed writes are kept by Service, and reported to the links they concern.

Real: the record. Substituted: plans and results of writes, by values.
"""

from __future__ import annotations

import pytest
from attrs import define, field

from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.write_results import WriteResult, WriteStatus
from svclink_core import Create, EndpointSlice, Finding, NamespacedName, ObjectMeta, Reason
from svclink_core.well_known import LABEL_CLUSTER, LABEL_MANAGED_BY, MANAGED_BY

WEB, API = NamespacedName("default", "web"), NamespacedName("default", "api")


@define
class Record:
    """The record under test, and the links whose status changed."""

    changed: list[str] = field(factory=list)
    plan_results: PlanResults = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.plan_results = PlanResults(self.changed.append)


def finding(cluster: str = "c1", key: NamespacedName = WEB, detail: str = "http 80/TCP") -> Finding:
    return Finding(key, cluster, Reason.PORT_MISMATCH, (detail,))


def failure(
    cluster: str | None = "c1", status: WriteStatus = WriteStatus.FAILED, message: str = "500"
) -> WriteResult:
    labels = () if cluster is None else ((LABEL_CLUSTER, cluster), (LABEL_MANAGED_BY, MANAGED_BY))
    endpoint_slice = EndpointSlice(ObjectMeta("web-c1", "default", labels=labels), "IPv4")
    return WriteResult(Create(endpoint_slice, Reason.SOURCE_ADDED), status, message)


def test_findings_of_a_cluster() -> None:
    """A link sees its own findings."""
    record = Record()
    record.plan_results.record(WEB, (finding("c1"), finding("c2")), [])
    record.plan_results.record(API, (finding("c1", API),), [])
    assert set(record.plan_results.findings_of("c1")) == {finding("c1", API), finding("c1", WEB)}
    assert record.plan_results.findings_of("c2") == [finding("c2")]
    assert record.plan_results.findings_of("c3") == []


def test_services_with_findings_are_counted() -> None:
    """By cluster and reason; several findings of one reason are one Service."""
    record = Record()
    record.plan_results.record(WEB, (finding("c1"), finding("c1", detail="x"), finding("c2")), [])
    record.plan_results.record(API, (finding("c1", API),), [])
    counts = {("c1", "PortMismatch"): 2, ("c2", "PortMismatch"): 1}
    assert record.plan_results.finding_counts() == counts
    record.plan_results.forget_all()
    assert record.plan_results.finding_counts() == {}


def test_plan_without_findings_removes_earlier_ones() -> None:
    """Only the findings of the last plan count, and nothing is kept for the Service."""
    record = Record()
    record.plan_results.record(WEB, (finding(),), [failure()])
    record.plan_results.record(WEB, (), [])
    assert (record.plan_results.findings_of("c1"), record.plan_results.failures_of("c1")) == (
        [],
        [],
    )
    assert (record.plan_results._findings, record.plan_results._failures) == ({}, {})


def test_failure_stays_while_the_write_is_postponed() -> None:
    """A postponed write says why it failed before, which is no change; success is one."""
    record = Record()
    record.plan_results.record(WEB, (), [failure()])
    record.changed.clear()
    record.plan_results.record(WEB, (), [failure(status=WriteStatus.POSTPONED)])
    assert (record.plan_results.failures_of("c1"), record.changed) == (["default/web: 500"], [])
    record.plan_results.record(WEB, (), [])
    assert (record.plan_results.failures_of("c1"), record.changed) == ([], ["c1"])


def test_postponed_write_of_one_cluster_hides_no_success_of_another() -> None:
    """The failure of a cluster is over although the write for another one waits."""
    record = Record()
    record.plan_results.record(WEB, (), [failure("c1"), failure("c2")])
    record.plan_results.record(WEB, (), [failure("c1", WriteStatus.POSTPONED)])
    assert record.plan_results.failures_of("c1") == ["default/web: 500"]
    assert record.plan_results.failures_of("c2") == []


def test_changed_findings_are_reported() -> None:
    """The link of a new or removed finding is reported; an equal plan reports nothing."""
    record = Record()
    record.plan_results.record(WEB, (finding("c1"),), [])
    record.plan_results.record(WEB, (finding("c1"),), [])
    assert record.changed == ["c1"]
    record.changed.clear()
    record.plan_results.record(WEB, (finding("c2"),), [])
    assert sorted(record.changed) == ["c1", "c2"]


def test_changed_failures_are_reported() -> None:
    """A write that fails, fails differently, or succeeds again is reported once each."""
    record = Record()
    for unfinished in ([failure()], [failure()], [failure(message="403")], []):
        record.plan_results.record(WEB, (), unfinished)
    assert record.changed == ["c1", "c1", "c1"]


@pytest.mark.parametrize(
    ("status", "counts"),
    [(each, each in (WriteStatus.REFUSED, WriteStatus.FAILED)) for each in WriteStatus],
)
def test_only_results_that_need_a_fix_are_failures(status: WriteStatus, counts: bool) -> None:
    """A superseded plan or a deletion that waits for its replacement is not shown as a failure."""
    record = Record()
    message = "" if status is WriteStatus.POSTPONED else "500"
    record.plan_results.record(WEB, (), [failure(status=status, message=message)])
    assert record.plan_results.failures_of("c1") == (["default/web: 500"] if counts else [])


def test_failures_of_a_cluster() -> None:
    """A link sees its own failures, one for each Service."""
    record = Record()
    record.plan_results.record(WEB, (), [failure("c1"), failure("c2")])
    record.plan_results.record(API, (), [failure("c1")])
    assert sorted(record.plan_results.failures_of("c1")) == ["default/api: 500", "default/web: 500"]
    assert record.plan_results.failures_of("c2") == ["default/web: 500"]


def test_failure_without_a_cluster_concerns_no_link() -> None:
    """A slice that lost its cluster label belongs to no link."""
    record = Record()
    record.plan_results.record(WEB, (), [failure(None)])
    assert record.plan_results.failures_of("c1") == []
