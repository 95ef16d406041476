"""A shift as a table: what to do in each state, and how it ends.

Real: the core. Substituted: svclink, by a policy that is applied or is not.
"""

from __future__ import annotations

from typing import Final

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from svclink_core import EndpointConditions, EndpointSlice
from svclink_core.standby import with_standby
from svclink_core.svclink_v1alpha1 import Condition
from svclink_core.traffic_policy_v1alpha1 import (
    ClusterTraffic,
    ClusterTrafficStatus,
    TrafficPolicyStatus,
)
from svclink_core.traffic_shift import (
    Pause,
    SetShare,
    Shift,
    ShiftEnd,
    ShiftFacts,
    ShiftState,
    next_move,
    shift_facts,
)
from tests.builders.values import endpoint, mirrored_slice, remote_slice, traffic_policy

SHIFT: Final = Shift("c1", (5, 50), before=None, watch_seconds=60, min_ready=2)
BEFORE: Final = ShiftFacts(share=None, is_applied=True, ready=3)
RETURNING: Final = ShiftState(is_set=True, is_returning=True)


def test_shift_goes_through_all_steps() -> None:
    """Each step is written, applied and watched, the last one too."""
    state, move = next_move(SHIFT, ShiftState(), BEFORE, 0)
    assert move == SetShare(5)
    state, move = next_move(SHIFT, state, ShiftFacts(5, is_applied=False, ready=3), 1)
    assert move is Pause.APPLYING
    applied = ShiftFacts(5, is_applied=True, ready=3)
    state, move = next_move(SHIFT, state, applied, 2)
    assert (state.applied_at, move) == (2, Pause.WATCHING)
    state, move = next_move(SHIFT, state, applied, 61)
    assert move is Pause.WATCHING
    state, move = next_move(SHIFT, state, applied, 62)
    assert (state, move) == (ShiftState(1), SetShare(50))
    state, move = next_move(SHIFT, state, evolve(applied, share=50), 63)
    assert move is Pause.WATCHING
    assert next_move(SHIFT, state, evolve(applied, share=50), 123)[1] is ShiftEnd.DONE


def test_step_is_watched_from_when_it_was_applied_last() -> None:
    """Where svclink decides anew, the step is watched for the whole time again."""
    applied = ShiftFacts(5, is_applied=True, ready=3)
    state, _ = next_move(SHIFT, ShiftState(), applied, 0)
    state, move = next_move(SHIFT, state, evolve(applied, is_applied=False), 59)
    assert (state.applied_at, move) == (None, Pause.APPLYING)
    assert next_move(SHIFT, state, applied, 60)[0].applied_at == 60


@pytest.mark.parametrize(
    ("share", "ready", "move"),
    [
        (5, 1, SetShare(None)),
        (None, 1, ShiftEnd.RETURNED),
        (5, None, Pause.WATCHING),
        (5, 2, Pause.WATCHING),
    ],
)
def test_share_is_set_back_below_the_minimum(
    share: int | None, ready: int | None, move: object
) -> None:
    """A number of ready endpoints that is not known is not too small."""
    facts = ShiftFacts(share, is_applied=True, ready=ready)
    assert next_move(SHIFT, ShiftState(), facts, 0)[1] == move


def test_returning_ends_once_the_share_before_is_applied() -> None:
    """It does not turn around again when the endpoints are ready again."""
    facts = ShiftFacts(5, is_applied=True, ready=9)
    assert next_move(SHIFT, RETURNING, facts, 0) == (RETURNING, SetShare(None))
    waiting = ShiftFacts(None, is_applied=False, ready=9)
    assert next_move(SHIFT, RETURNING, waiting, 0) == (RETURNING, Pause.APPLYING)
    assert next_move(SHIFT, RETURNING, BEFORE, 0) == (RETURNING, ShiftEnd.RETURNED)


@pytest.mark.parametrize(
    ("state", "share"),
    [
        (ShiftState(), 7),
        (ShiftState(is_set=True), None),
        (ShiftState(1), None),
        (RETURNING, 50),
    ],
)
def test_share_of_another_client_is_left_alone(state: ShiftState, share: int | None) -> None:
    """A share that this shift did not set is never overwritten."""
    facts = ShiftFacts(share, is_applied=True, ready=0)
    assert next_move(SHIFT, state, facts, 0) == (state, ShiftEnd.EDITED)


