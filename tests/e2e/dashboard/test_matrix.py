"""The matrix stays usable with 2,000 Services and 20 clusters, by mouse and by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import Pages
from .example_fleet import example_service, large_snapshot
from .scripted_server import ScriptedServer


@pytest.fixture
def grid_page(pages: Pages, server: ScriptedServer) -> Page:
    """The matrix of 2,000 Services and 20 clusters."""
    server.snapshot = large_snapshot(2000, 20)
    server.services["team-39/service-1999"] = example_service()
    page = pages.open(f"{server.page}#/services?order=name")
    expect(page.get_by_role("grid")).to_be_visible()
    return page


def test_only_what_is_in_view_is_in_the_document(grid_page: Page) -> None:
    """Of 40,000 cells, few are in the document, wherever the matrix is scrolled to."""
    grid = grid_page.get_by_role("grid")
    expect(grid).to_have_attribute("aria-rowcount", "2001")
    for top in (0, 20_000, 64_000):
        grid.evaluate("(grid, top) => { grid.scrollTop = top }", top)
        index = min(top // 32, 1985)
        name = f"team-{index // 50:02}/service-{index % 50 * 40 + index // 50:04}"
        expect(grid.get_by_role("rowheader", name=name)).to_be_visible()
        assert grid.get_by_role("gridcell").count() < 1_000
    grid.evaluate("grid => { grid.scrollLeft = 5000 }")
    expect(grid.get_by_role("columnheader", name="cluster-19")).to_be_visible()


def test_keyboard(grid_page: Page) -> None:
    """The arrow keys move through all cells, what is selected is in view, and Enter opens it."""
    grid = grid_page.get_by_role("grid")
    grid.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        grid_page.keyboard.press(key)
    expect(selected(grid_page)).to_have_attribute(
        "aria-label", "2 active; Mirrored: the Service's EndpointSlices are mirrored"
    )
    grid_page.keyboard.press("Control+End")
    expect(selected(grid_page)).to_have_attribute("aria-colindex", "22")
    expect(grid_page.get_by_role("rowheader", name="team-39/service-1999")).to_be_in_viewport()
    expect(selected(grid_page)).to_be_in_viewport()
    expect(grid).to_have_attribute("aria-activedescendant", "selected")
    grid_page.keyboard.press("Home")
    grid_page.keyboard.press("Enter")
    expect(grid_page).to_have_url(re.compile("#/services/team-39/service-1999$"))
    grid_page.go_back()
    expect(grid).to_be_visible()


def selected(page: Page) -> Locator:
    return page.locator("#selected")
