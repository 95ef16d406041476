"""What a page shows of one link."""

from __future__ import annotations

import pytest

from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Condition,
    LinkReason,
    Problem,
)
from svclink_core.conditions import last_transition, most_urgent
from svclink_core.levels import Level
from svclink_core.link_overview import LinkOverview, SeenCluster
from svclink_core.svclink_v1alpha1 import ConditionStatus, Phase
from tests.builders.values import link

THEN = "2026-07-01T12:00:00Z"
LATER = "2026-07-01T13:00:00Z"
PROBLEM = Problem(LinkReason.UNAUTHORIZED, "401")


def condition(kind: str, status: ConditionStatus, at: str = THEN) -> Condition:
    return Condition(kind, status, "Reason", "message", at)


READY = condition("Ready", "True")
LOST = condition("Ready", "False")
STALE = condition("Synced", "False")


def level(
    phase: Phase,
    *conditions: Condition,
    seen: SeenCluster | None = None,
    spec: ClusterLinkSpec | None = None,
    needed: int = 0,
    is_selected: bool = True,
) -> Level:
    status = ClusterLinkStatus(phase=phase, conditions=conditions, still_needed_by=needed)
    found = link(spec=spec or ClusterLinkSpec(), status=status, is_selected=is_selected)
    return LinkOverview(found, seen or SeenCluster(SYNCED)).level


def test_link_in_order() -> None:
    """Its controller says so, and its cluster can be read."""
    assert level("Ready", READY) is Level.OK


@pytest.mark.parametrize(
    ("phase", "conditions", "expected"),
    [
        ("Ready", [READY, STALE], Level.WARNING),
        ("NotReady", [LOST], Level.ERROR),
        ("Pending", [LOST], Level.WAITING),
        ("Disabled", [LOST], Level.WAITING),
        ("Pending", [], Level.WAITING),
    ],
)
def test_what_the_controller_wrote(
    phase: Phase, conditions: list[Condition], expected: Level
) -> None:
    """An unhealthy condition of a connected link is a warning; a lost cluster is an error."""
    assert level(phase, *conditions) is expected


def test_disabled_link_needs_no_attention() -> None:
    """A user asked for it, whatever its status says and whatever is seen."""
    disabled = ClusterLinkSpec(enabled=False)
    assert level("Disabled", LOST, spec=disabled) is Level.SKIPPED
    assert level("Ready", spec=disabled, seen=SeenCluster(PENDING)) is Level.SKIPPED


def test_drained_link_that_is_still_needed() -> None:
    """Maintenance would take Services away."""
    assert level("Ready", READY, needed=1) is Level.WARNING


def test_cluster_that_cannot_be_read_from_here() -> None:
    """The controller may be able to: that is a warning. Another controller's link is left alone."""
    seen = SeenCluster(PENDING, PROBLEM)
    assert level("Ready", READY, seen=seen) is Level.WARNING
    assert level("Ready", READY, seen=SeenCluster(PENDING)) is Level.WAITING
    assert level("Ready", READY, seen=seen, is_selected=False) is Level.OK


def test_most_urgent_condition() -> None:
    """The first unhealthy one, else Ready; none before a controller processed the link."""
    assert most_urgent([STALE, READY]) == STALE
    assert most_urgent([condition("Synced", "True"), READY]) == READY
    assert most_urgent([]) is None


def test_last_transition() -> None:
    """The latest of all conditions."""
    assert last_transition([READY, condition("Synced", "True", LATER)]) == LATER
    assert last_transition([]) is None


def test_age_is_no_difference() -> None:
    """A bookmark changes nothing that is worth telling."""
    assert SeenCluster(last_event=THEN) == SeenCluster(last_event=LATER)
