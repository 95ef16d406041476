"""What is left out of a mirror, as it is reported: remote clusters choose these texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from svclink_core.well_known import Reason

SHOWN_CHARACTERS: Final = 128
"""How much of a text that a remote cluster chose is reported."""

SHOWN_ITEMS: Final = 3
"""How many of several texts are reported; the others are only counted."""


@frozen
class Omission:
    """A part of a remote slice that could not be mirrored, and why."""

    reason: Reason
    detail: str


def clipped(text: str) -> str:
    """A text of a remote cluster, which may have any length, cut to one that can be shown.

    >>> clipped("web-abc"), len(clipped("x" * 1_000_000))
    ('web-abc', 131)
    """
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def some_of(texts: Sequence[str]) -> str:
    """The first few of several texts of a remote cluster, and how many more there are."""
    more = len(texts) - SHOWN_ITEMS
    return clipped(", ".join(texts[:SHOWN_ITEMS])) + (f" and {more} more" if more > 0 else "")
