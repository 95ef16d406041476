"""When something happened to each Service, as long as that is recent."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from attrs import define, field

from svclink_controller.state.versioned_map import VersionedMap
from svclink_core.meta_v1 import NamespacedName


@define
class RecentTimes:
    """The last time by Service. Older times are forgotten, so that a list leaves nothing behind.

    Args:
        seconds: How long a time is kept.
    """

    seconds: float
    _times: VersionedMap[NamespacedName, float] = field(factory=VersionedMap)
    _order: deque[tuple[float, NamespacedName]] = field(factory=deque)

    def set(self, service: NamespacedName, at: float) -> None:
        """Set the time of a Service. It must not be before those set earlier."""
        self._times.set(service, at)
        self._order.append((at, service))
        while self._order[0][0] <= at - self.seconds:
            oldest, forgotten = self._order.popleft()
            if self._times.get(forgotten) == oldest:
                self._times.pop(forgotten)

    def version(self) -> Mapping[NamespacedName, float]:
        """The times as a value that never changes."""
        return self._times.version()
