"""The conditions of a status. A transition time moves only when a condition changes its status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from svclink_core.explained import Explained
from svclink_core.svclink_v1alpha1 import Condition, ConditionStatus


@frozen
class ConditionState:
    """A condition without its times.

    Args:
        type: The type of the condition.
        status: Whether it holds.
        reason: Why.
        message: The reason in a sentence.
        exact: What the message begins with: times in it are facts, and not those of a controller.
    """

    type: str
    status: ConditionStatus
    reason: Explained
    message: str
    exact: str = ""


def plain_condition(kind: str, status: ConditionStatus, reason: Explained) -> ConditionState:
    """A condition with the sentence of its reason as message."""
    return ConditionState(kind, status, reason, reason.sentence)


def condition_of(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of a type, None if there is none."""
    return next((each for each in conditions if each.type == kind), None)


_BY_URGENCY: Final = ("Ready", "Synced", "Degraded", "CredentialsExpiring")


def most_urgent(conditions: Iterable[Condition]) -> Condition | None:
    """The condition of a link that matters most: the first unhealthy one, else Ready."""
    by_type = {each.type: each for each in conditions}
    present = [by_type[kind] for kind in _BY_URGENCY if kind in by_type]
    return next((each for each in present if not each.is_healthy), by_type.get("Ready"))


def last_transition(conditions: Iterable[Condition]) -> str | None:
    """When a condition last changed its status, as RFC 3339; None without conditions."""
    return max([each.last_transition_time for each in conditions], default=None)


def dated(state: ConditionState, before: Condition | None, generation: int, now: str) -> Condition:
    """A condition with its transition time.

    Args:
        state: The condition.
        before: The condition of its type in the old status.
        generation: The generation of the object that it is about.
        now: RFC 3339; used only if this is a transition.
    """
    is_same = before is not None and before.status == state.status
    return Condition(
        type=state.type,
        status=state.status,
        reason=state.reason.code,
        message=state.message,
        last_transition_time=before.last_transition_time if before and is_same else now,
        observed_generation=generation,
    )
