"""Since when watches of one cluster have been silent, for the status of its link."""

from __future__ import annotations

from attrs import define, evolve, field

from svclink_controller import clock
from svclink_controller.state.store import Store


@define
class Silences:
    """The silent watches of one session: each kind of each namespace has its own watch.

    Args:
        store: Holds what is observed of the connection.
        cluster: The name of the link.
    """

    store: Store
    cluster: str
    _since: dict[tuple[str, str], str] = field(factory=dict)

    def record(self, kind: str, namespace: str, seconds: float | None) -> None:
        """Note for how many seconds a watch has been silent; None: it sends something again."""
        if seconds is None:
            self._since.pop((kind, namespace), None)
        else:
            since = clock.rfc3339(clock.seconds() - seconds)
            self._since.setdefault((kind, namespace), since)
        self._observe()

    def forget(self, namespace: str) -> None:
        """Note that a namespace is no longer watched."""
        for watch in [watch for watch in self._since if watch[1] == namespace]:
            del self._since[watch]
        self._observe()

    def _observe(self) -> None:
        observation = self.store.observation(self.cluster)
        silent_since = min(self._since.values(), default=None)
        self.store.observe(self.cluster, evolve(observation, silent_since=silent_since))
