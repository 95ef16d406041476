"""The mass-deletion guard: one fact a test."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svclink_core import (
    UNGUARDED,
    Decision,
    Guard,
    NamespacedName,
    Outcome,
    Reason,
    Toll,
    Wave,
    advance,
    plan,
)
from svclink_core.deletion_guard import effect, guard_deadline, why_withheld
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.builders.keys import WEB
from tests.builders.values import cluster, foreign_slice, mirrored_slice, remote_slice, snapshot_of
from tests.unit.core.world import NOW

HOLD = 300.0
ARMED = Guard(is_armed=True)


def toll(doomed: int, slices: int = 24) -> Toll:
    """Services with one doomed slice each."""
    return Toll(slices, {NamespacedName("default", f"s{number}"): 1 for number in range(doomed)})


def after(*steps: tuple[float, Toll], guard: Guard = ARMED, hold: float = HOLD) -> Guard:
    """The guard after a look at each moment, in seconds from `NOW`."""
    for seconds, seen in steps:
        guard = advance(guard, seen, NOW + seconds, hold)
    return guard


@pytest.mark.parametrize(("slices", "is_armed"), [(19, False), (20, True)])
def test_a_cluster_of_some_size_is_guarded(slices: int, is_armed: bool) -> None:
    """From 20 mirrored slices on, a cluster's deletions wait; with fewer they do not."""
    for guard in (UNGUARDED, ARMED):
        assert after((0, toll(0, slices)), guard=guard) == Guard(is_armed)


def test_a_deletion_waits_for_others() -> None:
    """The first doomed slice begins a wave, which is over when for a second nothing came to it."""
    begun = after((0, toll(1)))
    assert begun == Guard(is_armed=True, wave=Wave(24, 1, NOW, NOW))
    assert guard_deadline(begun) == NOW + 1
    assert guard_deadline(after((0, toll(1)), (0.9, toll(2)))) == NOW + 1.9
    assert guard_deadline(after((0, toll(1)), (0.9, toll(1)))) == NOW + 1


def test_a_wave_does_not_last_for_ever() -> None:
    """A wave to which something comes all the time counts as over after five seconds."""
    steps = [(number * 0.9, toll(1 + number)) for number in range(6)]
    assert guard_deadline(after(*steps)) == NOW + 5


def test_few_deletions_are_released() -> None:
    """Half of the slices, or fewer, are released at once; the Service they are of is remembered until they are gone."""
    released = after((0, toll(12)), (1, toll(12)))
    assert released == Guard(is_armed=True, released=frozenset(toll(12).doomed))
    assert after((0, toll(3, 15)), guard=released) == Guard(
        is_armed=True, released=frozenset(toll(3).doomed)
    )
    assert after((0, toll(0, 12)), guard=released) == UNGUARDED


@pytest.mark.parametrize("hold", [0.5, HOLD])
def test_many_deletions_are_held(hold: float) -> None:
    """More than half of the slices are held for as long as the flag says, and released then."""
    held = after((0, toll(13)), (1, toll(13)), hold=hold)
    assert held == Guard(is_armed=True, wave=Wave(24, 13, NOW, NOW, NOW + 1 + hold))
    assert guard_deadline(held) == NOW + 1 + hold
    over = after((1 + hold, toll(13)), guard=held, hold=hold)
    assert over == Guard(is_armed=True, released=frozenset(toll(13).doomed))


def test_what_comes_back_is_not_held() -> None:
    """Where nothing is doomed any more, the guard is calm again."""
    held = after((0, toll(13)), (1, toll(13)))
    assert after((2, toll(0)), guard=held) == ARMED


def test_a_new_wave_beside_what_is_released() -> None:
    """What comes while other deletions are carried out is a wave of its own."""
    released = Guard(is_armed=True, released=frozenset(toll(1).doomed))
    found = after((0, toll(20)), guard=released)
    assert found == Guard(is_armed=True, wave=Wave(24, 19, NOW, NOW), released=released.released)
    held = after((1, toll(20)), guard=found)
    assert held == Guard(
        is_armed=True, wave=Wave(24, 19, NOW, NOW, NOW + 1 + HOLD), released=released.released
    )


def test_nothing_is_held_when_it_is_off() -> None:
    """With no time to hold, because it is off or the link was edited, nothing waits, nor what waited before."""
    held = after((0, toll(13)), (1, toll(13)))
    assert after((2, toll(13)), guard=held, hold=0) == UNGUARDED


def test_the_effect_of_a_guard() -> None:
    """A wave that grows changes no plan; one that is held does."""
    first, grown, held = (
        after((0, toll(1))),
        after((0, toll(1)), (0.5, toll(2))),
        after((0, toll(13)), (1, toll(13))),
    )
    assert effect(first) == effect(grown) == effect(ARMED)
    assert effect(held) != effect(first) != effect(UNGUARDED)
    assert (why_withheld(first, WEB), why_withheld(held, WEB)) == (
        Reason.DELETION_SETTLING,
        Reason.DELETION_HELD,
    )


HELD = Guard(is_armed=True, wave=Wave(24, 18, NOW, NOW, NOW + HOLD))


