"""Sentences for people: reasons, and numbers with their nouns."""

from __future__ import annotations

import pytest

from svclink_core.explained import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 Pod addresses"), (1, "1 Pod address"), (2, "2 Pod addresses")]
)
def test_number_agrees_with_its_noun(number: int, text: str) -> None:
    """One is singular; everything else is plural."""
    assert counted(number, "Pod address", "Pod addresses") == text
