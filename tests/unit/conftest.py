"""Which tests count towards branch coverage of the core."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import is_hypothesis_test

CORE: Final = Path(__file__).parent / "core"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only the core's example tests count: a law draws by chance, and is slow to measure."""
    for item in items:
        if CORE not in item.path.parents or is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.no_cover)
