"""What is requested of an API server, and what of its answers is kept."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from svclink_controller.wire.messages import Changed, Deleted, Undecodable
from svclink_controller.wire.reading import decode_event
from svclink_controller.wire.resources import (
    MAX_SELECTOR_CHARACTERS,
    REMOTE_ENDPOINT_SLICES,
    slices_of,
)
from svclink_core import NamespacedName
from svclink_core.codec import Json, unstructure
from svclink_core.label_selector import parse_selector
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.builders.keys import WEB
from tests.builders.values import remote_slice

API = NamespacedName("default", "api")


def names(count: int) -> set[NamespacedName]:
    return {NamespacedName("default", f"service-{number:05}") for number in range(count)}


@pytest.mark.parametrize("services", [{WEB}, {WEB, API}, names(100)])
def test_slices_are_requested_by_the_names_of_their_services(services: set[NamespacedName]) -> None:
    """The API server sends no others, whatever labels they have."""
    selector = parse_selector(slices_of(REMOTE_ENDPOINT_SLICES, services).label_selector)
    for key in services:
        assert selector.matches({LABEL_SERVICE_NAME: key.name})
    assert not selector.matches({LABEL_SERVICE_NAME: "other"})


def test_too_many_names_are_not_sent() -> None:
    """All slices are sent then, but never a request that a proxy may refuse."""
    resource = slices_of(REMOTE_ENDPOINT_SLICES, names(20_000))
    assert resource.label_selector == REMOTE_ENDPOINT_SLICES.label_selector
    for count in range(0, 1000, 50):
        selector = slices_of(REMOTE_ENDPOINT_SLICES, names(count)).label_selector
        assert len(quote(selector)) <= MAX_SELECTOR_CHARACTERS


def test_without_services_no_slice_is_requested() -> None:
    """No Service has an empty name."""
    selector = parse_selector(slices_of(REMOTE_ENDPOINT_SLICES, ()).label_selector)
    assert not selector.matches({LABEL_SERVICE_NAME: "web"})


def event_of(content: dict[str, Json]) -> object:
    line = json.dumps({"type": "ADDED", "object": content}).encode()
    event, _ = decode_event(line, slices_of(REMOTE_ENDPOINT_SLICES, {WEB}))
    return event


def test_what_is_not_wanted_is_dropped() -> None:
    """A slice of another Service of the name, or one that moved to it, counts as deleted."""
    other = remote_slice(key=NamespacedName("other", "web"))
    assert event_of(unstructure(remote_slice())) == Changed(remote_slice())
    assert event_of(unstructure(other)) == Deleted(other.metadata.key)


def test_what_cannot_be_decoded_is_kept_by_its_service() -> None:
    """An undecodable slice of another Service is dropped too."""
    broken = unstructure(remote_slice()) | {"addressType": 4}
    other = unstructure(remote_slice(key=API)) | {"addressType": 4}
    assert isinstance(event_of(broken), Undecodable)
    assert isinstance(event_of(other), Deleted)
