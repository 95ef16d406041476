"""The mass-deletion guard: a cluster that condemns most of its mirrored slices at once is not believed at once.

A cluster restored from an empty backup, or a filter on its API, looks as if everything in it had been deleted. So a
deletion that only the content of a remote cluster asks for waits until it is known how many more come with it. What
waits, and for how long, is a value in the snapshot; `advance` says what becomes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import evolve, frozen

from svclink_core.meta_v1 import NamespacedName
from svclink_core.well_known import Reason

MIN_SLICES: Final = 20
"""With fewer mirrored slices a cluster is not guarded: half of a few is soon gone, and rightly so."""

SETTLE_SECONDS: Final = 1.0
MAX_SETTLE_SECONDS: Final = 5.0
"""A wave of deletions is over when for one second nothing came to it, and counts as over after five."""


@frozen
class Wave:
    """Deletions that a cluster asked for one soon after the other, none of them carried out. Times are POSIX seconds.

    Args:
        slices: How many mirrored slices the cluster had when it began.
        doomed: How many of them would go.
        began_at: When the first came.
        grew_at: When the last came.
        held_until: Until when all of them wait, because they are too many; None while that is not known.
    """

    slices: int
    doomed: int
    began_at: float
    grew_at: float
    held_until: float | None = None


@frozen
class Guard:
    """Whether deletions of one cluster wait.

    Args:
        is_armed: Whether they do at all.
        wave: Those that wait.
        released: Services whose deletions waited, and are carried out now.
    """

    is_armed: bool = False
    wave: Wave | None = None
    released: frozenset[NamespacedName] = frozenset()


UNGUARDED: Final = Guard()


@frozen
class Toll:
    """What a cluster condemns: how many mirrored slices it has, and how many of each Service would go."""

    slices: int
    doomed: Mapping[NamespacedName, int]


CAUSED_BY_CLUSTER: Final = frozenset(
    {
        Reason.SOURCE_GONE,
        Reason.NO_ENDPOINTS,
        Reason.REMOTE_SERVICE_MISSING,
        Reason.REMOTE_EXTERNAL_NAME,
        Reason.REMOTE_HEADLESS,
        Reason.REMOTE_IMPORTED,
        Reason.REMOTE_DELETING,
    }
)
"""Reasons to delete that rest on nothing but what a remote cluster says about itself."""


def is_caused_by_cluster(reason: Reason) -> bool:
    """Whether a change rests on nothing but what a remote cluster says, so that it may have to wait."""
    return reason in CAUSED_BY_CLUSTER


def why_withheld(guard: Guard, service: NamespacedName) -> Reason | None:
    """The reason why a deletion that the cluster asks for has to wait, or None."""
    if not guard.is_armed or service in guard.released:
        return None
    is_held = guard.wave is not None and guard.wave.held_until is not None
    return Reason.DELETION_HELD if is_held else Reason.DELETION_SETTLING


def effect(guard: Guard) -> tuple[bool, bool, frozenset[NamespacedName]]:
    """What of a guard decides plans: two guards of equal effect hold back the same, for the same reason."""
    return (
        guard.is_armed,
        guard.wave is not None and guard.wave.held_until is not None,
        guard.released,
    )


def advance(guard: Guard, toll: Toll, now: float, hold: float) -> Guard:
    """The guard after a look at what the cluster condemns now.

    Args:
        guard: As it was.
        toll: What the present plans of the cluster's Services say.
        now: The present time in POSIX seconds.
        hold: Seconds for which a wave of more than half of the slices is held; 0 where the cluster is not guarded,
            because that is switched off or its link was edited lately.

    Source: MIRRORING, "Mass-deletion guard".
    """
    released = guard.released & toll.doomed.keys()
    if hold <= 0 or not (guard.wave or released or toll.slices >= MIN_SLICES):
        return UNGUARDED
    waiting = toll.doomed.keys() - released
    doomed = sum(toll.doomed[service] for service in waiting)
    if not doomed:
        return Guard(is_armed=True, released=released)
    wave = _grown(guard.wave or Wave(toll.slices, 0, now, now), doomed, now)
    if now < _end(wave):
        return Guard(is_armed=True, wave=wave, released=released)
    if wave.held_until is None and 2 * wave.doomed > wave.slices:
        return Guard(is_armed=True, wave=evolve(wave, held_until=now + hold), released=released)
    return Guard(is_armed=True, released=released | waiting)


def guard_deadline(guard: Guard) -> float | None:
    """When the guard has to be looked at again, in POSIX seconds, even if nothing happens until then."""
    return None if guard.wave is None else _end(guard.wave)


def _grown(wave: Wave, doomed: int, now: float) -> Wave:
    return evolve(wave, doomed=doomed, grew_at=now if doomed > wave.doomed else wave.grew_at)


def _end(wave: Wave) -> float:
    if wave.held_until is not None:
        return wave.held_until
    return min(wave.grew_at + SETTLE_SECONDS, wave.began_at + MAX_SETTLE_SECONDS)
