"""Counters and histograms for Prometheus; gauges of the current state are in `collector`."""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Buckets in seconds: from one write on an idle machine to an outage of the main cluster."""


class Metrics:
    """The counters and histograms of one controller, in their own registry."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.propagation: Final = self._histogram(
            "svclink_propagation_seconds",
            "Time from a watch event in a remote cluster to the response to the resulting write.",
            "cluster",
        )
        self.queue_wait: Final = self._histogram(
            "svclink_queue_wait_seconds",
            "Time that a Service waited in the queue before it was reconciled.",
        )
        self.reconcile: Final = self._histogram(
            "svclink_reconcile_seconds", "Time to plan one Service and to write its changes."
        )
        self.loop_lag: Final = self._histogram(
            "svclink_event_loop_lag_seconds",
            "Event loop lag, sampled ten times per second.",
        )
        self.writes: Final = self._counter(
            "svclink_writes",
            "Writes to the main cluster by result.",
            "kind",
            "verb",
            "result",
        )
        self.status_writes: Final = self._counter(
            "svclink_status_writes", "ClusterLink status writes by result.", "result"
        )
        self.events: Final = self._counter(
            "svclink_events", "Kubernetes Events on ClusterLinks by result.", "result"
        )

    def forget(self, cluster: str) -> None:
        """Remove the series of a link that no longer exists."""
        self.propagation.remove_by_labels({"cluster": cluster})

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=BUCKETS, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)
