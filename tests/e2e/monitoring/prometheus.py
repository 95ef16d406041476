"""A Prometheus that runs the alerts and scrapes svclink."""

from __future__ import annotations

import json
import math
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from svclink_controller.demo.processes import Process
from tests.builders.manifests import Manifest
from tests.e2e.loopback_ports import reserve_ports
from tests.e2e.polling import eventually

from .deployed_monitoring import SCRAPE_SECONDS, write_rules
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

    def healthy_targets(self) -> list[Manifest]:
        """The labels of each target that was scraped without an error."""
        targets = self.get("targets", state="active")["activeTargets"]
        return [each["labels"] for each in targets if each["health"] == "up"]

    def assert_rules_are_evaluated(self) -> None:
        """Assert that Prometheus evaluated every rule without an error."""
        groups = self.get("rules")["groups"]
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        assert set(health.values()) == {"ok"}, health


@contextmanager
def running_prometheus(scrape: Manifest, directory: Path) -> Iterator[Prometheus]:
    """A Prometheus with this scrape and the alerts; it listens on loopback only."""
    (port,) = reserve_ports(1)
    address = f"127.0.0.1:{port}"
    write_rules(directory / "rules.yaml")
    seconds = f"{SCRAPE_SECONDS}s"
    intervals = {"scrape_interval": seconds, "scrape_timeout": seconds}
    configuration = {
        "global": intervals | {"evaluation_interval": seconds},
        "rule_files": [str(directory / "rules.yaml")],
        "scrape_configs": [scrape],
    }
    file = directory / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    promtool("check", "config", file)
    flags = [
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
    ]
    process = Process("prometheus", ["prometheus", *flags], directory / "prometheus.log")
    process.start()
    try:
        prometheus = Prometheus(address)
        eventually(lambda: prometheus.get("status/runtimeinfo"))
        yield prometheus
    finally:
        process.stop()