def test_policy_that_does_not_count_ends_the_shift() -> None:
    """Nothing would ever be applied."""
    facts = ShiftFacts(5, is_applied=True, ready=9, problem="there is no Service")
    assert next_move(SHIFT, ShiftState(), facts, 0)[1] is ShiftEnd.REFUSED


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=4).map(tuple),
    st.none() | st.integers(0, 100),
    st.data(),
)
def test_shift_writes_only_its_steps_and_the_share_before(
    steps: tuple[int, ...], before: int | None, data: DataObject
) -> None:
    """Whatever is lost, late or not ready: shares are written in order, or set back once."""
    shift, state, share, now = Shift("c1", steps, before, 10, 1), ShiftState(), before, 0.0
    written: list[int | None] = []
    end: ShiftEnd | None = None
    for _ in range(200):
        facts = ShiftFacts(
            share, data.draw(st.booleans()), data.draw(st.sampled_from((None, 1, 1, 1, 0)))
        )
        state, move = next_move(shift, state, facts, now)
        if isinstance(move, ShiftEnd):
            end = move
            break
        if isinstance(move, SetShare) and data.draw(st.booleans()):  # The write may be lost.
            share = move.share
            written.append(share)
        now += data.draw(st.sampled_from((1.0, 20.0)))
    forward = [each for index, each in enumerate(steps) if each != (before, *steps)[index]]
    if state.is_returning:
        assert written in ([*forward[:count], before] for count in range(len(forward) + 1)) or (
            written == forward[: len(written)]
        )
        assert end is not ShiftEnd.DONE
    else:
        assert written == forward[: len(written)]
    if end is ShiftEnd.DONE:
        assert share == steps[-1]
    if end is ShiftEnd.RETURNED:
        assert share == before
    assert end is not ShiftEnd.EDITED


# What is known


def status(active: int, *, generation: int = 1, accepted: str = "True") -> TrafficPolicyStatus:
    return TrafficPolicyStatus(
        clusters=(ClusterTrafficStatus("c1", 0, 3, active, 10, 20),),
        conditions=(
            Condition("Applied", "False", "ShareUnreachable", "c1 gets 20%", ""),
            Condition("Accepted", accepted, "Conflicted", "delete one", ""),  # type: ignore[arg-type]
        ),
        observed_generation=generation,
    )


def test_facts_come_from_the_status() -> None:
    """A step is applied once the status describes the current policy."""
    policy = traffic_policy(ClusterTraffic("c1", 10), status=status(1))
    assert shift_facts(policy, "c1", None) == ShiftFacts(
        10, is_applied=True, ready=3, active=1, reachable_share=20
    )


def test_old_status_is_not_the_status_of_a_new_share() -> None:
    """Before svclink saw the current policy, only its endpoints are known."""
    policy = traffic_policy(ClusterTraffic("c1", 10), status=status(1, generation=0))
    assert shift_facts(policy, "c1", None) == ShiftFacts(10, is_applied=False, ready=3)


def test_nothing_is_known_without_a_status() -> None:
    """A cluster that the status does not name may have endpoints or not."""
    policy = traffic_policy(status=TrafficPolicyStatus(observed_generation=1))
    assert shift_facts(policy, "c1", None) == ShiftFacts(None, is_applied=True, ready=None)
    unread = traffic_policy(ClusterTraffic("c1", 10))
    assert shift_facts(unread, "c1", None) == ShiftFacts(10, is_applied=False, ready=None)


def test_policy_that_is_not_accepted_is_a_problem() -> None:
    """The message of the condition says why."""
    policy = traffic_policy(ClusterTraffic("c1", 10), status=status(0, accepted="False"))
    assert shift_facts(policy, "c1", None).problem == "delete one"


GONE: Final = EndpointConditions(ready=False, serving=True, terminating=True)
MIRROR: Final = mirrored_slice(
    endpoints=[endpoint("10.0.0.1"), endpoint("10.0.0.2"), endpoint("10.0.0.3", conditions=GONE)]
)


def ready(*slices: EndpointSlice, fallback: bool = True) -> int | None:
    """What is known of ready endpoints, where the status still says 3."""
    rule = ClusterTraffic("c1", 10, fallback=fallback)
    return shift_facts(traffic_policy(rule, status=status(1)), "c1", slices).ready


def test_ready_endpoints_are_counted_in_the_mirrors() -> None:
    """A standby is ready, what terminates is not; others than the cluster do not count."""
    standby = with_standby(MIRROR, ["10.0.0.1"], is_fallback=True)
    others = (remote_slice("web-local", "10.9.0.1"), mirrored_slice(None, "10.5.0.1", cluster="c2"))
    assert ready(MIRROR) == ready(standby) == ready(standby, MIRROR, *others) == 2
    assert ready(*others) == ready() == 0


def test_endpoints_that_are_left_out_are_counted_by_the_status() -> None:
    """The mirrors lack all but the active ones, and would look like too few."""
    assert ready(with_standby(MIRROR, ["10.0.0.1"], is_fallback=False), fallback=False) == 3
