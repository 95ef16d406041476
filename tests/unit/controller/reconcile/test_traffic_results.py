"""What plans say about traffic counts for the next plan at once, and for a status once applied."""

from __future__ import annotations

from typing import Final

import pytest
from attrs import evolve

from svclink_controller.reconcile.traffic_results import TrafficResults
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.reconcile.write_results import WriteResult, WriteStatus
from svclink_controller.state.main.traffic_policies import TrafficPolicies
from svclink_core import Create, NamespacedName, Reason, TrafficPolicy
from svclink_core.service_traffic import (
    EndpointUse,
    FamilyTraffic,
    ServiceTraffic,
    TrafficReason,
)
from svclink_core.traffic_policy_v1alpha1 import ActiveTier
from tests.builders.keys import WEB
from tests.builders.values import mirrored_slice, traffic_policy

POLICY: Final = traffic_policy()
TIERS: Final = (ActiveTier(1, "IPv4", "2026-01-01T00:00:00Z"),)
TRAFFIC: Final = ServiceTraffic(WEB, "web", remembered=TIERS)
NEEDED: Final = ServiceTraffic(
    WEB,
    families=(FamilyTraffic("IPv4", 0, (EndpointUse("c1", 0, 2, 2, TrafficReason.LAST_READY),)),),
)
CHANGE: Final = Create(mirrored_slice(), Reason.SOURCE_ADDED)


class World:
    """Results, and what they reported."""

    def __init__(self, *policies: TrafficPolicy) -> None:
        self.policies = TrafficPolicies(lambda _: None)
        for policy in policies:
            self.policies.put(policy)
        self.queue: WorkQueue[NamespacedName] = WorkQueue()
        self.outdated: list[str] = []
        self.results = TrafficResults(self.policies, self.queue, self.outdated.append)

    def plan(self, *traffic: ServiceTraffic, unfinished: WriteStatus | None = None) -> None:
        """A plan of the Service is made, and applied as far as possible."""
        self.results.remember(traffic)
        results = [] if unfinished is None else [WriteResult(CHANGE, unfinished, "quota exceeded")]
        self.results.record(WEB, traffic, results)


def test_tiers_count_for_the_next_plan_before_anything_is_written() -> None:
    """The slices, and the status after them, may be refused for as long as they like."""
    made = World(POLICY)
    made.results.remember([TRAFFIC])
    assert made.policies.counting()[WEB].status.tiers == TIERS
    made.results.forget_all()
    assert made.policies.counting()[WEB].status.tiers == ()


def test_applied_plan_outdates_the_status_of_every_policy_of_the_service() -> None:
    """The younger of two policies has a status, too."""
    made = World(POLICY, traffic_policy(name="z"))
    made.plan(TRAFFIC)
    assert len(made.queue) == 2
    assert made.results.of(POLICY) is TRAFFIC
    assert list(made.results.all()) == [TRAFFIC]


@pytest.mark.parametrize(
    ("status", "is_recorded"),
    [
        (WriteStatus.FAILED, True),
        (WriteStatus.REFUSED, True),
        (WriteStatus.SUPERSEDED, False),
    ],
)
def test_plan_that_is_not_applied_does_not_count(status: WriteStatus, *, is_recorded: bool) -> None:
    """A failure is reported; what is planned again at once leaves the status as it is."""
    made = World(POLICY)
    made.plan(TRAFFIC, unfinished=status)
    assert made.results.of(POLICY) is (TRAFFIC if is_recorded else None)
    assert made.results.failure_of(WEB) == ("quota exceeded" if is_recorded else None)
    made.plan(TRAFFIC)
    assert made.results.failure_of(WEB) is None


def test_edited_policy_has_no_traffic_until_it_is_applied() -> None:
    """A status must not call an edit applied because the plan before it was."""
    made = World(POLICY)
    made.plan(TRAFFIC)
    edited = evolve(POLICY, metadata=evolve(POLICY.metadata, generation=2))
    successor = evolve(POLICY, metadata=evolve(POLICY.metadata, uid="another"))
    assert made.results.of(edited) is None
    assert made.results.of(successor) is None
    made.policies.put(edited)
    made.plan(TRAFFIC)
    assert made.results.of(edited) is TRAFFIC


def test_service_that_needs_a_drained_cluster_outdates_the_status_of_its_link() -> None:
    """The link is told when a Service begins to need it, and when it no longer does."""
    made = World()
    made.plan(NEEDED)
    assert (made.outdated, made.results.needing("c1")) == (["c1"], ["default/web"])
    made.plan(NEEDED)
    assert made.outdated == ["c1"]
    made.plan()
    assert (made.outdated, made.results.needing("c1")) == (["c1", "c1"], [])
    assert len(made.queue) == 0
