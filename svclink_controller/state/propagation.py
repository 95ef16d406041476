"""How long changes take to reach the main cluster, and how old each watch's last event is."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from svclink_controller import clock
from svclink_core.meta_v1 import NamespacedName


@define
class PropagationTimes:
    """When each watch was last active, and since when changes of each Service wait to be mirrored.

    An event costs two dictionary look-ups.

    Args:
        elapsed: The clock, in seconds.
        is_mirroring: Whether changes are mirrored. A replica that stands by does not note them.
    """

    elapsed: Callable[[], float] = clock.elapsed
    is_mirroring: bool = True
    _active_at: dict[tuple[str, str], float] = field(factory=dict)
    _changed_at: dict[NamespacedName, dict[str, float]] = field(factory=dict)

    def record_activity(self, cluster: str, kind: str) -> None:
        """Note a list or a watch event of a kind, bookmarks included."""
        self._active_at[cluster, kind] = self.elapsed()

    def record_change(self, cluster: str, service: NamespacedName) -> None:
        """Note a change of a Service in a remote cluster.

        The first change counts until it is taken.
        """
        if self.is_mirroring:
            self._changed_at.setdefault(service, {}).setdefault(cluster, self.elapsed())

    def start_mirroring(self) -> None:
        """Note changes from now on."""
        self.is_mirroring = True

    def stop_mirroring(self) -> None:
        """Drop the noted changes, and note no more."""
        self.is_mirroring = False
        self._changed_at.clear()

    def take(self, service: NamespacedName) -> dict[str, float]:
        """Take the changes that a plan made now contains: when the first came, by cluster."""
        return self._changed_at.pop(service, {})

    def put_back(self, service: NamespacedName, cluster: str, changed_at: float) -> None:
        """Return a change that was taken but could not be written yet."""
        if self.is_mirroring:
            self._changed_at.setdefault(service, {})[cluster] = changed_at

    def forget(self, cluster: str) -> None:
        """Drop everything of a cluster that is no longer read."""
        for key in [key for key in self._active_at if key[0] == cluster]:
            del self._active_at[key]
        waiting = list(self._changed_at.items())
        for service, times in waiting:
            if times.pop(cluster, None) is not None and not times:
                del self._changed_at[service]

    def ages(self) -> dict[tuple[str, str], float]:
        """Seconds since the last activity of each watch, by cluster and kind."""
        now = self.elapsed()
        return {watch: now - active_at for watch, active_at in self._active_at.items()}
