"""The pictures of the documentation: `nox -s dashboard -- --screenshots DIRECTORY` writes them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import Page, expect

from .conftest import NARROW, WIDE, Pages
from .scripted_server import ScriptedServer

VIEWS: Final = {
    "fleet": "fleet",
    "services": "services",
    "service": "services/shop/web",
    "history": "history",
}


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", VIEWS)
def test_screenshot(
    pages: Pages,
    server: ScriptedServer,
    request: pytest.FixtureRequest,
    name: str,
    size: tuple[int, int],
    colors: Literal["light", "dark"],
) -> None:
    """Draws a view, in both colors and widths."""
    directory: Path | None = request.config.getoption("--screenshots", default=None)
    if directory is None:
        pytest.skip("--screenshots was not given")
    page = pages.open(f"{server.page}#/{VIEWS[name]}", size, colors)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}-{size[0]}-{colors}.webp").write_bytes(screenshot(page))


def screenshot(page: Page) -> bytes:
    """What is in view, as WebP, which Playwright itself does not write."""
    page.evaluate("document.fonts.ready")
    session = page.context.new_cdp_session(page)
    taken = session.send("Page.captureScreenshot", {"format": "webp", "quality": 80})
    return base64.b64decode(taken["data"])
