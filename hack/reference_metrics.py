"""Prints docs/reference/metrics.md, from the metrics in the code."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import Metric

from svclink_controller.monitoring.collector import StateCollector
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.state.store import Store
from svclink_core.snapshot import Options

HEAD: Final = """# Metrics

The controller serves these metrics at `/metrics` (`--listen-address`, `:8080` in a Pod),
together with `process_*` metrics about its process. When you delete a link, svclink removes its
cluster's series. Generated from the code by `hack/reference.py`.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    metrics = Metrics()
    store = Store(Options())
    metrics.registry.register(
        StateCollector(store, tuple, lambda: 0, lambda: True, lambda: 0.0, lambda: 0, dict)
    )
    own = (metric for metric in metrics.registry.collect() if metric.name.startswith("svclink_"))
    return HEAD + "".join(sorted(row(metric, metrics) for metric in own))


def row(metric: Metric, metrics: Metrics) -> str:
    """One metric as a line of the table."""
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    labels = ", ".join(f"`{label}`" for label in labels_of(metric, metrics))
    return f"| `{name}` | {metric.type} | {labels} | {metric.documentation} |\n"


def labels_of(metric: Metric, metrics: Metrics) -> list[str]:
    """The names of its labels, which the library does not publish before the first sample."""
    instruments = {
        each.describe()[0].name: each
        for each in vars(metrics).values()
        if hasattr(each, "describe")
    }
    return list(getattr(instruments.get(metric.name, metric), "_labelnames", ()))


if __name__ == "__main__":
    print(page(), end="")
