"""Names and flags that several commands take.

Real: the functions. Substituted: nothing.
"""

from __future__ import annotations

import pytest

from svclink_controller.cli.parameters import is_dns_label


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
    """A DNS-1123 label has 1 to 63 lower-case letters, digits and hyphens, the latter not at its ends."""
    assert is_dns_label(text) is expected
