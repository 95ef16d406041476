"""Opens the page in the browser of the user.

The address has the token in it, and every user of a machine can see the arguments of a program. So
the browser is given a file that only its user can read, and that leads to the address.
"""

from __future__ import annotations

import html
import os
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PAGE: Final = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>svclink dashboard</title>
<a href="{address}">Open the dashboard</a>
"""


def has_browser(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether there is a desktop. A browser in the terminal would take the terminal away."""
    is_unix = platform not in ("darwin", "win32")
    return not is_unix or any(environment.get(each) for each in ("DISPLAY", "WAYLAND_DISPLAY"))


@contextmanager
def opened(address: str, open_browser: Callable[[str], object] = webbrowser.open) -> Iterator[Path]:
    """Open an address in the browser; the file that leads to it is removed at the end.

    Args:
        address: The address, with the token.
        open_browser: Opens a URL. It may wait for the browser, so it is called in a thread.
    """
    with tempfile.TemporaryDirectory(
        prefix="svclink-dashboard-", ignore_cleanup_errors=True
    ) as directory:
        page = Path(directory) / "dashboard.html"
        page.write_text(_PAGE.format(address=html.escape(address)), encoding="utf-8")
        threading.Thread(target=open_browser, args=(page.as_uri(),), daemon=True).start()
        yield page