@pytest.mark.parametrize(
    ("guard", "reason"), [(ARMED, Reason.DELETION_SETTLING), (HELD, Reason.DELETION_HELD)]
)
def test_a_plan_withholds(guard: Guard, reason: Reason) -> None:
    """What a guarded cluster asks to delete is kept, counted, and says why."""
    gone_service = snapshot_of(
        evolve(cluster("c1", services=[]), guard=guard), slices=[mirrored_slice()]
    )
    gone_slice = snapshot_of(evolve(cluster("c1"), guard=guard), slices=[mirrored_slice()])
    for found in (gone_service, gone_slice):
        assert plan(found, NOW).changes == ()
        assert plan(found, NOW).decisions == (Decision(WEB, "c1", Outcome.KEPT, reason, 1, 1, 1),)


def test_what_is_withheld_is_still_there() -> None:
    """A kept slice counts beside others: an address of it that a local Pod has, too, is told."""
    local = foreign_slice("web-local", labels={LABEL_SERVICE_NAME: "web"})
    found = snapshot_of(
        evolve(cluster("c1"), guard=ARMED), slices=[mirrored_slice("web-c1", "10.9.9.9"), local]
    )
    assert [each.reason for each in plan(found, NOW).findings] == [Reason.ADDRESS_CONFLICT]


def test_what_a_guard_has_nothing_against_is_mirrored() -> None:
    """A cluster that is guarded and condemns nothing is like any other."""
    found = snapshot_of(evolve(cluster("c1", remote_slice()), guard=ARMED))
    assert plan(found, NOW).decisions == (
        Decision(WEB, "c1", Outcome.MIRRORED, Reason.MIRRORED, 1, 1),
    )


def test_a_plan_withholds_beside_what_is_mirrored() -> None:
    """Of a Service of which something else is mirrored, that is created all the same."""
    found = snapshot_of(
        evolve(cluster("c1", remote_slice("web-new")), guard=ARMED), slices=[mirrored_slice()]
    )
    assert [change.reason for change in plan(found, NOW).changes] == [Reason.SOURCE_ADDED]
    (decision,) = plan(found, NOW).decisions
    assert (decision.reason, decision.slices, decision.endpoints) == (
        Reason.DELETION_SETTLING,
        2,
        2,
    )


def test_a_plan_carries_out_what_is_released() -> None:
    """A released Service loses its slice, and counts it until it is gone."""
    released = Guard(is_armed=True, released=frozenset({WEB}))
    for remote, reason in (
        (cluster("c1", services=[]), Reason.REMOTE_SERVICE_MISSING),
        (cluster("c1"), Reason.SOURCE_GONE),
    ):
        decided = plan(snapshot_of(evolve(remote, guard=released), slices=[mirrored_slice()]), NOW)
        assert [change.reason for change in decided.changes] == [reason]
        assert [(each.outcome, each.doomed) for each in decided.decisions] == [(Outcome.SKIPPED, 1)]


def test_what_is_not_the_clusters_doing_does_not_wait() -> None:
    """Neither a link that is gone nor a duplicate waits for the guard of the cluster."""
    copies = [
        mirrored_slice("web-c1"),
        mirrored_slice("web-copy"),
        mirrored_slice("web-gone", cluster="gone"),
    ]
    found = snapshot_of(evolve(cluster("c1", remote_slice()), guard=HELD), slices=copies)
    assert [change.reason for change in plan(found, NOW).changes] == [
        Reason.DUPLICATE,
        Reason.LINK_GONE,
    ]


histories = st.lists(
    st.tuples(
        st.sampled_from((0.0, 0.04, 0.5, 1.0, 4.0, 400.0)), st.integers(0, 24), st.integers(15, 30)
    ),
    max_size=8,
)


@given(histories, st.integers(0, 24), st.integers(0, 30))
def test_nothing_waits_for_ever(
    history: list[tuple[float, int, int]], doomed: int, slices: int
) -> None:
    """Whatever happened before: what stays doomed is let go in the end, at moments the guard itself has named."""
    guard, now = ARMED, NOW
    for seconds, some, held in history:
        now += seconds
        guard = advance(guard, toll(some, held), now, HOLD)
    seen = toll(doomed, slices)
    guard = advance(guard, seen, now, HOLD)
    while (at := guard_deadline(guard)) is not None:
        assert now < at <= now + HOLD
        now = at
        guard = advance(guard, seen, now, HOLD)
    assert [service for service in seen.doomed if why_withheld(guard, service) is not None] == []


@given(histories)
def test_no_more_than_half_goes_at_once(history: list[tuple[float, int, int]]) -> None:
    """While a guard is armed, a wave of more than half of the slices is let go only after it was held for its time."""
    guard, now = ARMED, NOW
    for seconds, some, held in history:
        now += seconds
        before, guard = guard, advance(guard, toll(some, held), now, HOLD)
        wave = before.wave
        if wave is not None and guard.is_armed and guard.released - before.released:
            is_over = wave.held_until is not None and now >= wave.held_until
            assert is_over or 2 * some <= wave.slices + 2 * len(before.released)
