"""Alerts and dashboard in deploy/monitoring query metrics that svclink exports.

Real: the instruments and the collector. Substituted: nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from prometheus_client import Metric

from svclink_controller.monitoring.collector import StateCollector
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.state.store import Store
from svclink_core import Options

MONITORING: Final = Path(__file__).parents[4] / "deploy" / "monitoring"
SUFFIXES: Final = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gauge": ("",),
}


def exported() -> set[str]:
    """The names of all series of svclink and of its process."""
    store = Store(Options())
    state = StateCollector(store, lambda: 0, lambda: True, lambda: 0.0, lambda: 0)
    families: Iterable[Metric] = (*Metrics().registry.collect(), *state.collect())
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def queries() -> Iterator[tuple[str, str]]:
    """Every query of an alert or a panel, with its title."""
    rule = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text(encoding="utf-8"))
    for group in rule["spec"]["groups"]:
        for alert in group["rules"]:
            yield alert["alert"], alert["expr"]
    dashboard = json.loads((MONITORING / "grafana" / "svclink.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("title", "query"), list(queries()))
def test_alerts_and_panels_use_metrics_that_exist(title: str, query: str) -> None:
    """An alert on a metric that does not exist never fires, and a panel of it stays empty."""
    names = set(re.findall(r"\b(?:svclink|process)_\w+", query))
    assert names, title
    assert names <= exported()
