"""Skips the tests without Prometheus; in CI they fail."""

from __future__ import annotations

import pytest

from .programs import require_prometheus


@pytest.fixture(scope="session", autouse=True)
def prometheus_programs() -> None:
    """Without Prometheus and promtool, tests are skipped or, in CI, fail."""
    require_prometheus()
