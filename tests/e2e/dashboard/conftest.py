"""A real Chromium, and pages whose every error fails the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.e2e.requirements import require

from .example_fleet import example_service, example_snapshot
from .scripted_server import ScriptedServer, scripted_server

CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")
WIDE: Final = (1280, 800)
NARROW: Final = (400, 800)

# Chromium gives up its requests when the machine gets a network interface, as from other tests.
NETWORK_CHANGED: Final = "ERR_NETWORK_CHANGED"

# A wait ends as soon as what it waits for is there.
expect.set_options(timeout=20_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("dashboard").addoption(
        "--screenshots",
        metavar="DIRECTORY",
        type=Path,
        help="write the pictures of the documentation to this directory",
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, which tests share. Without one they are skipped or, in CI, fail."""
    found = [path for name in CHROMIUM if (path := shutil.which(name))]
    require(None if found else "Chromium is not installed: apt-get install chromium")
    # As root, Chromium has no sandbox. It reads loopback addresses only.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found[0], args=options)
        yield running
        running.close()


class Pages:
    """Opens pages, and collects what they complain about."""

    def __init__(self, browser: Browser, stack: ExitStack) -> None:
        self._browser = browser
        self._stack = stack
        self.complaints: list[str] = []
        self.ignored: list[str] = []

    def open(
        self,
        address: str,
        size: tuple[int, int] = WIDE,
        colors: Literal["light", "dark"] = "light",
    ) -> Page:
        """Open a page as a new user would, without cookies or storage."""
        viewport = ViewportSize(width=size[0], height=size[1])
        context = self._browser.new_context(
            viewport=viewport, color_scheme=colors, reduced_motion="reduce", locale="en-GB"
        )
        self._stack.callback(context.close)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.goto(address)
        while any(NETWORK_CHANGED in each for each in self.ignored):
            self.ignored.clear()
            page.reload()
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            is_ignored = NETWORK_CHANGED in message.text
            heard = self.ignored if is_ignored else self.complaints
            heard.append(f"{message.type}: {message.text}")


@pytest.fixture
def pages(browser: Browser) -> Iterator[Pages]:
    """Pages of one test. At its end, no page may have complained."""
    with ExitStack() as stack:
        opened = Pages(browser, stack)
        yield opened
        assert opened.complaints == []


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server with the facts of the example fleet."""
    with scripted_server() as running:
        running.snapshot = example_snapshot()
        running.services["shop/web"] = example_service()
        yield running
