"""Times are remembered by Service as long as they are recent, a fact in each test."""

from __future__ import annotations

from svclink_controller.state.recent_times import RecentTimes
from svclink_core import NamespacedName
from tests.builders.keys import WEB

API = NamespacedName("default", "api")


def test_the_last_time_counts() -> None:
    """A later time replaces an earlier one, and then is kept as long as any other."""
    times = RecentTimes(2)
    for at in (10, 11, 12):
        times.set(WEB, at)
        assert dict(times.version()) == {WEB: at}


def test_old_times_are_forgotten() -> None:
    """What a long list leaves behind is gone with the next change."""
    times = RecentTimes(2)
    for number in range(1_000):
        times.set(NamespacedName("default", f"web-{number}"), 10)
    times.set(API, 12)
    assert dict(times.version()) == {API: 12}


def test_a_version_does_not_change() -> None:
    """What is set after a version was taken does not show in it."""
    times = RecentTimes(2)
    times.set(WEB, 10)
    before = times.version()
    times.set(API, 11)
    assert dict(before) == {WEB: 10}
