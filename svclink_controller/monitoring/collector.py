"""What is known now, as Prometheus reads it: looked up when it asks, so that it costs nothing in between.

Every series of a cluster goes with its link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Final, TypeVar

from attrs import define
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_core.snapshot import PENDING, Pending, Synced

STATES: Final = ("synced", "pending", "unreachable", "disabled")
_Labels = TypeVar("_Labels", bound=tuple[str, ...])

SHOWN_MAIN: Final = "(main)"
"""The main cluster as the value of a label: no ClusterLink can have this name."""


@define(eq=False)
class StateCollector(Collector):
    """Gauges made from the store.

    Args:
        store: What is known.
        waiting: How many Services wait to be worked on.
        is_leading: Whether this replica writes.
        longest_lag: The longest time, in seconds, that the event loop was late since the start.
        task_count: How many asyncio tasks have not ended.
    """

    store: Store
    waiting: Callable[[], int]
    is_leading: Callable[[], bool]
    longest_lag: Callable[[], float]
    task_count: Callable[[], int]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """All of it, as of now."""
        yield _gauge(
            "svclink_build_info",
            "1; the version is in its label.",
            "version",
            {(version("svclink"),): 1},
        )
        yield _gauge(
            "svclink_leader",
            "1 where this replica works, 0 where it stands by.",
            "",
            {(): self.is_leading()},
        )
        waiting = self.waiting() if self.is_leading() else 0
        text = (
            "Services that wait to be worked on. Where none is, because this replica stands by, 0."
        )
        yield _gauge("svclink_queue_depth", text, "", {(): waiting})
        yield _gauge(
            "svclink_event_loop_lag_longest_seconds",
            "The longest time since the start that the event loop was late.",
            "",
            {(): self.longest_lag()},
        )
        text = "asyncio tasks that have not ended. They grow with the links, and go with them."
        yield _gauge("svclink_asyncio_tasks", text, "", {(): self.task_count()})
        yield _gauge(
            "svclink_watch_last_event_age_seconds",
            "Seconds since a watch said anything, be it that nothing happened, which it says about every minute. "
            f"The main cluster is `{SHOWN_MAIN}`.",
            "cluster kind",
            {
                (cluster or SHOWN_MAIN, kind): age
                for (cluster, kind), age in self.store.propagation.ages().items()
            },
        )
        yield from self._of_links()

    def _of_links(self) -> Iterable[GaugeMetricFamily]:
        links = [name for name, link in self.store.links.items() if link.is_selected]
        states = {(name, state): self._state(name) == state for name in links for state in STATES}
        yield _gauge(
            "svclink_link_state",
            f"1 for the state a link is in: {', '.join(STATES)}.",
            "cluster state",
            states,
        )
        mirrored = {(name,): self.store.mirrored(name) for name in links}
        for kind in ("services", "slices", "endpoints"):
            yield _gauge(
                f"svclink_mirrored_{kind}",
                f"How many {kind} of a remote cluster the main cluster has.",
                "cluster",
                {key: getattr(each, kind) for key, each in mirrored.items()},
            )

    def _state(self, name: str) -> str:
        if not self.store.links[name].spec.enabled:
            return "disabled"
        problem = self.store.observations.get(name, Observation()).problem
        match self.store.connections.get(name, PENDING):
            case Synced():
                return "synced"
            case Pending() if problem is None:
                return "pending"
            case _:
                return "unreachable"


def _gauge(name: str, text: str, labels: str, values: Mapping[_Labels, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels.split())
    for label_values, value in sorted(values.items()):
        family.add_metric(label_values, value)
    return family
