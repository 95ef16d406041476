"""The links in README and docs lead to existing pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_existing_pages(document: Path) -> None:
    """A relative link to a page of docs/, or from there to the README, names an existing file."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+\.md)", document.read_text(encoding="utf-8"))
    pages = [document.parent / link for link in links]
    ours = [
        page
        for page in pages
        if page.resolve().parent == ROOT / "docs" or document.parent.name == "docs"
    ]
    assert [page for page in ours if not page.exists()] == []
