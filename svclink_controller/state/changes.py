"""Typed changes of the state.

The store reports each of them to one listener, at once and in order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from attrs import frozen

from svclink_core.meta_v1 import NamespacedName


@frozen
class ServicesToPlan:
    """Something changed that the plans of these Services depend on.

    Args:
        keys: The Services.
        cluster: The cluster where it changed: the name of a link, or `MAIN`. None if it concerns
            every Service.
    """

    keys: Collection[NamespacedName]
    cluster: str | None


@frozen
class LinkChanged:
    """A link was added, edited or removed, or its connection changed."""

    name: str


@frozen
class LinkStatusChanged:
    """The status of a link is out of date: its connection, guard or number of mirrors changed."""

    name: str


@frozen
class ClusterRead:
    """A session that reads what a link asks for is in use.

    Args:
        name: The name of the link.
        generation: The generation of the link that asks for it.
        is_new: Whether the state was just replaced by a complete list of that session.
    """

    name: str
    generation: int
    is_new: bool


StateChange: TypeAlias = ServicesToPlan | LinkChanged | LinkStatusChanged | ClusterRead

Listener: TypeAlias = Callable[[StateChange], None]
"""Acts on a change. It runs inside the call that changes the state, so it must not block."""


def ignore_changes(_: StateChange) -> None:
    """Listener for a store that is only read, as in tests and commands."""
