"""What deploy/monitoring contains: the alerts, the queries of the dashboard, and the scrapes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import yaml

from tests.builders.manifests import Manifest
from tests.e2e.shell import ROOT

MONITORING: Final = ROOT / "deploy" / "monitoring"
RULES: Final = MONITORING / "prometheusrule.yaml"
POD_MONITOR: Final = MONITORING / "podmonitor.yaml"
DASHBOARD: Final = MONITORING / "grafana" / "svclink.json"
METRICS: Final = ROOT / "docs" / "reference" / "metrics.md"
SUFFIXES: Final = {"histogram": ("_bucket", "_sum", "_count")}
POD: Final = "__meta_kubernetes_pod"
SCRAPE_SECONDS: Final = 1
# Grafana replaces this with at least four scrape intervals.
RATE_INTERVAL: Final = f"{4 * SCRAPE_SECONDS}s"


def write_rules(file: Path) -> None:
    """Write the alerts as a rule file of Prometheus, as the operator does."""
    rule = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump(rule["spec"]), encoding="utf-8")


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """The title of each panel with each of its queries, as Grafana sends them."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
            assert "$" not in query, f"{query}: a variable that Grafana would replace"
            yield panel["title"], query


def documented_series() -> set[str]:
    """The names of the series of every metric in docs/reference/metrics.md."""
    lines = METRICS.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip(" `") for cell in line.split("|")] for line in lines]
    types = {row[1]: row[2] for row in rows if len(row) > 2 and row[1].startswith("svclink_")}
    return {name + suffix for name, kind in types.items() for suffix in SUFFIXES.get(kind, ("",))}


def pod_namespace() -> str:
    """The namespace in which the PodMonitor selects Pods: its own."""
    return str(_pod_monitor()["metadata"]["namespace"])


def scrape_configuration(targets: Path) -> Manifest:
    """The scrape that the Prometheus operator makes of the PodMonitor.

    Source: generatePodMonitorConfig in prometheus-operator pkg/prometheus/promcfg.go. Debian's
    Prometheus has no discovery of Pods: `targets` is a file with what that would find.
    """
    monitor = _pod_monitor()
    name, namespace = monitor["metadata"]["name"], monitor["metadata"]["namespace"]
    ((key, value),) = monitor["spec"]["selector"]["matchLabels"].items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    port = {"source_labels": [f"{POD}_container_port_name"], "regex": endpoint["port"]}
    relabelings = [
        {"action": "drop", "source_labels": [f"{POD}_phase"], "regex": "(Failed|Succeeded)"},
        {"action": "keep", "source_labels": [f"{POD}_label_{key}"], "regex": value},
        {"action": "keep"} | port,
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": [f"{POD}_container_name"], "target_label": "container"},
        {"source_labels": [f"{POD}_name"], "target_label": "pod"},
        {"target_label": "job", "replacement": f"{namespace}/{name}"},
        {"target_label": "endpoint", "replacement": endpoint["port"]},
    ]
    return {
        "job_name": f"podMonitor/{namespace}/{name}/0",
        "metrics_path": endpoint["path"],
        "file_sd_configs": [{"files": [str(targets)]}],
        "relabel_configs": relabelings,
    }


def targets_of(pods: Iterable[Manifest]) -> list[Manifest]:
    """What Prometheus discovers of Pods: a target for each port of a container."""
    return [
        _target(pod, container, port)
        for pod in pods
        for container in pod["spec"]["containers"]
        for port in container["ports"]
    ]


def _target(pod: Manifest, container: Manifest, port: Manifest) -> Manifest:
    meta, status = pod["metadata"], pod["status"]
    labels = {
        "__meta_kubernetes_namespace": meta["namespace"],
        f"{POD}_name": meta["name"],
        f"{POD}_phase": status["phase"],
        f"{POD}_container_name": container["name"],
        f"{POD}_container_port_name": port["name"],
    }
    for key, value in meta["labels"].items():
        labels[f"{POD}_label_{re.sub(r'[^a-zA-Z0-9_]', '_', key)}"] = value
    return {"targets": [f"{status['podIP']}:{port['containerPort']}"], "labels": labels}


def _pod_monitor() -> Manifest:
    monitor: Manifest = yaml.safe_load(POD_MONITOR.read_text(encoding="utf-8"))
    return monitor
