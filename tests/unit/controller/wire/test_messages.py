"""Errors, texts and versions of a server are read safely, whatever the server sends.

Real: the decoders. Substituted: the server, by the bytes it could send.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.wire.messages import (
    MAX_RETRY_AFTER,
    Status,
    clean_text,
    is_earlier,
)
from svclink_controller.wire.reading import decode_status

DEEP: Final = b"[" * 100_000 + b"]" * 100_000


# Status


def test_status_has_causes_and_delay() -> None:
    """The causes and the delay are read from the details of a Status."""
    content = {
        "code": 429,
        "reason": "TooManyRequests",
        "message": "slow down",
        "details": {
            "retryAfterSeconds": 3,
            "causes": [{"reason": "A"}, {"reason": "B", "message": "b"}],
        },
    }
    expected = Status(429, "TooManyRequests", "slow down", ("A", "B"), 3)
    assert decode_status(json.dumps(content).encode()) == expected


def test_delay_is_bounded() -> None:
    """A server cannot ask for a pause of a day."""
    status = decode_status(
        json.dumps({"code": 429, "details": {"retryAfterSeconds": 86_400}}).encode()
    )
    assert status.retry_after == MAX_RETRY_AFTER


@pytest.mark.parametrize("details", [None, {}, {"causes": None, "retryAfterSeconds": 0}])
def test_status_without_details_has_no_delay(details: Any) -> None:
    """A Status may have no details, or empty ones."""
    status = decode_status(
        json.dumps({"message": "no", "details": details}).encode(), 500, "Internal Server Error"
    )
    assert status == Status(500, "Internal Server Error", "no")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b"Too many requests, please try again later.\n",
            "Too many requests, please try again later.",
        ),
        (b"<html>\r\n<h1>Bad Gateway</h1></html>", "<html> <h1>Bad Gateway</h1></html>"),
        (b"", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"\x1b]0;gotcha\x07\x1b[2Jred", "]0;gotcha [2Jred"),
        (b'{"code":"five"}', '{"code":"five"}'),
        (b'{"message":"\xff"}', '{"message":"\ufffd"}'),
    ],
)
def test_status_that_is_not_json_is_its_text(body: bytes, message: str) -> None:
    """The response of a proxy is not JSON: HTTP code and reason count, and its text is shown."""
    assert decode_status(body, 503, "Service Unavailable") == Status(
        503, "Service Unavailable", message
    )


def test_deeply_nested_status_is_only_its_code() -> None:
    """A body that is nested too deeply is not decoded."""
    assert decode_status(DEEP, 500, "Oops").code == 500


def test_reason_and_message_are_printable() -> None:
    """Reason and message of a server have no escape sequences."""
    content = json.dumps({"reason": "\x1b[31mbad", "message": "a\nb"}).encode()
    assert decode_status(content, 500).reason == "[31mbad"
    assert decode_status(b"x", 500, "\x1b[31mbad").reason == "[31mbad"


@given(st.text())
def test_clean_text_is_one_short_printable_line(text: str) -> None:
    """Any text becomes one printable line of limited length."""
    cleaned = clean_text(text)
    assert cleaned.isprintable()
    assert len(cleaned) <= 300


@given(st.text(st.characters(categories=("L", "N", "P")), max_size=100))
def test_clean_text_keeps_plain_words(text: str) -> None:
    """Printable text stays as it is."""
    assert clean_text(text) == text


# Versions


@pytest.mark.parametrize(
    ("version", "other", "earlier"),
    [
        ("9", "10", True),
        ("10", "9", False),
        ("10", "10", False),
        ("", "10", False),
        ("9", "", False),
        ("x9", "10", False),
        ("-1", "10", False),
        ("\u0661", "10", False),
        ("1", "9" * 5000, False),
    ],
)
def test_only_numeric_versions_are_compared(version: str, other: str, *, earlier: bool) -> None:
    """Versions compare as numbers. A version that is not a number is not compared."""
    assert is_earlier(version, other) is earlier
