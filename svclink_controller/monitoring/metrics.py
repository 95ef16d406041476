"""What is counted and timed while it happens, for Prometheus. What can be looked up at any time is in `collector`."""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Buckets in seconds, from what a write takes on an idle machine to what a main cluster that is away costs."""


class Metrics:
    """The instruments of one controller, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.propagation: Final = self._histogram(
            "svclink_propagation_seconds",
            "From the event of a remote cluster to the answer to the write it led to.",
            "cluster",
        )
        self.queue_wait: Final = self._histogram(
            "svclink_queue_wait_seconds",
            "How long Services waited in the queue until they were worked on.",
        )
        self.reconcile: Final = self._histogram(
            "svclink_reconcile_seconds", "Time to plan one Service and to have its changes written."
        )
        self.loop_lag: Final = self._histogram(
            "svclink_event_loop_lag_seconds",
            "How late the event loop was to run what was due, sampled all the time.",
        )
        self.writes: Final = self._counter(
            "svclink_writes",
            "Changes sent to the main cluster, and what became of them.",
            "kind",
            "verb",
            "result",
        )
        self.status_writes: Final = self._counter(
            "svclink_status_writes", "Writes of the status of ClusterLinks.", "result"
        )
        self.events: Final = self._counter(
            "svclink_events", "Kubernetes Events about ClusterLinks.", "result"
        )

    def forget(self, cluster: str) -> None:
        """A link is gone, and so are its series."""
        self.propagation.remove_by_labels({"cluster": cluster})

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=FAST, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)
