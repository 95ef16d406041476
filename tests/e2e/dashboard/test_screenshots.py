"""The pictures of the documentation: `nox -s dashboard -- --screenshots DIRECTORY` writes them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import Page, expect

from .conftest import NARROW, WIDE, Pages
from .scripted_server import ScriptedServer

PICTURES: Final[tuple[tuple[str, str, tuple[int, int], Literal["light", "dark"]], ...]] = (
    ("fleet", "fleet", WIDE, "light"),
    ("services", "services", WIDE, "dark"),
    ("service", "services/shop/web", WIDE, "light"),
    ("history", "history", WIDE, "dark"),
    ("fleet-narrow", "fleet", NARROW, "light"),
    ("services-narrow", "services", NARROW, "dark"),
)


@pytest.mark.parametrize(("name", "view", "size", "colors"), PICTURES)
def test_screenshot(
    pages: Pages,
    server: ScriptedServer,
    request: pytest.FixtureRequest,
    name: str,
    view: str,
    size: tuple[int, int],
    colors: Literal["light", "dark"],
) -> None:
    """Draws a view."""
    directory: Path | None = request.config.getoption("--screenshots", default=None)
    if directory is None:
        pytest.skip("--screenshots was not given")
    page = pages.open(f"{server.page}#/{view}", size, colors)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.webp").write_bytes(screenshot(page))


def screenshot(page: Page) -> bytes:
    """What is in view, as WebP, which Playwright itself does not write."""
    page.evaluate("document.fonts.ready")
    session = page.context.new_cdp_session(page)
    taken = session.send("Page.captureScreenshot", {"format": "webp", "quality": 80})
    return base64.b64decode(taken["data"])
