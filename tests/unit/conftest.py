"""Which tests count towards branch coverage of the core, and what no test may import."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest
from hypothesis import is_hypothesis_test

from .client_classes import NotInTheImage

CORE: Final = Path(__file__).parent / "core"

sys.meta_path.insert(0, NotInTheImage())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only the core's example tests count: a law draws by chance, and is slow to measure."""
    for item in items:
        if CORE not in item.path.parents or is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.no_cover)
