"""Gauges of the current state, computed when Prometheus scrapes them.

The series of a cluster disappear with its link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Final, TypeVar

from attrs import define
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from svclink_controller.monitoring.traffic_gauges import SHOWN_MAIN, traffic_gauges
from svclink_controller.state.store import Store
from svclink_controller.wire.api_server_callers import CALLERS
from svclink_core.service_traffic import ServiceTraffic
from svclink_core.snapshot import PENDING, Pending, Synced

STATES: Final = ("synced", "pending", "unreachable", "disabled")
_Labels = TypeVar("_Labels", bound=tuple[str, ...])


@define(eq=False)
class StateCollector(Collector):
    """Gauges made from the store.

    Args:
        store: The current state.
        traffic: Returns what the latest plans say about the traffic of Services.
        queue_depth: Returns the number of Services in the queue.
        is_leading: Returns whether this replica writes.
        longest_lag: Returns the longest lag of the event loop since the start, in seconds.
        task_count: Returns the number of asyncio tasks.
        finding_counts: Returns how many Services have a finding, by cluster and reason.
    """

    store: Store
    traffic: Callable[[], Iterable[ServiceTraffic]]
    queue_depth: Callable[[], int]
    is_leading: Callable[[], bool]
    longest_lag: Callable[[], float]
    task_count: Callable[[], int]
    finding_counts: Callable[[], Mapping[tuple[str, str], int]]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """All gauges."""
        yield _gauge(
            "svclink_build_info",
            "Always 1; the label holds the version.",
            "version",
            {(version("svclink"),): 1},
        )
        yield _gauge(
            "svclink_leader",
            "1 if this replica is leading, 0 if it is standing by.",
            "",
            {(): self.is_leading()},
        )
        queue_depth = self.queue_depth() if self.is_leading() else 0
        text = "Services waiting to be reconciled; 0 while this replica is standing by."
        yield _gauge("svclink_queue_depth", text, "", {(): queue_depth})
        yield _gauge(
            "svclink_event_loop_lag_longest_seconds",
            "Longest event loop lag since startup.",
            "",
            {(): self.longest_lag()},
        )
        text = "Number of asyncio tasks, which depends on the number of links."
        yield _gauge("svclink_asyncio_tasks", text, "", {(): self.task_count()})
        yield _gauge(
            "svclink_watch_last_event_age_seconds",
            "Seconds since the last watch event, bookmarks included. API servers send a bookmark "
            f"about every minute. The label `cluster` is `{SHOWN_MAIN}` for the main cluster.",
            "cluster kind",
            {
                (cluster or SHOWN_MAIN, kind): age
                for (cluster, kind), age in self.store.propagation.ages().items()
            },
        )
        yield from self._of_api_server_calls()
        yield from self._of_links()
        yield from traffic_gauges(self.traffic())

    def _of_api_server_calls(self) -> Iterable[GaugeMetricFamily]:
        text = (
            "1 if svclink has listed and is watching this kind of object, 0 if not. Objects of "
            "this kind can cause the main API server to call Services; svclink does not mirror "
            "these Services."
        )
        yield _gauge(
            "svclink_api_server_calls_known",
            text,
            "kind",
            {
                (resource.plural,): self.store.main.callers.is_current(kind)
                for kind, resource in CALLERS.items()
            },
        )
        text = "Number of Services that the main API server calls, as far as svclink knows."
        called = len(self.store.main.callers.calls.by_service)
        yield _gauge("svclink_services_called_by_api_server", text, "", {(): called})

    def _of_links(self) -> Iterable[GaugeMetricFamily]:
        links = [name for name, link in self.store.links.items() if link.is_selected]
        states = {(name, state): self._state(name) == state for name in links for state in STATES}
        yield _gauge(
            "svclink_link_state",
            f"1 for a link's current state ({', '.join(STATES)}), 0 for the others.",
            "cluster state",
            states,
        )
        counts = self.finding_counts()
        yield _gauge(
            "svclink_services_with_findings",
            "Number of Services that could not be fully mirrored, or that have "
            "the same address in two clusters, by reason.",
            "cluster reason",
            {(name, reason): count for (name, reason), count in counts.items() if name in links},
        )
        mirrored = {(name,): self.store.mirrored(name) for name in links}
        for kind in ("services", "slices", "endpoints"):
            yield _gauge(
                f"svclink_mirrored_{kind}",
                f"Number of {kind} mirrored from a remote cluster.",
                "cluster",
                {key: getattr(each, kind) for key, each in mirrored.items()},
            )

        expiries = {(name,): self.store.observation(name).expiries or () for name in links}
        yield _gauge(
            "svclink_link_credentials_expiration_timestamp_seconds",
            "Earliest expiry time of a link's credentials, in seconds since 1970. Links "
            "whose credentials have no expiry date have no series.",
            "cluster",
            {key: min(one.at for one in each) for key, each in expiries.items() if each},
        )

    def _state(self, name: str) -> str:
        if not self.store.links[name].spec.enabled:
            return "disabled"
        problem = self.store.observation(name).problem
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
