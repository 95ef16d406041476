"""Types of flags and arguments.

Real: the functions. Substituted: nothing.
"""

from __future__ import annotations

import pytest

from svclink_core.api_rules import is_dns_label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", True),
        ("a-1", True),
        ("1", True),
        ("x" * 63, True),
        ("", False),
        ("x" * 64, False),
        ("-a", False),
        ("a-", False),
        ("A", False),
        ("a.b", False),
        ("a\n", False),
        ("ä", False),
    ],
)
def test_dns_labels(text: str, expected: bool) -> None:
    """A DNS-1123 label: 1 to 63 lower-case letters, digits and inner hyphens."""
    assert is_dns_label(text) is expected
