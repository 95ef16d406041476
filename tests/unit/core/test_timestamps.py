"""Times of statuses, compared with `datetime`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_core.timestamps import posix_seconds, timestamp_of

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@pytest.mark.parametrize(
    "timestamp",
    [
        "1970-01-01T00:00:00Z",
        "2000-02-29T23:59:59Z",
        "2100-03-01T00:00:00Z",
        "2026-07-01T12:00:00Z",
    ],
)
def test_timestamp_becomes_seconds_and_back(timestamp: str) -> None:
    """Both directions agree with `datetime`, in leap years and others."""
    seconds = int(datetime.strptime(timestamp, FORMAT).replace(tzinfo=UTC).timestamp())
    assert posix_seconds(timestamp) == seconds
    assert timestamp_of(seconds) == timestamp


@given(st.integers(0, 4_000_000_000))
def test_every_second_becomes_a_timestamp_and_back(seconds: int) -> None:
    """The same for any second until 2096."""
    timestamp = datetime.fromtimestamp(seconds, UTC).strftime(FORMAT)
    assert timestamp_of(seconds) == timestamp
    assert posix_seconds(timestamp) == seconds


def test_fractions_are_rounded_up_when_written() -> None:
    """What is remembered since a moment must not seem to have lasted longer than it has."""
    assert timestamp_of(0.1) == "1970-01-01T00:00:01Z"
    assert posix_seconds("1970-01-01T00:00:01.9Z") == 1


@pytest.mark.parametrize("text", ["", "yesterday", "2026-07-01T12:00:00+02:00", "2026-07-01"])
def test_other_texts_are_not_timestamps(text: str) -> None:
    """svclink writes UTC only."""
    assert posix_seconds(text) is None
