"""The states of the connection to one remote cluster: what to do in each, and what may follow.

`next_action` says what to do in a state. `after` says which state an event leads to. The controller
acts, and feeds back what happened.

Three rules hold in every state:

* An edit wins: the next connection is opened with what the link asks for now.
* Make before break: a session that works is closed only when another one is open, or when the link
  is disabled or must not be used for the cluster.
* A session that must not be used is closed, and its target is not used instead of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final, TypeAlias, assert_never, cast

from attrs import evolve, frozen

from svclink_core.link_identity import Problem
from svclink_core.link_target import LINK_DISABLED, LinkDisabled, LinkTarget

Wanted: TypeAlias = LinkTarget | Problem | LinkDisabled
"""What to read for a link, or why nothing is read."""


class Attempt(Enum):
    """How far the current round of connection attempts has come."""

    DUE = "the wanted target has not been tried in this round"
    FAILED = "the wanted target failed"
    OVER = "nothing is left to try in this round"


@frozen
class RemoteState:
    """What is known of the connection to a remote cluster.

    Args:
        wanted: What the link asks to be read.
        open_target: What the open session reads; None if no session is open.
        refusal: Why the open session must not be used, or None.
        proven: The target of the last session that was opened.
        attempt: How far the current round of attempts has come.
        is_refused: Whether a target was refused, and could be tried when a claim moves.
    """

    wanted: Wanted = LINK_DISABLED
    open_target: LinkTarget | None = None
    refusal: Problem | None = None
    proven: LinkTarget | None = None
    attempt: Attempt = Attempt.DUE
    is_refused: bool = False


# What wakes a remote up


@frozen
class Edited:
    """The link was created or edited.

    Args:
        wanted: What the link asks to be read.
        is_other: Whether that differs from before.
    """

    wanted: Wanted
    is_other: bool = True


@frozen
class CredentialsChanged:
    """The Secret that holds the kubeconfig of the link was read or changed."""

    wanted: Wanted


@frozen
class ClaimMoved:
    """Another link connected to a cluster or released one, which may allow or refuse this link."""


@frozen
class Broken:
    """The open session failed."""


@frozen
class TimeToRetry:
    """The pause after a failed round of attempts is over."""


WakeUp: TypeAlias = Edited | CredentialsChanged | ClaimMoved | Broken | TimeToRetry


def aborts_connecting(wake_up: WakeUp) -> bool:
    """Whether an event aborts the session being opened. Other events wait until it is open.

    An edit that concerns only which Services are mirrored aborts no list, which may be a long one.
    """
    return isinstance(wake_up, CredentialsChanged) or (
        isinstance(wake_up, Edited) and wake_up.is_other
    )


def longest_pause(away_seconds: float, shortest: float) -> float:
    """The longest pause before the next attempt to connect to a cluster that does not answer.

    It grows with the time for which the cluster has been away, and not with every attempt. So links
    that were lost together come back together, soon after a short outage, and a cluster that has
    been away for long is seldom tried.

    Args:
        away_seconds: Since the first attempt that got no answer.
        shortest: A lower bound, in seconds.
    """
    return max(shortest, away_seconds / 8)


# Results of actions


@frozen
class Opened:
    """A session with this target was opened and replaced the one that was open."""

    target: LinkTarget


@frozen
class Failed:
    """No session with this target could be opened, or its cluster must not be used."""

    target: LinkTarget
    is_refused: bool = False


@frozen
class Closed:
    """The open session was closed on purpose."""


@frozen
class Checked:
    """The rules for cluster identities were applied to the open session."""

    refusal: Problem | None


RemoteEvent: TypeAlias = WakeUp | Opened | Failed | Closed | Checked


# What to do


@frozen
class Disconnect:
    """Close what is open, release the cluster, and wait for an edit."""

    problem: Problem | None


@frozen
class Keep:
    """Use the open session, and wait until something happens."""

    problem: Problem | None


@frozen
class Connect:
    """Open a session with the target that the link asks for, beside the one that is open."""

    target: LinkTarget


@frozen
class FallBack:
    """Open a session with the target that worked before."""

    target: LinkTarget


@frozen
class GiveUp:
    """Close the open session, which must not be used."""

    problem: Problem


@frozen
class WaitToRetry:
    """Use what is open, if anything is, and start another round of attempts after a pause."""


Action: TypeAlias = Disconnect | Keep | Connect | FallBack | GiveUp | WaitToRetry


class Stage(Enum):
    """Where a remote is on its way to what its link asks for."""

    AWAY = "the link is disabled, or names no target and nothing is open"
    CONNECTING = "nothing is open, and the wanted target is tried"
    FALLING_BACK = "nothing is open, the wanted target failed, and the proven one is tried"
    WAITING = "nothing is open, and every target failed"
    CONNECTED = "a session is open, and there is no other target to try"
    REPLACING = "a session is open, and the wanted target is tried beside it"
    RETAINING = "a session is open, and the wanted target failed"
    LEAVING = "the open session must not be used"


class Goal(Enum):
    """What is left to do for what the link asks for."""

    NOTHING = "the link is disabled"
    UNCLEAR = "the link names no target"
    DUE = "the wanted target is to be tried"
    FALLBACK = "the wanted target failed, and the proven one is to be tried"
    OVER = "nothing is left to try for now"


class Held(Enum):
    """Which session is open."""

    NONE = "none"
    WANTED = "one that reads the wanted target"
    OTHER = "one that reads another target"
    REFUSED = "one that must not be used"


# fmt: off
_ROWS: Final = {
    #               NONE                 WANTED           OTHER            REFUSED
    Goal.NOTHING:  (Stage.AWAY,          Stage.AWAY,      Stage.AWAY,      Stage.AWAY),
    Goal.UNCLEAR:  (Stage.AWAY,          Stage.CONNECTED, Stage.CONNECTED, Stage.LEAVING),
    Goal.DUE:      (Stage.CONNECTING,    Stage.CONNECTED, Stage.REPLACING, Stage.LEAVING),
    Goal.FALLBACK: (Stage.FALLING_BACK,  Stage.CONNECTED, Stage.RETAINING, Stage.LEAVING),
    Goal.OVER:     (Stage.WAITING,       Stage.CONNECTED, Stage.RETAINING, Stage.LEAVING),
}
# fmt: on

STAGES: Final = {goal: dict(zip(Held, row, strict=True)) for goal, row in _ROWS.items()}
"""The stage of a remote, by what is left to do and what is open."""

MAY_FOLLOW: Final[Mapping[Stage, AbstractSet[Stage]]] = {
    Stage.AWAY: {Stage.CONNECTING},
    Stage.CONNECTING: {Stage.CONNECTED, Stage.FALLING_BACK, Stage.WAITING, Stage.AWAY},
    Stage.FALLING_BACK: {Stage.RETAINING, Stage.WAITING, Stage.CONNECTING, Stage.AWAY},
    Stage.WAITING: {Stage.CONNECTING, Stage.AWAY},
    Stage.CONNECTED: {Stage.REPLACING, Stage.WAITING, Stage.LEAVING, Stage.AWAY},
    Stage.REPLACING: set(Stage) - {Stage.REPLACING, Stage.FALLING_BACK, Stage.WAITING},
    Stage.RETAINING: set(Stage) - {Stage.RETAINING, Stage.FALLING_BACK, Stage.CONNECTING},
    Stage.LEAVING: {Stage.CONNECTING, Stage.WAITING, Stage.AWAY},
}
"""The stages that an event can lead to from each stage, besides the stage itself."""


def next_action(state: RemoteState) -> Action:
    """What to do in a state. Every action ends with an event, at the latest with an edit."""
    match stage_of(state):
        case Stage.AWAY:
            return Disconnect(_problem(state))
        case Stage.CONNECTED:
            return Keep(_problem(state))
        case Stage.CONNECTING | Stage.REPLACING:
            return Connect(cast("LinkTarget", state.wanted))
        case Stage.FALLING_BACK:
            return FallBack(cast("LinkTarget", state.proven))
        case Stage.LEAVING:
            return GiveUp(cast("Problem", state.refusal))
        case Stage.WAITING | Stage.RETAINING:
            return WaitToRetry()
        case unexpected:
            assert_never(unexpected)


def after(state: RemoteState, event: RemoteEvent) -> RemoteState:
    """The state that an event leads to."""
    match event:
        case Edited(wanted=wanted) | CredentialsChanged(wanted):
            return evolve(state, wanted=wanted, attempt=Attempt.DUE, is_refused=False)
        case ClaimMoved() | TimeToRetry():
            # A claim concerns refused targets only. After another failure the pause goes on.
            is_due = state.is_refused or isinstance(event, TimeToRetry)
            return evolve(state, attempt=Attempt.DUE, is_refused=False) if is_due else state
        case Checked(refusal):
            return evolve(state, refusal=refusal)
        case Opened(target):
            return _opened(state, target)
        case Failed(target, is_refused):
            return _failed(state, target, is_refused=is_refused)
        case Broken() | Closed():
            return _without_session(state)
        case unexpected:
            assert_never(unexpected)


def stage_of(state: RemoteState) -> Stage:
    """The stage of a remote in a state."""
    return STAGES[_goal(state)][_held(state)]


def _goal(state: RemoteState) -> Goal:
    match state.wanted:
        case LinkDisabled():
            return Goal.NOTHING
        case Problem():
            return Goal.UNCLEAR
        case LinkTarget() as wanted:
            if state.attempt is Attempt.DUE:
                return Goal.DUE
            has_fallback = state.attempt is Attempt.FAILED and _can_replace(wanted, state.proven)
            return Goal.FALLBACK if has_fallback else Goal.OVER
        case unexpected:
            assert_never(unexpected)


def _can_replace(wanted: LinkTarget, proven: LinkTarget | None) -> bool:
    """Whether the proven target can be used instead: other namespaces have other objects."""
    return proven is not None and proven != wanted and proven.namespaces == wanted.namespaces


def _held(state: RemoteState) -> Held:
    if state.open_target is None:
        return Held.NONE
    if state.refusal is not None:
        return Held.REFUSED
    return Held.WANTED if state.open_target == state.wanted else Held.OTHER


def _problem(state: RemoteState) -> Problem | None:
    return state.wanted if isinstance(state.wanted, Problem) else None


def _opened(state: RemoteState, target: LinkTarget) -> RemoteState:
    return evolve(
        state,
        open_target=target,
        refusal=None,
        proven=target,
        attempt=Attempt.OVER,
        is_refused=state.is_refused and target != state.wanted,
    )


def _failed(state: RemoteState, target: LinkTarget, *, is_refused: bool) -> RemoteState:
    attempt = Attempt.FAILED if target == state.wanted else Attempt.OVER
    return evolve(state, attempt=attempt, is_refused=is_refused or state.is_refused)


def _without_session(state: RemoteState) -> RemoteState:
    """Only a wanted target that was not the open one is still to be tried."""
    is_due = state.attempt is Attempt.DUE and state.open_target != state.wanted
    return evolve(
        state,
        open_target=None,
        refusal=None,
        attempt=Attempt.DUE if is_due else Attempt.OVER,
        is_refused=state.is_refused or state.refusal is not None,
    )
