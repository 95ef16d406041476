"""A Prometheus that runs the alerts and scrapes svclink."""

from __future__ import annotations

import json
import math
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from svclink_controller.demo.processes import Process
from tests.builders.manifests import Manifest
from tests.e2e.polling import eventually

from .deployed_monitoring import (
    SCRAPE_SECONDS,
    dashboard_queries,
    scrape_configuration,
    targets_of,
    write_rules,
)
from .programs import promtool


class Prometheus:
    """The HTTP API of a Prometheus."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._started = time.time()

    def get(self, path: str, **parameters: object) -> Any:
        """The data in the response to a request that must succeed."""
        call = f"{path}?{urlencode(parameters)}"
        with urllib.request.urlopen(
            f"http://{self._address}/api/v1/{call}", timeout=10
        ) as response:
            return json.load(response)["data"]

    def has_data(self, query: str) -> bool:
        """Whether a query of the time since the start has a value, as a panel would draw it."""
        found = self.get(
            "query_range", query=query, start=self._started, end=time.time(), step=SCRAPE_SECONDS
        )
        values = (value for series in found["result"] for _, value in series["values"])
        return any(math.isfinite(float(value)) for value in values)

    def names(self, pattern: str) -> set[str]:
        """The names of all series that match a regular expression."""
        match = {"match[]": f'{{__name__=~"{pattern}"}}'}
        return set(self.get("label/__name__/values", **match))

    def alerts(self) -> dict[str, str]:
        """The state of each alert that is pending or firing, by name."""
        return {each["labels"]["alertname"]: each["state"] for each in self.get("alerts")["alerts"]}

    def assert_scraped(self, instances: Mapping[str, str]) -> None:
        """Assert that exactly these addresses are scraped, by the name of the Pod."""
        targets = self.get("targets", state="active")["activeTargets"]
        found = {
            each["labels"]["pod"]: each["labels"]["instance"]
            for each in targets
            if each["health"] == "up"
        }
        assert found == instances

    def assert_no_panel_is_empty(self) -> None:
        """Assert that each query of the dashboard has data."""
        assert [each for each in dashboard_queries() if not self.has_data(each[1])] == []

    def assert_rules_are_evaluated(self) -> None:
        """Assert that Prometheus evaluated every rule without an error."""
        groups = self.get("rules")["groups"]
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        assert set(health.values()) == {"ok"}, health


@contextmanager
def running_prometheus(
    pods: Sequence[Manifest],
    directory: Path,
    address: str,
    process: Callable[[list[str | Path]], Process],
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes these Pods through the PodMonitor, and has the alerts.

    Args:
        pods: The Pods that its discovery finds.
        directory: Where its files are.
        address: Where it listens.
        process: Makes the process of its command line.
    """
    file = write_configuration(pods, directory)
    promtool("check", "config", file)
    flags = [
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
    ]
    running = process(["prometheus", *flags])
    running.start()
    try:
        prometheus = Prometheus(address)
        eventually(lambda: prometheus.get("status/runtimeinfo"))
        yield prometheus
    finally:
        running.stop()


def write_configuration(pods: Sequence[Manifest], directory: Path) -> Path:
    """Write the files that Prometheus reads, and return the first of them."""
    targets, rules = directory / "targets.json", directory / "rules.yaml"
    targets.write_text(json.dumps(targets_of(pods)), encoding="utf-8")
    write_rules(rules)
    seconds = f"{SCRAPE_SECONDS}s"
    intervals = {"scrape_interval": seconds, "scrape_timeout": seconds}
    configuration = {
        "global": intervals | {"evaluation_interval": seconds},
        "rule_files": [str(rules)],
        "scrape_configs": [scrape_configuration(targets)],
    }
    file = directory / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return file
