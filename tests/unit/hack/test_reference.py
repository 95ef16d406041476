"""The generated pages of docs/reference say what the CRDs say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "hack"))
import reference  # noqa: E402


def test_defaults_are_allowed_values() -> None:
    """The default of a field with a list of values is spelled as in that list."""
    choices_and_default = re.compile(
        r"^\| `[^`]+` \| (`\w+`(?: or `\w+`)+) \| .* \| (`\w+`) \|$", re.MULTILINE
    )
    pages = reference.pages()
    rows = choices_and_default.findall(pages["clusterlink.md"] + pages["trafficpolicy.md"])
    assert rows
    assert [default for choices, default in rows if default not in choices.split(" or ")] == []
