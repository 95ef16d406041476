"""The mass-deletion guard, one fact in each test."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svclink_core import (
    UNGUARDED,
    Decision,
    DeletionCount,
    Guard,
    NamespacedName,
    Outcome,
    Reason,
    Wave,
    next_guard,
    plan,
)
from svclink_core.deletion_guard import (
    MAX_COUNT_SECONDS,
    MAX_SETTLE_SECONDS,
    guard_deadline,
    guard_effect,
    lifted_by_edit,
    why_withheld,
)
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    local_slice,
    mirrored_slice,
    remote_slice,
    snapshot_of,
)
from tests.unit.core.world import NOW

HOLD = 300.0
ARMED = Guard(is_armed=True)


def count(deletions: int, slices: int = 24) -> DeletionCount:
    """Counts in which each Service would lose one slice."""
    return DeletionCount(
        slices, {NamespacedName("default", f"s{number}"): 1 for number in range(deletions)}
    )


def after(*steps: tuple[float, DeletionCount], guard: Guard = ARMED, hold: float = HOLD) -> Guard:
    """The guard after advancing at each moment, in seconds from `NOW`."""
    for seconds, seen in steps:
        guard = next_guard(guard, seen, NOW + seconds, hold)
    return guard


@pytest.mark.parametrize(("slices", "is_armed"), [(19, False), (20, True)])
def test_cluster_with_20_slices_is_guarded(slices: int, is_armed: bool) -> None:
    """Deletions of a cluster wait if it has at least 20 mirrored slices."""
    for guard in (UNGUARDED, ARMED):
        assert after((0, count(0, slices)), guard=guard) == Guard(is_armed)


def test_a_deletion_waits_for_others() -> None:
    """The first deletion starts a wave, which ends one second after its last deletion."""
    begun = after((0, count(1)))
    assert begun == Guard(is_armed=True, wave=Wave(24, 1, NOW, NOW))
    assert guard_deadline(begun) == NOW + 1
    assert guard_deadline(after((0, count(1)), (0.9, count(2)))) == NOW + 1.9
    assert guard_deadline(after((0, count(1)), (0.9, count(1)))) == NOW + 1


def test_a_wave_ends_while_deletions_continue() -> None:
    """A wave ends after five seconds even if deletions keep arriving."""
    steps = [(number * 0.9, count(1 + number)) for number in range(6)]
    assert guard_deadline(after(*steps)) == NOW + 5


def test_wave_waits_for_the_plans_that_were_due() -> None:
    """However slowly plans follow each other, all are counted."""
    guard = ARMED
    for second in range(20):
        guard = next_guard(guard, count(second + 1), NOW + second, HOLD, is_counted=False)
    assert guard.wave is not None
    assert guard.released == frozenset()
    assert guard_deadline(guard, is_counted=False) == NOW + MAX_COUNT_SECONDS
    assert guard_deadline(guard) == NOW + MAX_SETTLE_SECONDS
    held = next_guard(guard, count(20), NOW + 20, HOLD)
    assert why_withheld(held, WEB) is Reason.DELETION_HELD
    late = next_guard(guard, count(20), NOW + MAX_COUNT_SECONDS, HOLD, is_counted=False)
    assert why_withheld(late, WEB) is Reason.DELETION_HELD


def test_wave_that_cannot_be_counted_is_held() -> None:
    """If plans stay due, few deletions are known, and may be a part of many: none is released."""
    guard = next_guard(ARMED, count(1), NOW, HOLD, is_counted=False)
    end = NOW + MAX_COUNT_SECONDS
    held = next_guard(guard, count(1), end, HOLD, is_counted=False)
    assert why_withheld(held, WEB) is Reason.DELETION_HELD
    assert guard_deadline(held, is_counted=False) == end + HOLD
    released = next_guard(held, count(1), end + HOLD, HOLD, is_counted=False)
    assert released == Guard(is_armed=True, released=frozenset(count(1).deletions))


def test_few_deletions_are_released() -> None:
    """At most half of the slices are released at once, until their deletion is done."""
    released = after((0, count(12)), (1, count(12)))
    assert released == Guard(is_armed=True, released=frozenset(count(12).deletions))
    assert after((0, count(3, 15)), guard=released) == Guard(
        is_armed=True, released=frozenset(count(3).deletions)
    )
    assert after((0, count(0, 12)), guard=released) == UNGUARDED


@pytest.mark.parametrize("hold", [0.5, HOLD])
def test_many_deletions_are_held(hold: float) -> None:
    """More than half of the slices are held for the time of the flag, and then released."""
    held = after((0, count(13)), (1, count(13)), hold=hold)
    assert held == Guard(is_armed=True, wave=Wave(24, 13, NOW, NOW, NOW + 1 + hold))
    assert guard_deadline(held) == NOW + 1 + hold
    over = after((1 + hold, count(13)), guard=held, hold=hold)
    assert over == Guard(is_armed=True, released=frozenset(count(13).deletions))


def test_wave_ends_when_slices_come_back() -> None:
    """When no more slices would be deleted, the wave is over."""
    held = after((0, count(13)), (1, count(13)))
    assert after((2, count(0)), guard=held) == ARMED


def test_new_deletions_start_another_wave() -> None:
    """Deletions that arrive while others are released start a wave of their own."""
    released = Guard(is_armed=True, released=frozenset(count(1).deletions))
    found = after((0, count(20)), guard=released)
    assert found == Guard(is_armed=True, wave=Wave(24, 19, NOW, NOW), released=released.released)
    held = after((1, count(20)), guard=found)
    assert held == Guard(
        is_armed=True, wave=Wave(24, 19, NOW, NOW, NOW + 1 + HOLD), released=released.released
    )


def test_hold_of_zero_releases_everything() -> None:
    """With a hold of 0 all waiting deletions are released."""
    held = after((0, count(13)), (1, count(13)))
    assert after((2, count(13)), guard=held, hold=0) == UNGUARDED


def test_edit_lifts_what_is_held_and_nothing_else() -> None:
    """An edit of the link releases what is held. What is lost later waits as ever."""
    settling = after((0, count(13)))
    held = after((1, count(13)), guard=settling)
    assert lifted_by_edit(ARMED, count(0)) == lifted_by_edit(settling, count(13)) == frozenset()
    lifted = next_guard(held, count(13), NOW + 2, HOLD, lifted_by_edit(held, count(13)))
    assert lifted == Guard(is_armed=True, released=frozenset(count(13).deletions))
    assert after((3, count(0)), (9, count(24)), (10, count(24)), guard=lifted).wave == Wave(
        24, 24, NOW + 9, NOW + 9, NOW + 10 + HOLD
    )


def test_intended_deletions_do_not_wait() -> None:
    """Deletions that an edit caused are released at once; others form a wave without them."""
    some = frozenset(count(20).deletions)
    assert next_guard(ARMED, count(20), NOW, HOLD, some) == Guard(is_armed=True, released=some)
    assert next_guard(ARMED, count(21), NOW, HOLD, some) == Guard(
        is_armed=True, wave=Wave(24, 1, NOW, NOW), released=some
    )
    assert next_guard(ARMED, count(0), NOW, HOLD, some) == ARMED


def test_growing_wave_changes_no_plan() -> None:
    """A wave that grows does not change a plan; a wave that becomes held does."""
    first, grown, held = (
        after((0, count(1))),
        after((0, count(1)), (0.5, count(2))),
        after((0, count(13)), (1, count(13))),
    )
    assert guard_effect(first) == guard_effect(grown) == guard_effect(ARMED)
    assert guard_effect(held) != guard_effect(first) != guard_effect(UNGUARDED)
    assert (why_withheld(first, WEB), why_withheld(held, WEB)) == (
        Reason.DELETION_SETTLING,
        Reason.DELETION_HELD,
    )


HELD = Guard(is_armed=True, wave=Wave(24, 18, NOW, NOW, NOW + HOLD))


@pytest.mark.parametrize(
    ("guard", "reason"), [(ARMED, Reason.DELETION_SETTLING), (HELD, Reason.DELETION_HELD)]
)
def test_plan_withholds_deletions_of_a_guarded_cluster(guard: Guard, reason: Reason) -> None:
    """A slice that an armed guard withholds is kept and counted, with the reason."""
    gone_service = snapshot_of(
        evolve(cluster("c1", services=[]), guard=guard), slices=[mirrored_slice()]
    )
    gone_slice = snapshot_of(evolve(cluster("c1"), guard=guard), slices=[mirrored_slice()])
    for found in (gone_service, gone_slice):
        assert plan(found, NOW).changes == ()
        assert plan(found, NOW).decisions == (Decision(WEB, "c1", Outcome.KEPT, reason, 1, 1, 1),)


def test_withheld_slice_can_conflict() -> None:
    """An address of a withheld slice that a local Pod also has is reported."""
    local = local_slice()
    found = snapshot_of(
        evolve(cluster("c1"), guard=ARMED), slices=[mirrored_slice("web-c1", "10.9.9.9"), local]
    )
    assert [each.reason for each in plan(found, NOW).findings] == [Reason.ADDRESS_CONFLICT]


def test_armed_guard_does_not_affect_mirroring() -> None:
    """A guarded cluster without deletions is mirrored as usual."""
    found = snapshot_of(evolve(cluster("c1", remote_slice()), guard=ARMED))
    assert plan(found, NOW).decisions == (
        Decision(WEB, "c1", Outcome.MIRRORED, Reason.MIRRORED, 1, 1),
    )


def test_other_slices_of_a_withheld_service_are_created() -> None:
    """A withheld deletion does not stop the creation of other slices of the Service."""
    old = mirrored_slice(None, "fd00::1", address_type="IPv6")
    found = snapshot_of(evolve(cluster("c1", remote_slice("web-new")), guard=ARMED), slices=[old])
    assert [change.reason for change in plan(found, NOW).changes] == [Reason.SOURCE_ADDED]
    (decision,) = plan(found, NOW).decisions
    assert (decision.reason, decision.slices, decision.endpoints) == (
        Reason.DELETION_SETTLING,
        2,
        2,
    )


def test_released_deletion_is_planned() -> None:
    """The slice of a released Service is deleted, and counted as a deletion until it is gone."""
    released = Guard(is_armed=True, released=frozenset({WEB}))
    for remote, reason in (
        (cluster("c1", services=[]), Reason.REMOTE_SERVICE_MISSING),
        (cluster("c1"), Reason.SOURCE_GONE),
    ):
        decided = plan(snapshot_of(evolve(remote, guard=released), slices=[mirrored_slice()]), NOW)
        assert [change.reason for change in decided.changes] == [reason]
        assert [(each.outcome, each.deletions) for each in decided.decisions] == [
            (Outcome.SKIPPED, 1)
        ]


def test_guard_does_not_hold_other_deletions() -> None:
    """The guard of a cluster holds neither duplicates nor slices of deleted links."""
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
def test_every_deletion_is_released(
    history: list[tuple[float, int, int]], deletions: int, slices: int
) -> None:
    """After any history, every deletion is released in the end, at deadlines of the guard."""
    guard, now = ARMED, NOW
    for seconds, some, held in history:
        now += seconds
        guard = next_guard(guard, count(some, held), now, HOLD)
    seen = count(deletions, slices)
    guard = next_guard(guard, seen, now, HOLD)
    while (at := guard_deadline(guard)) is not None:
        assert now < at <= now + HOLD
        now = at
        guard = next_guard(guard, seen, now, HOLD)
    assert [service for service in seen.deletions if why_withheld(guard, service) is not None] == []


@given(histories)
def test_no_more_than_half_goes_at_once(history: list[tuple[float, int, int]]) -> None:
    """An armed guard releases a wave of more than half of the slices only after its hold."""
    guard, now = ARMED, NOW
    for seconds, some, held in history:
        now += seconds
        before, guard = guard, next_guard(guard, count(some, held), now, HOLD)
        wave = before.wave
        if wave is not None and guard.is_armed and guard.released - before.released:
            is_over = wave.held_until is not None and now >= wave.held_until
            assert is_over or 2 * some <= wave.slices + 2 * len(before.released)
