"""The mass-deletion guard: pauses deletions after a cluster loses most of its slices at once.

A cluster restored from an empty backup looks as if everything in it had been deleted. So a deletion
that rests only on what a remote cluster says waits until it is clear how many others come with it.
What waits, and for how long, is a value in the snapshot; `next_guard` gives the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import evolve, frozen

from svclink_core.meta_v1 import NamespacedName
from svclink_core.well_known import Reason, Side

HOLD_SECONDS: Final = 300.0
"""How long a mass deletion is held, unless `--deletion-hold` says otherwise."""

MIN_SLICES: Final = 20
"""Clusters with fewer mirrored slices are not guarded: half of a few may well be deleted."""

SETTLE_SECONDS: Final = 1.0
MAX_SETTLE_SECONDS: Final = 5.0
"""A wave of deletions ends after a second without another deletion, and after five at most."""

MAX_COUNT_SECONDS: Final = 300.0
"""How long a wave waits at most for the plans of the Services that were due when it began.

After that it is held, because it is not known to be small.
"""


@frozen
class Wave:
    """Deletions in short succession that wait. Times are seconds on a clock that never jumps.

    Args:
        slices: How many mirrored slices the cluster had when the wave began.
        deletions: How many of them would be deleted.
        began_at: When the first deletion was due.
        grew_at: When the last deletion was due.
        held_until: When the deletions may proceed if there are, or may be, too many; otherwise
            None.
    """

    slices: int
    deletions: int
    began_at: float
    grew_at: float
    held_until: float | None = None


@frozen
class Guard:
    """Which deletions of one cluster wait.

    Args:
        is_armed: Whether deletions wait at all.
        wave: The deletions that wait, or None.
        released: Services whose deletions have waited and may proceed.
    """

    is_armed: bool = False
    wave: Wave | None = None
    released: frozenset[NamespacedName] = frozenset()


UNGUARDED: Final = Guard()


@frozen
class DeletionCount:
    """How many mirrored slices a cluster has, and how many of each Service would be deleted."""

    slices: int
    deletions: Mapping[NamespacedName, int]


def is_caused_by_cluster(reason: Reason) -> bool:
    """Whether a deletion rests on nothing but what a remote cluster says, so that it may wait.

    What the main cluster or the operator changed is meant, and never waits.
    """
    return reason.caused_by is Side.REMOTE


def why_withheld(guard: Guard, service: NamespacedName) -> Reason | None:
    """Why a deletion that rests on what the cluster says has to wait, or None."""
    if not guard.is_armed or service in guard.released:
        return None
    return Reason.DELETION_HELD if is_held(guard) else Reason.DELETION_SETTLING


def guard_effect(guard: Guard) -> tuple[bool, bool, frozenset[NamespacedName]]:
    """What plans depend on: guards with equal effects delay the same for the same reasons."""
    return guard.is_armed, is_held(guard), guard.released


def lifted_by_edit(guard: Guard, count: DeletionCount) -> frozenset[NamespacedName]:
    """The Services whose deletions may proceed because the link was just edited: what is held.

    What the cluster loses later is guarded again, and so is a wave that has not ended.
    """
    return frozenset(count.deletions) if is_held(guard) else frozenset()


def is_held(guard: Guard) -> bool:
    """Whether the deletions that wait are too many."""
    return guard.wave is not None and guard.wave.held_until is not None


def next_guard(
    guard: Guard,
    count: DeletionCount,
    now: float,
    hold: float,
    intended: frozenset[NamespacedName] = frozenset(),
    *,
    is_counted: bool = True,
) -> Guard:
    """Return the next guard, given what the cluster would lose now.

    Args:
        guard: The guard before.
        count: What the plans for the cluster's Services would delete.
        now: Seconds on the clock of the guard.
        hold: How long to hold a wave with more than half of the slices, or an uncounted one, in
            seconds; 0 if the cluster is not guarded.
        intended: Services whose deletions result from an edit of the link and need not wait.
        is_counted: Whether every Service has been planned that was due when the wave began. Until
            then, it is not known how many deletions come together.

    Source: docs/explanation/concepts.md, "Unknown is not empty".
    """
    released = (guard.released | intended) & count.deletions.keys()
    if hold <= 0 or not (guard.wave or released or count.slices >= MIN_SLICES):
        return UNGUARDED
    waiting = count.deletions.keys() - released
    deletions = sum(count.deletions[service] for service in waiting)
    if not deletions:
        return Guard(is_armed=True, released=released)
    wave = _grown(guard.wave or Wave(count.slices, 0, now, now), deletions, now)
    if now < _end(wave, is_counted=is_counted):
        return Guard(is_armed=True, wave=wave, released=released)
    may_be_too_many = 2 * wave.deletions > wave.slices or not is_counted
    if wave.held_until is None and may_be_too_many:
        return Guard(is_armed=True, wave=evolve(wave, held_until=now + hold), released=released)
    return Guard(is_armed=True, released=released | waiting)


def guard_deadline(guard: Guard, *, is_counted: bool = True) -> float | None:
    """When `next_guard` has to be called again even without an event; None if never.

    The caller calls it too when `is_counted` becomes true.
    """
    return None if guard.wave is None else _end(guard.wave, is_counted=is_counted)


def _grown(wave: Wave, deletions: int, now: float) -> Wave:
    grew_at = now if deletions > wave.deletions else wave.grew_at
    return evolve(wave, deletions=deletions, grew_at=grew_at)


def _end(wave: Wave, *, is_counted: bool) -> float:
    if wave.held_until is not None:
        return wave.held_until
    if not is_counted:
        return wave.began_at + MAX_COUNT_SECONDS
    return min(wave.grew_at + SETTLE_SECONDS, wave.began_at + MAX_SETTLE_SECONDS)
