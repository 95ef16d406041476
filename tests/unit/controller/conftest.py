"""Fixtures of all tests of the controller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from svclink_controller.monitoring import logs
from tests.unit.controller.cli.dump_files import Files


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """Configures logs as the controller does, and resets them: some tests replace stderr."""
    logs.configure()
    yield
    structlog.reset_defaults()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A directory for dumps."""
    return Files(tmp_path)
