"""Events that svclink wrote, as a reader sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from svclink_controller.wire.written_events import MAX_SHOWN_CHARACTERS, decode_written_event

EVENT: dict[str, Any] = {
    "metadata": {"name": "c1.1", "namespace": "default", "uid": "u", "resourceVersion": "7"},
    "involvedObject": {"kind": "ClusterLink", "name": "c1"},
    "type": "Warning",
    "reason": "Unreachable",
    "message": "no route",
    "count": 3,
    "lastTimestamp": "2026-07-01T12:00:00Z",
}


def decoded(**changes: Any) -> Any:
    return decode_written_event(json.dumps(EVENT | changes).encode())


def test_event() -> None:
    """What it is about, why, how often, and when last."""
    found = decoded()
    assert (found.about, found.type, found.reason, found.message) == (
        "ClusterLink/c1",
        "Warning",
        "Unreachable",
        "no route",
    )
    assert (found.count, found.at, found.metadata.uid) == (3, "2026-07-01T12:00:00Z", "u")


def test_event_about_a_namespaced_object() -> None:
    """Its namespace is part of the name."""
    about = {"kind": "TrafficPolicy", "namespace": "shop", "name": "web"}
    assert decoded(involvedObject=about).about == "TrafficPolicy/shop/web"


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"eventTime": "2026-07-01T12:00:00.5Z"}, "2026-07-01T12:00:00.5Z"),
        (
            {"metadata": EVENT["metadata"] | {"creationTimestamp": "2026-07-01T11:00:00Z"}},
            "2026-07-01T11:00:00Z",
        ),
        ({}, ""),
    ],
)
def test_time_of_an_event(fields: dict[str, Any], at: str) -> None:
    """Any of three fields may have it."""
    found = decoded(lastTimestamp=None, count=None, **fields)
    assert (found.at, found.count) == (at, 1)


def test_long_texts_are_cut() -> None:
    """A user who may create Events could choose any."""
    assert len(decoded(message="x" * 10_000).message) == MAX_SHOWN_CHARACTERS
