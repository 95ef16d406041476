"""What the API server accepts."""

from __future__ import annotations

import pytest

from svclink_core.api_rules import (
    is_dns_label,
    is_label_value,
    is_object_name,
    is_port,
    is_port_name,
    is_qualified_name,
    is_subdomain,
)

LABEL = "x" * 63


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", True),
        ("1st", True),
        ("a-b", True),
        (LABEL, True),
        (LABEL + "x", False),
        ("", False),
        ("-a", False),
        ("a-", False),
        ("a.b", False),
        ("Web", False),
        ("web\n", False),
    ],
)
def test_dns_labels(text: str, *, expected: bool) -> None:
    """Lower-case letters, digits and dashes, at most 63 characters."""
    assert is_dns_label(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", True),
        ("a.b-c.d", True),
        (".".join([LABEL] * 3), True),
        ("x" * 253, True),
        ("x" * 254, False),
        ("a..b", False),
        (".a", False),
        ("", False),
    ],
)
def test_subdomains(text: str, *, expected: bool) -> None:
    """Labels joined by dots, at most 253 characters; a part may be longer than a label."""
    assert is_subdomain(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", True), ("a_B.c", True), (LABEL, True), (LABEL + "x", False), ("a b", False)],
)
def test_label_values(text: str, *, expected: bool) -> None:
    """At most 63 characters, or empty."""
    assert is_label_value(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http", True),
        ("kubernetes.io/h2c", True),
        ("", False),
        ("/h2c", False),
        ("kubernetes.io/", False),
        ("a b", False),
        ("Upper.io/h2c", False),
        ("a/b/c", False),
    ],
)
def test_qualified_names(text: str, *, expected: bool) -> None:
    """A name, with a subdomain and a slash before it or without."""
    assert is_qualified_name(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web-abc", True),
        ("x" * 253, True),
        ("x" * 254, False),
        ("web-abc/1", False),
        ("", False),
    ],
)
def test_object_names(text: str, *, expected: bool) -> None:
    """1 to 253 characters, none of which is a slash."""
    assert is_object_name(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http", True),
        ("8080-tcp", True),
        ("x" * 15, True),
        ("x" * 16, False),
        ("8080", False),
        ("a--b", False),
        ("-a", False),
        ("Http", False),
        ("", False),
    ],
)
def test_names_of_container_ports(text: str, *, expected: bool) -> None:
    """1 to 15 characters, at least one of them a letter, and single hyphens within."""
    assert is_port_name(text) is expected


@pytest.mark.parametrize(
    ("number", "expected"), [(0, False), (1, True), (65_535, True), (65_536, False), (-1, False)]
)
def test_ports(number: int, *, expected: bool) -> None:
    """1 to 65535."""
    assert is_port(number) is expected
