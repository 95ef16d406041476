"""The alerts, tested by promtool with the time series in alert_tests.yaml.

tests/unit/controller/monitoring checks that each alert is tested, both firing and silent.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .deployed_monitoring import write_rules
from .programs import promtool

TESTS = Path(__file__).with_name("alert_tests.yaml")


def test_alerts_fire_as_their_tests_say(tmp_path: Path) -> None:
    """The rules are valid, and each alert fires for the series that it is for, and no others."""
    write_rules(tmp_path / "rules.yaml")
    shutil.copy(TESTS, tmp_path)
    assert "SUCCESS" in promtool("check", "rules", "rules.yaml", directory=tmp_path)
    assert "SUCCESS" in promtool("test", "rules", TESTS.name, directory=tmp_path)
