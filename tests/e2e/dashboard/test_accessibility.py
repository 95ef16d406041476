"""The page works without a mouse, without sight, on a small screen and on paper."""

from __future__ import annotations

from typing import Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from .conftest import NARROW, WIDE, Pages
from .scripted_server import ScriptedServer

VIEWS: Final = ("fleet", "services", "services/shop/web", "history")


@pytest.mark.parametrize(
    ("size", "colors"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide-light", "narrow-dark"]
)
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(
    pages: Pages,
    server: ScriptedServer,
    view: str,
    size: tuple[int, int],
    colors: Literal["light", "dark"],
) -> None:
    """axe-core finds nothing that is wrong in any view, whatever its width and colors."""
    page = pages.open(f"{server.page}#/{view}", size, colors)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("view", VIEWS)
def test_a_narrow_page_does_not_scroll_sideways(
    pages: Pages, server: ScriptedServer, view: str
) -> None:
    """At 400 pixels, only tables scroll sideways, and they do it by themselves."""
    page = pages.open(f"{server.page}#/{view}", NARROW)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_every_view_is_reached_by_keyboard(pages: Pages, server: ScriptedServer) -> None:
    """The first key leads past the bar, and a new view is announced by its heading."""
    page = pages.open(server.page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Fleet")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    assert page.url.endswith("/")
    page.get_by_role("link", name="Activity").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Activity")
    expect(page.get_by_role("main")).to_be_focused()


def test_chosen_colors_are_remembered(pages: Pages, server: ScriptedServer) -> None:
    """The page has the colors of the system, until others are chosen."""
    page = pages.open(server.page, colors="dark")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    expect(page.get_by_role("button", name="Light colors")).to_be_visible()
    dark = page.evaluate(background)
    page.get_by_role("button", name="Light colors").click()
    assert page.evaluate(background) != dark
    page.reload()
    expect(page.get_by_role("button", name="Dark colors")).to_be_visible()
    assert page.evaluate(background) != dark


def test_the_whole_matrix_is_printed(pages: Pages, server: ScriptedServer) -> None:
    """On paper, every Service is in a table, and what only a screen needs is left out."""
    page = pages.open(f"{server.page}#/services", colors="dark")
    expect(page.get_by_role("grid")).to_be_visible()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("table.printed tbody tr")).to_have_count(24)
    expect(page.get_by_role("navigation", name="Views")).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    expect(page.get_by_role("grid")).to_be_visible()
