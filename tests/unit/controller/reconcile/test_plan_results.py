"""What could not be mirrored or written is kept by Service, and told to the links it concerns.

Real: the record. Substituted: plans and outcomes, by values.
"""

from __future__ import annotations

import pytest
from attrs import define, field

from svclink_controller.reconcile.applier import WriteResult, WriteStatus
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_core import Create, EndpointSlice, Finding, NamespacedName, ObjectMeta, Reason
from svclink_core.well_known import LABEL_CLUSTER

WEB, API = NamespacedName("default", "web"), NamespacedName("default", "api")


@define
class Record:
    """The record under test, and which links were told."""

    told: list[str] = field(factory=list)
    plan_results: PlanResults = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.plan_results = PlanResults(self.told.append)


def finding(cluster: str = "c1", key: NamespacedName = WEB, detail: str = "http 80/TCP") -> Finding:
    return Finding(key, cluster, Reason.PORT_MISMATCH, (detail,))


def failure(
    cluster: str | None = "c1", status: WriteStatus = WriteStatus.FAILED, message: str = "500"
) -> WriteResult:
    labels = () if cluster is None else ((LABEL_CLUSTER, cluster),)
    piece = EndpointSlice(ObjectMeta("web-c1", "default", labels=labels), "IPv4")
    return WriteResult(Create(piece, Reason.SOURCE_ADDED), status, message)


def test_findings_are_given_by_cluster_in_the_order_of_services() -> None:
    """A link sees its own findings, whatever the order they came in."""
    record = Record()
    record.plan_results.record(WEB, (finding("c1"), finding("c2")), [])
    record.plan_results.record(API, (finding("c1", API),), [])
    assert record.plan_results.findings_of("c1") == [finding("c1", API), finding("c1", WEB)]
    assert record.plan_results.findings_of("c2") == [finding("c2")]
    assert record.plan_results.findings_of("c3") == []


def test_plan_without_findings_takes_back_the_earlier_ones() -> None:
    """What the last plan did not find any more is gone, and nothing is kept for the Service."""
    record = Record()
    record.plan_results.record(WEB, (finding(),), [failure()])
    record.plan_results.record(WEB, (), [])
    assert (record.plan_results.findings_of("c1"), record.plan_results.failures_of("c1")) == (
        [],
        [],
    )
    assert (record.plan_results._findings, record.plan_results._failures) == ({}, {})


def test_failure_stays_while_its_next_try_waits() -> None:
    """A write that is held back takes no failure back, and no link is told; one that works does."""
    record = Record()
    record.plan_results.record(WEB, (), [failure()])
    record.told.clear()
    record.plan_results.record(WEB, (), [failure(status=WriteStatus.POSTPONED, message="")])
    assert (record.plan_results.failures_of("c1"), record.told) == (["default/web: 500"], [])
    record.plan_results.record(WEB, (), [])
    assert (record.plan_results.failures_of("c1"), record.told) == ([], ["c1"])


def test_links_are_told_when_their_findings_change() -> None:
    """The link a finding came from, or is gone from, is told; an equal plan tells nobody."""
    record = Record()
    record.plan_results.record(WEB, (finding("c1"),), [])
    record.plan_results.record(WEB, (finding("c1"),), [])
    assert record.told == ["c1"]
    record.told.clear()
    record.plan_results.record(WEB, (finding("c2"),), [])
    assert sorted(record.told) == ["c1", "c2"]


def test_links_are_told_when_their_failures_change() -> None:
    """A write that failed, failed otherwise, or works again is told to the link it belongs to."""
    record = Record()
    for unfinished in ([failure()], [failure()], [failure(message="403")], []):
        record.plan_results.record(WEB, (), unfinished)
    assert record.told == ["c1", "c1", "c1"]


@pytest.mark.parametrize(
    ("status", "counts"),
    [(each, each in (WriteStatus.REFUSED, WriteStatus.FAILED)) for each in WriteStatus],
)
def test_only_what_somebody_has_to_mend_is_a_failure(status: WriteStatus, counts: bool) -> None:
    """A plan that was overtaken, or a deletion that waits, is no failure to show."""
    record = Record()
    record.plan_results.record(WEB, (), [failure(status=status)])
    assert record.plan_results.failures_of("c1") == (["default/web: 500"] if counts else [])


def test_failures_are_given_by_cluster_in_the_order_of_services() -> None:
    """A link sees one message for each of its Services."""
    record = Record()
    record.plan_results.record(WEB, (), [failure("c1"), failure("c2")])
    record.plan_results.record(API, (), [failure("c1")])
    assert record.plan_results.failures_of("c1") == ["default/api: 500", "default/web: 500"]
    assert record.plan_results.failures_of("c2") == ["default/web: 500"]


def test_failure_of_no_cluster_disturbs_no_link() -> None:
    """A slice that lost its cluster label belongs to no link."""
    record = Record()
    record.plan_results.record(WEB, (), [failure(None)])
    assert record.plan_results.failures_of("c1") == []
