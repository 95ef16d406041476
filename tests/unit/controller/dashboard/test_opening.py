"""The browser is opened without the token on its command line.

Real: the file that leads to the page. Substituted: the browser.
"""

from __future__ import annotations

import stat
from queue import Queue

import pytest

from svclink_controller.dashboard.opening import has_browser, opened

ADDRESS = "http://127.0.0.1:8080/?token=secret&x=1"


def test_only_the_user_can_read_the_file() -> None:
    """The browser gets its path, and it is gone at the end."""
    urls: Queue[str] = Queue()
    with opened(ADDRESS, urls.put) as page:
        assert urls.get(timeout=30) == page.as_uri()
        assert "secret" not in page.as_uri()
        assert "0; url=http://127.0.0.1:8080/?token=secret&amp;x=1" in page.read_text()
        assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    assert not page.exists()


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_browser_needs_a_desktop(
    environment: dict[str, str], platform: str, *, expected: bool
) -> None:
    """A browser in a terminal would take the terminal of the command."""
    assert has_browser(environment, platform) is expected
