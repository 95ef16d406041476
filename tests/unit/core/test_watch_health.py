"""When watches count as silent, one fact in each test."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svclink_core.watch_health import (
    LONGEST_WATCH_SECONDS,
    SHORTEST_WATCH_SECONDS,
    SILENCE_SECONDS,
    EndedWatch,
    WatchHealth,
    after_watch,
    is_silent,
    must_relist,
)

LISTED = WatchHealth(heard_at=0, listed_at=0)

moments = st.floats(0, 10_000)
healths = st.builds(
    WatchHealth, moments, moments, st.integers(SHORTEST_WATCH_SECONDS, LONGEST_WATCH_SECONDS)
)


def after_silence(*seconds: float) -> WatchHealth:
    """What is known after watches that sent nothing, one directly after the other."""
    health, now = LISTED, 0.0
    for each in seconds:
        health = after_watch(health, EndedWatch(now, now + each))
        now += each
    return health


def test_three_silent_watches_are_followed_by_a_list() -> None:
    """After 3 missed bookmarks a watch is replaced, after 3 such ones a list follows."""
    waits = [SILENCE_SECONDS] * 3
    assert not must_relist(after_silence(*waits[:2]), sum(waits[:2]))
    assert must_relist(after_silence(*waits), sum(waits))


def test_quick_cuts_are_not_silence() -> None:
    """However often a watch is cut, only time makes it silent."""
    health = after_silence(*[3.0] * 100)
    assert not is_silent(health, 300)
    assert is_silent(health, 540)


@given(healths, moments, st.floats(0, 500))
def test_any_event_ends_silence(health: WatchHealth, now: float, later: float) -> None:
    """A watch that sent something is not silent for the next minutes."""
    heard = after_watch(health, EndedWatch(now - 1, now, now))
    assert not is_silent(heard, now + later)


@given(healths, moments)
def test_only_silence_requires_a_list(health: WatchHealth, now: float) -> None:
    """Watches that are heard need no list, however long ago the last one was."""
    assert is_silent(health, now) or not must_relist(health, now)


def test_silent_kind_is_listed_every_three_minutes() -> None:
    """While watches stay silent, lists bring what changed."""
    listed = evolve(LISTED, listed_at=600)
    assert is_silent(listed, 700)
    assert not must_relist(listed, 700)
    assert must_relist(listed, 780)


@pytest.mark.parametrize(("seconds", "lifetime"), [(1, 5), (20, 15), (35, 26), (195, 60)])
def test_watch_after_an_early_silent_end_is_shorter(seconds: float, lifetime: int) -> None:
    """A server ends it before a proxy would, and sends a bookmark two seconds before."""
    assert after_silence(seconds).lifetime == lifetime


@pytest.mark.parametrize("heard_at", [None, 10.0])
def test_watch_that_lasted_is_followed_by_a_longer_one(heard_at: float | None) -> None:
    """Watches become long again when nothing cuts them."""
    health = evolve(LISTED, lifetime=15)
    for lifetime in (30, 60, 120, 240, 480, 600, 600):
        health = after_watch(health, EndedWatch(0, health.lifetime, heard_at))
        assert health.lifetime == lifetime


@given(healths, moments, st.floats(0, 1_000), st.booleans())
def test_lifetime_stays_within_its_bounds(
    health: WatchHealth, began_at: float, seconds: float, is_heard: bool
) -> None:
    """No watch is so short that no bookmark comes, and none is longer than usual."""
    watch = EndedWatch(began_at, began_at + seconds, began_at if is_heard else None)
    lifetime = after_watch(health, watch).lifetime
    assert SHORTEST_WATCH_SECONDS <= lifetime <= LONGEST_WATCH_SECONDS
