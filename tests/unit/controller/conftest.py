"""What the tests of the controller share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from svclink_controller.monitoring import logs
from tests.unit.controller.cli.dump_files import Files


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """Logs look as the controller's do, and end with the test: some tests have a standard error of their own."""
    logs.configure()
    yield
    structlog.reset_defaults()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A directory for dumps."""
    return Files(tmp_path)
