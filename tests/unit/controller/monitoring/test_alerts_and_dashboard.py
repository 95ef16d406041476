"""Alerts and dashboard in deploy/monitoring query metrics that svclink exports and documents.

Real: the instruments and the collector. Substituted: nothing. tests/e2e/monitoring runs Prometheus.
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
from svclink_core.credential_expiry import SOON_SECONDS

ROOT: Final = Path(__file__).parents[4]
MONITORING: Final = ROOT / "deploy" / "monitoring"
METRICS: Final = ROOT / "docs" / "reference" / "metrics.md"
ALERTS: Final = ROOT / "docs" / "how-to" / "monitoring.md"
ALERT_TESTS: Final = ROOT / "tests" / "e2e" / "monitoring" / "alert_tests.yaml"
SUFFIXES: Final = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gauge": ("",),
}


def exported() -> set[str]:
    """The names of all series of svclink and of its process."""
    store = Store(Options())
    state = StateCollector(store, tuple, lambda: 0, lambda: True, lambda: 0.0, lambda: 0, dict)
    families: Iterable[Metric] = (*Metrics().registry.collect(), *state.collect())
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def alerts() -> dict[str, str]:
    """The query of each alert by name."""
    rule = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text(encoding="utf-8"))
    rules = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    return {each["alert"]: each["expr"] for each in rules}


def queries() -> Iterator[tuple[str, str]]:
    """Every query of an alert or a panel, with its title."""
    yield from alerts().items()
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


def test_documented_metrics_are_the_exported_ones() -> None:
    """docs/reference/metrics.md has every metric of svclink, so what alerts and panels query."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) ", METRICS.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {
        name.removesuffix("_total") + suffix for name, kind in rows for suffix in SUFFIXES[kind]
    }
    assert documented == {name for name in exported() if name.startswith("svclink_")}


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_is_tested_firing_and_silent(alert: str) -> None:
    """Each alert has series that make it fire and series that do not, for `promtool test rules`."""
    tests = yaml.safe_load(ALERT_TESTS.read_text(encoding="utf-8"))["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    fires = {bool(case["exp_alerts"]) for case in cases if case["alertname"] == alert}
    assert fires == {True, False}


def test_each_alert_is_documented() -> None:
    """docs/how-to/monitoring.md has every alert, and no others."""
    named = re.findall(r"^\| \[`(Svclink\w+)`", ALERTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert named == list(alerts())


def test_alert_and_status_warn_of_credentials_at_the_same_time() -> None:
    """The alert compares with the same number of seconds as the condition of the link."""
    assert alerts()["SvclinkCredentialsExpireSoon"].endswith(f"<= {SOON_SECONDS}")
