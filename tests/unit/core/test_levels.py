"""How much attention each reason needs."""

from __future__ import annotations

import pytest

from svclink_core import Reason
from svclink_core.levels import LEVELS, WHOLE_CLUSTER, Level, level_of, worst

IN_ORDER = {
    Reason.MIRRORED,
    Reason.SERVICE_CREATED,
    Reason.NAMESPACE_CREATED,
    Reason.SOURCE_ADDED,
    Reason.CONTENT_CHANGED,
    Reason.OWNER_CHANGED,
    Reason.RESTORED,
    Reason.ACTIVATED,
    Reason.STANDBY,
    Reason.SOURCE_GONE,
    Reason.MAIN_PORTS_CHANGED,
    Reason.LEFTOVER_REPLACED,
    Reason.DUPLICATE,
}


def test_only_mirroring_and_changes_are_in_order() -> None:
    """A new reason is in order only after a review."""
    assert {each for each in Reason if level_of(each) is Level.OK} == IN_ORDER


@pytest.mark.parametrize(
    ("reason", "level"),
    [
        (Reason.REMOTE_SERVICE_MISSING, Level.NONE),
        (Reason.FROZEN, Level.SKIPPED),
        (Reason.PENDING, Level.WAITING),
        (Reason.UNREACHABLE, Level.WARNING),
        (Reason.UNDECODABLE, Level.ERROR),
    ],
)
def test_reason_has_a_level(reason: Reason, level: Level) -> None:
    """Each reason that is not in order has one."""
    assert level_of(reason) is level


def test_levels_are_ranked() -> None:
    """The worst has the highest rank."""
    assert [each.rank for each in LEVELS] == [0, 1, 2, 3, 4, 5]
    assert worst((Level.OK, Level.ERROR, Level.WAITING)) is Level.ERROR
    assert worst(()) is Level.NONE


def test_reasons_of_whole_clusters_are_not_in_order() -> None:
    """The link says that its Services are not mirrored as usual, once for all of them."""
    assert all(level_of(each) is not Level.OK for each in WHOLE_CLUSTER)
