"""Which changes of a policy's status are written at once; test_traffic.py runs the writer."""

from __future__ import annotations

from typing import Final

import pytest
from attrs import evolve

from svclink_controller.reconcile.status.policies import is_policy_transition
from svclink_core import Condition, TrafficPolicyStatus
from svclink_core.traffic_policy_v1alpha1 import ActiveTier, ClusterTrafficStatus

EARLY: Final = "2026-01-01T00:00:00Z"
TIER: Final = ActiveTier(1, "IPv4", EARLY)
APPLIED: Final = Condition("Applied", "True", "FailedOver", "tier 1 is in use", EARLY)
STATUS: Final = TrafficPolicyStatus(
    active_tier=1,
    active_tier_since=EARLY,
    tiers=(TIER,),
    clusters=(ClusterTrafficStatus("c1", 1, 4, 4),),
    conditions=(APPLIED,),
    observed_generation=1,
)


@pytest.mark.parametrize(
    "changed",
    [
        evolve(STATUS, observed_generation=2),
        evolve(STATUS, active_tier=0),
        evolve(STATUS, tiers=(evolve(TIER, recovering_since=EARLY),)),
        evolve(STATUS, conditions=(evolve(APPLIED, reason="Applied"),)),
        evolve(STATUS, conditions=(evolve(APPLIED, status="False"),)),
    ],
)
def test_transition_is_written_at_once(changed: TrafficPolicyStatus) -> None:
    """What a restart must not forget, and what a command waits for, does not wait."""
    assert is_policy_transition(STATUS, changed)


@pytest.mark.parametrize(
    "changed",
    [
        STATUS,
        evolve(STATUS, clusters=(ClusterTrafficStatus("c1", 1, 5, 5),)),
        evolve(STATUS, conditions=(evolve(APPLIED, message="other words"),)),
    ],
)
def test_numbers_and_wording_wait(changed: TrafficPolicyStatus) -> None:
    """They change with every Pod that comes or goes."""
    assert not is_policy_transition(STATUS, changed)
