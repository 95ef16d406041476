"""Which tests count when it is measured that every branch of the core is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import is_hypothesis_test

CORE: Final = Path(__file__).parent / "core"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The core's own examples count. What a law draws is chance, and takes twice as long while it is measured."""
    for item in items:
        if CORE not in item.path.parents or is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.no_cover)
