"""The files of the page, read once from the package. A request names one of them, never a path."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from attrs import frozen

from svclink_core.errors import SvclinkError

INDEX: Final = "index.html"

TYPES: Final = {
    "css": "text/css",
    "html": "text/html",
    "ico": "image/x-icon",
    "js": "text/javascript",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "woff2": "font/woff2",
}
"""Content types by suffix. A file with another suffix is text, for example a licence."""


class MissingPageError(SvclinkError):
    """The page is not part of this installation; the message says so."""


@frozen
class PageFile:
    """A file of the page."""

    content: bytes
    content_type: str


def read_page_files() -> dict[str, PageFile]:
    """All files, by their path below the folder of the page.

    Raises:
        MissingPageError: The folder has no page.
    """
    folder = resources.files("svclink_controller.dashboard") / "static"
    files = dict(_files(folder, "")) if folder.is_dir() else {}
    if INDEX not in files:
        raise MissingPageError("this installation has no dashboard page: reinstall svclink")
    return files


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, PageFile]]:
    for each in folder.iterdir():
        name = prefix + each.name
        if each.is_dir():
            yield from _files(each, f"{name}/")
        else:
            suffix = each.name.rpartition(".")[2]
            yield name, PageFile(each.read_bytes(), TYPES.get(suffix, "text/plain"))
