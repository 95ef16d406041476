"""README and docs lead where they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_pages_of_the_documentation_lead_to_one(document: Path) -> None:
    """A relative link to a page of docs/, or from there to the README, names a file that exists."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+\.md)", document.read_text(encoding="utf-8"))
    pages = [document.parent / link for link in links]
    ours = [
        page
        for page in pages
        if page.resolve().parent == ROOT / "docs" or document.parent.name == "docs"
    ]
    assert [page for page in ours if not page.exists()] == []
