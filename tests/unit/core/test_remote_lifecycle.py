"""Laws of the states of a remote, over all states and over random sequences of events.

There are four targets: two kubeconfigs for all namespaces, and both for one namespace. The tests
visit all states that can be reached with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, assert_never

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from svclink_core import LinkReason
from svclink_core.link_identity import Problem
from svclink_core.link_target import LINK_DISABLED, LinkTarget
from svclink_core.remote_lifecycle import (
    MAY_FOLLOW,
    Action,
    Attempt,
    Broken,
    Checked,
    ClaimMoved,
    Closed,
    Connect,
    CredentialsChanged,
    Disconnect,
    Edited,
    Failed,
    FallBack,
    GiveUp,
    Keep,
    Opened,
    RemoteEvent,
    RemoteState,
    Stage,
    TimeToRetry,
    WaitToRetry,
    Wanted,
    aborts_connecting,
    after,
    longest_pause,
    next_action,
    stage_of,
)

OLD, NEW = LinkTarget("old"), LinkTarget("new")
TARGETS: Final = (OLD, NEW, LinkTarget("old", ("web",)), LinkTarget("new", ("web",)))
MISSING: Final = Problem(LinkReason.INVALID_KUBECONFIG, "the Secret is missing")
DUPLICATE: Final = Problem(LinkReason.DUPLICATE_CLUSTER, "an older link leads there")
WANTED: Final[tuple[Wanted, ...]] = (LINK_DISABLED, MISSING, *TARGETS)
START: Final = RemoteState()


def edits() -> Iterator[RemoteEvent]:
    for wanted in WANTED:
        yield Edited(wanted)
        yield CredentialsChanged(wanted)


def results(action: Action, state: RemoteState) -> Iterator[RemoteEvent]:
    """The events that an action can end with."""
    match action:
        case Connect(target) | FallBack(target):
            yield from (Opened(target), Failed(target), Failed(target, is_refused=True))
            yield from edits()
        case GiveUp():
            yield Closed()
        case Disconnect() if state.open_target is not None:
            yield Closed()
        case Disconnect():
            yield from (*edits(), ClaimMoved())
        case Keep():
            yield from (*edits(), ClaimMoved(), Broken())
        case WaitToRetry():
            yield from (*edits(), ClaimMoved(), TimeToRetry())
        case unexpected:
            assert_never(unexpected)
    # These wait until the current work ends, and then come before the next action.
    if state.open_target is not None and isinstance(action, Connect | WaitToRetry):
        yield Broken()


def checked(state: RemoteState) -> Iterator[RemoteState]:
    """The open session is checked before every action: it may be used, or not."""
    yield after(state, Checked(None))
    if state.open_target is not None:
        yield after(state, Checked(DUPLICATE))


@frozen
class Step:
    """What the controller did in a state, and where the event led that ended it."""

    before: RemoteState
    event: RemoteEvent
    after: RemoteState

    @property
    def action(self) -> Action:
        return next_action(self.before)


def steps_from(state: RemoteState) -> Iterator[Step]:
    for event in results(next_action(state), state):
        for reached in checked(after(state, event)):
            yield Step(state, event, reached)


def all_steps() -> Iterator[Step]:
    """Every step from every state that can be reached from the start."""
    seen, left = {START}, [START]
    while left:
        for step in steps_from(left.pop()):
            yield step
            if step.after not in seen:
                seen.add(step.after)
                left.append(step.after)


STEPS: Final = tuple(all_steps())
STATES: Final = {START} | {step.after for step in STEPS}


# The tables


def test_every_stage_is_reachable() -> None:
    """A sequence of events leads from the start to each stage."""
    assert {stage_of(state) for state in STATES} == set(Stage)


def test_stages_follow_each_other_as_the_table_says() -> None:
    """The table names every stage that follows another one, and none that does not."""
    found: dict[Stage, set[Stage]] = {stage: set() for stage in Stage}
    for step in STEPS:
        middle = after(step.before, step.event)
        for before, reached in pairwise((step.before, middle, step.after)):
            if stage_of(before) is not stage_of(reached):
                found[stage_of(before)].add(stage_of(reached))
    assert found == MAY_FOLLOW


def test_every_state_can_lead_to_a_connection() -> None:
    """An edit and a connection that can be opened lead from each state to that connection."""
    for start in STATES:
        state = after(start, Checked(None))
        if start.open_target is not None and isinstance(next_action(start), GiveUp | Disconnect):
            state = after(state, Closed())
        state = after(state, Edited(NEW))
        if (action := next_action(state)) != Keep(None):
            assert action == Connect(NEW)
            state = after(state, Opened(NEW))
        assert next_action(state) == Keep(None)


def test_every_failed_target_is_tried_again() -> None:
    """While the link asks for a target, the controller waits for a time, not for an edit alone."""
    for state in STATES:
        if isinstance(next_action(state), WaitToRetry):
            assert next_action(after(state, TimeToRetry())) == Connect(target_of(state))


def target_of(state: RemoteState) -> LinkTarget:
    assert isinstance(state.wanted, LinkTarget)
    return state.wanted


# An edit wins


def test_an_edit_decides_what_is_done_next() -> None:
    """After an edit no action concerns what the link asked for before, whatever was in progress."""
    for step in STEPS:
        if isinstance(step.event, Edited | CredentialsChanged):
            assert concerns_only(step.after.wanted, next_action(step.after))


def concerns_only(wanted: Wanted, action: Action) -> bool:
    """Whether an action is about what a link asks for now."""
    match action:
        case Connect(target):
            return target == wanted
        case Disconnect(problem) | Keep(problem):
            return problem == (wanted if isinstance(wanted, Problem) else None)
        case GiveUp():
            return True
        case FallBack() | WaitToRetry():
            return False
        case unexpected:
            assert_never(unexpected)


def test_an_edit_is_not_forgotten_when_the_session_breaks() -> None:
    """A new target is tried without a pause, even if the old session breaks first."""
    for state in STATES:
        if isinstance(action := next_action(state), Connect) and state.open_target is not None:
            assert next_action(after(state, Broken())) == action


def test_only_edits_and_credentials_abort_connecting() -> None:
    """A claim of another link does not make a connection that is being opened start over."""
    assert [aborts_connecting(each) for each in (Edited(NEW), CredentialsChanged(NEW))] == [
        True
    ] * 2
    assert not any(aborts_connecting(each) for each in (ClaimMoved(), Broken(), TimeToRetry()))


# Nothing refused is used


def test_session_that_must_not_be_used_is_closed() -> None:
    """Once a session is refused, the next action closes it."""
    for state in STATES:
        if state.refusal is not None:
            assert isinstance(next_action(state), GiveUp | Disconnect)


def test_refused_session_is_not_used_instead_of_another() -> None:
    """A target that was just refused is not what the controller falls back to."""
    for step in STEPS:
        if isinstance(step.action, GiveUp):
            assert not isinstance(next_action(step.after), FallBack)


def test_refused_target_waits_for_a_reason_to_be_tried_again() -> None:
    """Only an edit, a claim that moved or a pause lets a refused target be tried again."""
    for step in STEPS:
        if isinstance(step.event, Failed) and step.event.is_refused:
            assert not isinstance(next_action(step.after), Connect)


def test_claim_that_moved_concerns_refused_links_only() -> None:
    """A link that failed for another reason keeps its pause."""
    for state in STATES:
        reached = after(state, ClaimMoved())
        if state.is_refused:
            assert reached.attempt is Attempt.DUE
        else:
            assert reached == state


# Make before break


def test_working_session_is_not_closed_before_another_is_open() -> None:
    """A session ends because it broke, was replaced, must not be used, or its link is disabled."""
    for step in STEPS:
        if step.before.open_target is not None and step.after.open_target is None:
            is_lost = isinstance(step.event, Broken)
            is_refused = step.before.refusal is not None
            assert is_lost or is_refused or step.before.wanted == LINK_DISABLED


def test_fallback_reads_the_same_namespaces() -> None:
    """A target with other namespaces shows other objects, so it is not used instead."""
    for state in STATES:
        if isinstance(action := next_action(state), FallBack):
            assert state.open_target is None
            assert action.target == state.proven != state.wanted
            assert action.target.namespaces == target_of(state).namespaces


# Random sequences


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """What a controller does in a world where anything can happen at any time."""
    state, steps = START, []
    for _ in range(draw(st.integers(1, 40))):
        steps.append(draw(st.sampled_from(tuple(steps_from(state)))))
        state = steps[-1].after
    return steps


@given(histories())
def test_any_history_uses_what_worked_last(steps: list[Step]) -> None:
    """The open session is the last one that was opened, and falling back means using it again."""
    opened: LinkTarget | None = None
    for step in steps:
        if isinstance(step.event, Opened):
            opened = step.event.target
        if step.after.open_target is not None:
            assert step.after.open_target == opened
        if isinstance(action := next_action(step.after), FallBack):
            assert action.target == opened


@given(histories())
def test_any_history_opens_only_what_was_asked_for(steps: list[Step]) -> None:
    """No target is read that the link never asked for."""
    asked: set[Wanted] = set()
    for step in steps:
        if isinstance(step.event, Edited | CredentialsChanged):
            asked.add(step.event.wanted)
        assert step.after.open_target is None or step.after.open_target in asked


@given(histories())
def test_any_history_tries_each_target_once_a_round(steps: list[Step]) -> None:
    """Without a pause, an edit or a claim that moved, a target that failed is not tried again."""
    failed: set[LinkTarget] = set()
    for step in steps:
        if isinstance(step.event, Edited | CredentialsChanged | ClaimMoved | TimeToRetry):
            failed.clear()
        if isinstance(step.event, Failed):
            assert step.event.target not in failed
            failed.add(step.event.target)


@pytest.mark.parametrize(("away", "longest"), [(0, 0.5), (4, 0.5), (8, 1), (80, 10), (800, 100)])
def test_pause_grows_with_the_time_away(away: float, longest: float) -> None:
    """A cluster is connected again within an eighth of the time for which it was away."""
    assert longest_pause(away, 0.5) == longest
