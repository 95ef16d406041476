"""A shift: the share of one cluster is raised step by step, and set back if its Pods fail.

`next_move` says what to do, from the steps and what is known. The command acts, looks again, and
asks again. So it does not matter whether a write failed or its response was lost: what the policy
says decides whether to write.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import TypeAlias

from attrs import evolve, frozen

from svclink_core.conditions import condition_of
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.ownership import cluster_of
from svclink_core.standby import ready_addresses, without_standby
from svclink_core.traffic_edits import share_of
from svclink_core.traffic_policy_v1alpha1 import ClusterTrafficStatus, TrafficPolicy


@frozen
class Shift:
    """What a shift does.

    Args:
        cluster: The cluster whose share changes.
        steps: The shares in percent, at least one.
        before: The share before the first step; None without one.
        watch_seconds: How long each step is watched after it is applied.
        min_ready: The share is set back while the cluster has fewer ready endpoints than this.
    """

    cluster: str
    steps: tuple[int, ...]
    before: int | None = None
    watch_seconds: float = 0.0
    min_ready: int = 1


@frozen
class ShiftFacts:
    """What is known while a shift is under way.

    Args:
        share: The share of the cluster in the policy; None without one.
        is_applied: Whether svclink has applied the current policy.
        ready: How many ready endpoints the cluster has; None before svclink has said so.
        active: How many of its endpoints are active.
        reachable_share: The share that it gets, in percent; None before svclink has said so.
        problem: Why the policy does not count; None if it does, or before svclink has said so.
    """

    share: int | None
    is_applied: bool
    ready: int | None
    active: int = 0
    reachable_share: int | None = None
    problem: str | None = None


@frozen
class ShiftState:
    """How far a shift has come.

    Args:
        step: The index of the step that is under way.
        is_set: Whether the policy was seen with the share of that step.
        applied_at: When the step was first seen applied; None if it was not.
        is_returning: Whether the share is set back.
    """

    step: int = 0
    is_set: bool = False
    applied_at: float | None = None
    is_returning: bool = False


class Pause(Enum):
    """What a shift waits for."""

    APPLYING = "svclink has not applied the share yet"
    WATCHING = "the step is watched"


class ShiftEnd(Enum):
    """How a shift ends."""

    DONE = "all steps are done"
    RETURNED = "the share is as before"
    EDITED = "the share was changed by another client"
    REFUSED = "the TrafficPolicy is not in effect"


@frozen
class SetShare:
    """Write a share to the policy; None removes it."""

    share: int | None


ShiftMove: TypeAlias = SetShare | Pause | ShiftEnd
"""What to do next."""


def next_move(
    shift: Shift, state: ShiftState, facts: ShiftFacts, now: float
) -> tuple[ShiftState, ShiftMove]:
    """What to do next, and how far the shift has come.

    Args:
        shift: What to do.
        state: The state of the last call; at first `ShiftState()`.
        facts: What is known now.
        now: Seconds on a clock that does not jump.
    """
    if facts.share not in _possible_shares(shift, state):
        return state, ShiftEnd.EDITED
    if state.is_returning:
        return _return(shift, state, facts)
    if facts.problem is not None:
        return state, ShiftEnd.REFUSED
    if facts.ready is not None and facts.ready < shift.min_ready:
        return _return(shift, evolve(state, is_returning=True), facts)
    return _advance(shift, state, facts, now)


def _possible_shares(shift: Shift, state: ShiftState) -> tuple[int | None, ...]:
    """The shares that the policy can have if only this shift changes them."""
    wanted = shift.steps[state.step]
    if state.is_returning:
        return wanted, _share_before(shift, state), shift.before
    return (wanted,) if state.is_set else (wanted, _share_before(shift, state))


def _share_before(shift: Shift, state: ShiftState) -> int | None:
    return shift.steps[state.step - 1] if state.step else shift.before


def _return(shift: Shift, state: ShiftState, facts: ShiftFacts) -> tuple[ShiftState, ShiftMove]:
    if facts.share != shift.before:
        return state, SetShare(shift.before)
    return state, ShiftEnd.RETURNED if facts.is_applied else Pause.APPLYING


def _advance(
    shift: Shift, state: ShiftState, facts: ShiftFacts, now: float
) -> tuple[ShiftState, ShiftMove]:
    """Write a step, wait until it is applied, watch it, then go on to the next one."""
    if facts.share != shift.steps[state.step]:
        return state, SetShare(shift.steps[state.step])
    if not facts.is_applied:
        return evolve(state, is_set=True, applied_at=None), Pause.APPLYING
    applied_at = now if state.applied_at is None else state.applied_at
    state = evolve(state, is_set=True, applied_at=applied_at)
    if now < applied_at + shift.watch_seconds:
        return state, Pause.WATCHING
    if state.step + 1 == len(shift.steps):
        return state, ShiftEnd.DONE
    return _advance(shift, ShiftState(state.step + 1), facts, now)


def shift_facts(
    policy: TrafficPolicy, cluster: str, slices: Collection[EndpointSlice] | None
) -> ShiftFacts:
    """What is known of the share of a cluster.

    svclink writes the status after it has written the EndpointSlices, so a status that describes
    the current policy says that it is applied.

    Args:
        policy: The policy, with the status that svclink wrote.
        cluster: The cluster.
        slices: The EndpointSlices of the Service in the main cluster; None if not all are known.
    """
    status = policy.status
    used = next((each for each in status.clusters if each.name == cluster), None)
    is_current = status.observed_generation >= policy.metadata.generation
    return ShiftFacts(
        share=share_of(policy, cluster),
        is_applied=is_current,
        ready=None if used is None else _ready(policy, used, slices),
        active=used.active if is_current and used is not None else 0,
        reachable_share=used.reachable_share if is_current and used is not None else None,
        problem=_problem(policy) if is_current else None,
    )


def _ready(
    policy: TrafficPolicy, used: ClusterTrafficStatus, slices: Collection[EndpointSlice] | None
) -> int:
    """How many ready endpoints a cluster has, active or standby.

    Its mirrors say so as soon as svclink knows; the numbers of the status may be half a minute old.
    But what is left out, with `fallback: false`, only the status counts.
    """
    rule = next((each for each in policy.spec.clusters if each.name == used.name), None)
    if slices is None or (rule is not None and not rule.fallback):
        return used.endpoints
    mirrors = [each for each in slices if cluster_of(each) == used.name]
    found = {
        (each.address_type, address)
        for each in mirrors
        for address in ready_addresses(without_standby(each))
    }
    return len(found)


def _problem(policy: TrafficPolicy) -> str | None:
    accepted = condition_of(policy.status.conditions, "Accepted")
    return accepted.message if accepted is not None and accepted.status == "False" else None
