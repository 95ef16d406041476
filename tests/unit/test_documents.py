"""The links in README and docs lead to existing pages and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import svclink_core

ROOT = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
README_TEXT: Final = (ROOT / "README.md").read_text(encoding="utf-8")
_LINK: Final = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_FENCE: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_existing_headings(document: Path) -> None:
    """A link to a file of docs/, or to a heading there, names one that exists."""
    assert list(broken_links(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_document_installs_from_pypi(document: Path) -> None:
    """Nothing tells a reader to install svclink from PyPI, where it is not published."""
    text = document.read_text(encoding="utf-8")
    assert not re.search(r"pip3? install (-\S+ )*svclink\b", text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_svclink_is_on_the_path_after_its_installation(document: Path) -> None:
    """The same page shows `svclink ...`, which the shell only finds in an active environment."""
    for block in re.findall(
        r"^```\w+\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        if "-m venv" in block and re.search(r"install (-\S+ )*\.( |$)", block):
            assert "&& . .venv/bin/activate && pip install " in block


def test_readme_quotes_the_demo() -> None:
    """What README shows of the demo is part of the output on its page, which is executed."""
    quotes = re.findall(
        r"^```text\n(svclink starts\..*?)^```", README_TEXT, re.MULTILINE | re.DOTALL
    )
    page = (DOCS / "tutorials" / "demo.md").read_text(encoding="utf-8")
    assert len(quotes) == 1
    assert quotes[0] in page


def test_api_reference_is_complete() -> None:
    """The reference of the Python API has everything that svclink_core exports."""
    page = (DOCS / "reference" / "python-api.md").read_text(encoding="utf-8")
    described = re.findall(r"^::: svclink_core\.(?:snapshot\.)?(\w+)$", page, re.MULTILINE)
    assert set(svclink_core.__all__) - set(described) == set()


def broken_links(document: Path) -> Iterator[str]:
    """The links of a document that lead nowhere."""
    for path, heading in _LINK.findall(text_of(document)):
        target = (document.parent / path).resolve() if path else document
        if document.is_relative_to(DOCS) or target.is_relative_to(DOCS):
            if not target.exists():
                yield path
            elif heading and heading not in anchors(target):
                yield f"{path}#{heading}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page as GitHub and the site make them: of headings, and explicit ones."""
    text = text_of(page)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {slug(heading) for heading in headings} | set(re.findall(r'id="([^"]+)"', text))


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def text_of(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))
