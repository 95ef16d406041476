"""The files of the page are part of the package.

Real: the installed package. Substituted: nothing.
"""

from __future__ import annotations

import posixpath
import re

from svclink_controller.dashboard.page_files import INDEX, TYPES, read_page_files


def test_page_is_installed() -> None:
    """Its files are found by their paths, with types that browsers accept with nosniff."""
    files = read_page_files()
    assert files[INDEX].content_type == "text/html"
    assert {each.content_type for each in files.values()} <= set(TYPES.values())
    scripts = [each.content_type for name, each in files.items() if name.endswith(".js")]
    assert set(scripts) <= {"text/javascript"}


def test_page_loads_nothing_from_elsewhere() -> None:
    """It works without a network, and no other server learns who reads it."""
    for name, file in read_page_files().items():
        if name.endswith((".html", ".css")):
            for start in (b'src="http', b'href="http', b"url(http", b"@import"):
                assert start not in file.content, name


IMPORT = re.compile(rb'^(?:import|export)\b(?:[^;"]*\bfrom)? "([^"]+)"', re.MULTILINE)


def test_imported_modules_are_files_of_the_page() -> None:
    """Each module that a script imports exists: the linter does not look for the file."""
    files = read_page_files()
    imported = {
        posixpath.join(posixpath.dirname(name), module.decode())
        for name, file in files.items()
        if name.startswith("js/")
        for module in IMPORT.findall(file.content)
    }
    assert imported
    assert {posixpath.normpath(each) for each in imported} <= set(files)
