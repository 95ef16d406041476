"""The pictures of real traffic in the documentation belong to tests that draw them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PICTURES: Final = {picture.stem for picture in (ROOT / "docs" / "traffic").glob("*.svg")}


def test_each_picture_is_drawn_by_a_test() -> None:
    """Otherwise `nox -s traffic -- --plot` would leave an old picture as it is."""
    sources = [path.read_text("utf-8") for path in (ROOT / "tests/e2e/traffic").glob("test_*.py")]
    tests = {
        name for source in sources for name in re.findall(r"^def test_(\w+)", source, re.MULTILINE)
    }
    assert PICTURES
    assert tests >= PICTURES


def test_pages_show_each_picture_and_no_other() -> None:
    """A picture that no page shows is never looked at, and one that is missing shows nothing."""
    pages = [path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"\]\([./]*traffic/(\w+)\.svg\)", page)}
    assert shown == PICTURES
