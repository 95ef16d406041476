"""Commands of README and docs that need clusters: the blocks marked `sh cluster NAME`."""

from __future__ import annotations

import re

from .shell import ROOT

_BLOCK = re.compile(
    r"^```sh cluster(?: (?P<name>[\w-]+))?\n(?P<commands>.*?)^```$", re.MULTILINE | re.DOTALL
)


def documented_commands(document: str) -> dict[str, str]:
    """The blocks of a document by name, in document order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return {match["name"] or "": match["commands"] for match in _BLOCK.finditer(text)}
