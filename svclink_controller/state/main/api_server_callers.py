"""What makes the main cluster's API server call Services."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field

from svclink_controller.wire.messages import Listing
from svclink_core.api_server_calls import (
    CALLER_KINDS,
    ApiServerCaller,
    ApiServerCalls,
    calls_by,
)
from svclink_core.enqueueing import ApiServerCallsChanged, Event
from svclink_core.snapshot import NO_CALLS


@define
class ApiServerCallers:
    """The objects that make the main cluster's API server call Services.

    What was listed once stays known while it cannot be read. A kind that svclink must not list, or
    that the API server does not serve, counts as known: waiting for it would last for ever.

    Args:
        changed: Called after every change of the calls.
        calls: The Services that are called.
    """

    changed: Callable[[Event], None]
    calls: ApiServerCalls = NO_CALLS
    _awaited: frozenset[str] = frozenset()
    _callers: dict[str, dict[str, ApiServerCaller]] = field(factory=dict)
    _listed: set[str] = field(factory=set)
    _refused: set[str] = field(factory=set)
    _unread: set[str] = field(factory=set)

    def await_lists(self) -> None:
        """Count the calls as unknown until every kind was listed, because all are being read."""
        self._awaited = frozenset(CALLER_KINDS)
        self._update()

    def is_current(self, kind: str) -> bool:
        """Whether a kind was listed, and can still be read."""
        return kind in self._listed and kind not in self._unread

    def replace(self, kind: str, listing: Listing[ApiServerCaller]) -> None:
        """Take the complete list of a kind. Of an undecodable object the last state counts."""
        old = self._callers.get(kind, {})
        kept = [old[each.key.name] for each in listing.undecodable if each.key.name in old]
        self._callers[kind] = _calling([*kept, *listing.items])
        self._listed.add(kind)
        self._refused.discard(kind)
        self._unread.discard(kind)
        self._update()

    def put(self, caller: ApiServerCaller) -> None:
        """Add or change an object."""
        self._unread.discard(caller.kind)
        of_kind = self._callers.setdefault(caller.kind, {})
        of_kind.pop(caller.metadata.name, None)
        of_kind |= _calling([caller])
        self._update()

    def remove(self, kind: str, name: str) -> None:
        """Remove an object."""
        if self._callers.get(kind, {}).pop(name, None) is not None:
            self._update()

    def mark_unread(self, kind: str, *, is_refused: bool) -> bool:
        """Note that a kind cannot be read. Returns whether that is new.

        Args:
            kind: The kind.
            is_refused: Whether svclink must not list it, or the API server does not serve it.
        """
        is_new = kind not in self._unread
        self._unread.add(kind)
        if is_refused and kind not in self._listed | self._refused:
            self._refused.add(kind)
            self._update()
        return is_new

    def _update(self) -> None:
        callers = [each for of_kind in self._callers.values() for each in of_kind.values()]
        is_known = self._awaited <= self._listed | self._refused
        calls = calls_by(callers, is_known=is_known)
        if calls != self.calls:
            old, self.calls = self.calls, calls
            self.changed(ApiServerCallsChanged(old, calls))


def _calling(callers: Iterable[ApiServerCaller]) -> dict[str, ApiServerCaller]:
    """The objects that name a Service, by name. The others decide nothing, and are not kept."""
    return {each.metadata.name: each for each in callers if each.services}
