"""How fresh the mirror is: when each cluster was last heard of, and which of its news are not written yet."""

from __future__ import annotations

from attrs import define, field

from svclink_controller import clock
from svclink_core.meta_v1 import NamespacedName


@define
class PropagationClock:
    """Times by `clock.elapsed`. Costs two dictionary look-ups an event."""

    _heard: dict[tuple[str, str], float] = field(factory=dict)
    _news: dict[NamespacedName, dict[str, float]] = field(factory=dict)

    def hear(self, cluster: str, kind: str) -> None:
        """A cluster said something of a kind, be it only that nothing happened."""
        self._heard[cluster, kind] = clock.elapsed()

    def receive(self, cluster: str, service: NamespacedName) -> None:
        """An event of a remote cluster concerns a Service. The first one counts until it is taken."""
        self._news.setdefault(service, {}).setdefault(cluster, clock.elapsed())

    def take(self, service: NamespacedName) -> dict[str, float]:
        """The news of a Service that a plan made now will contain: by cluster, when the first one came."""
        return self._news.pop(service, {})

    def put_back(self, service: NamespacedName, cluster: str, received_at: float) -> None:
        """What was taken could not be written yet."""
        self._news.setdefault(service, {})[cluster] = received_at

    def forget(self, cluster: str) -> None:
        """A cluster is no longer read."""
        for key in [key for key in self._heard if key[0] == cluster]:
            del self._heard[key]
        for service in [
            service for service, news in self._news.items() if news.pop(cluster, None) and not news
        ]:
            del self._news[service]

    def ages(self) -> dict[tuple[str, str], float]:
        """Seconds since each cluster was heard of, by cluster and kind."""
        now = clock.elapsed()
        return {key: now - heard_at for key, heard_at in self._heard.items()}
