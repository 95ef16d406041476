"""Skips the tests without Prometheus; in CI they fail."""

from __future__ import annotations

import os

import pytest

from .programs import missing_program


@pytest.fixture(scope="session", autouse=True)
def prometheus_programs() -> None:
    """Without Prometheus and promtool, tests are skipped or, in CI, fail."""
    if (reason := missing_program()) is None:
        return
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
