"""However much a server packs into few bytes, reading it takes little memory.

Real: the decoders. Substituted: the server, by the bytes it could send. The tests count memory.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import pytest

from svclink_controller.wire.messages import Changed, TooManyItemsError, Undecodable, WireError
from svclink_controller.wire.object_limits import COUNTED_BYTES, MAX_NESTED, MAX_OBJECT_BYTES
from svclink_controller.wire.reading import (
    MAX_CAUSES,
    MAX_PAGE_ITEMS,
    decode_event,
    decode_page,
    decode_status,
)
from svclink_controller.wire.resources import REMOTE_ENDPOINT_SLICES, SERVICES
from tests.builders.keys import WEB

MEBIBYTE: Final = 2**20
LABELS: Final = {"kubernetes.io/service-name": "web"}
METADATA: Final = {"name": "web-1", "namespace": "default", "resourceVersion": "7"}


def peak_bytes(read: Callable[[], object]) -> int:
    """The most memory that a call takes at a time, whether or not it raises."""
    tracemalloc.start()
    try:
        read()
    except WireError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def page_of(item: bytes, count: int) -> bytes:
    return b'{"metadata":{},"items":[' + b",".join([item] * count) + b"]}"


def slice_of(endpoint: bytes, count: int, labels: dict[str, str] = LABELS) -> bytes:
    start = json.dumps({"metadata": METADATA | {"labels": labels}, "addressType": "IPv4"})[:-1]
    return start.encode() + b',"endpoints":[' + b",".join([endpoint] * count) + b"]}"


def added(content: bytes) -> bytes:
    return b'{"type":"ADDED","object":' + content + b"}"


# Pages


@pytest.mark.parametrize("item", [b"1", b"{}", b"null", b'{"metadata":{"name":"a"}}'])
def test_items_without_end_take_no_memory(item: bytes) -> None:
    """A million items in a few bytes each are not held, and are an error."""
    content = page_of(item, 1_000_000)
    assert peak_bytes(lambda: decode_page(content, SERVICES)) < MEBIBYTE
    with pytest.raises(TooManyItemsError, match=f"more than {MAX_PAGE_ITEMS} services in one page"):
        decode_page(content, SERVICES)


def test_largest_page_is_read_completely() -> None:
    """Every item up to the limit is read."""
    page = decode_page(page_of(b'{"metadata":{"name":"a"}}', MAX_PAGE_ITEMS), SERVICES)
    assert len(list(page.objects)) == MAX_PAGE_ITEMS


# Objects


@pytest.mark.parametrize(
    ("part", "count"),
    [
        (b'{"addresses":[]}', MAX_NESTED + 1),
        (b'{"addresses":["aa"]}', MAX_NESTED + 1),
        (b'{"addresses":["10.0.0.1"],"x":"' + b"y" * 200 + b'"}', MAX_OBJECT_BYTES // 200),
        (b'{"addresses":[' + b",".join([b'"aa"'] * 1000) + b"]}", 200),
    ],
    ids=["empty endpoints", "short endpoints", "long endpoints", "short addresses"],
)
def test_huge_slice_is_undecodable(part: bytes, count: int) -> None:
    """A slice that no API server accepts is not decoded. Its Service is still known."""
    content = slice_of(part, count)
    line = added(content)
    (found,) = decode_page(page_of(content, 1), REMOTE_ENDPOINT_SLICES).objects
    event, version = decode_event(line, REMOTE_ENDPOINT_SLICES)
    assert isinstance(found, Undecodable)
    assert found == event
    assert (found.service, version) == (WEB, "7")
    assert "svclink reads at most" in found.problem
    assert peak_bytes(lambda: decode_event(line, REMOTE_ENDPOINT_SLICES)) < 6 * MEBIBYTE


def test_slice_of_a_thousand_endpoints_is_decoded() -> None:
    """The largest slice that the API server accepts is decoded, with all that it usually has."""
    reference = {"kind": "Pod", "namespace": "default", "name": "web-0", "uid": "a" * 36}
    endpoint: dict[str, Any] = {
        "addresses": ["2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "hints": {"forZones": [{"name": "zone-a"}]},
        "nodeName": "node-with-a-rather-long-name.example.com",
        "targetRef": reference,
        "zone": "zone-a",
    }
    content = slice_of(json.dumps(endpoint).encode(), 1000)
    assert len(content) > COUNTED_BYTES
    event, _ = decode_event(added(content), REMOTE_ENDPOINT_SLICES)
    assert isinstance(event, Changed)
    assert len(event.item.endpoints) == 1000


def test_labels_without_end_take_no_memory() -> None:
    """Of an undecodable object, only the label with its Service is read."""
    labels = {f"{number:x}": "" for number in range(150_000)}
    line = added(slice_of(b"{}", 1, LABELS | labels))
    event, _ = decode_event(line, REMOTE_ENDPOINT_SLICES)
    assert isinstance(event, Undecodable)
    assert event.service == WEB
    assert peak_bytes(lambda: decode_event(line, REMOTE_ENDPOINT_SLICES)) < 4 * MEBIBYTE


# Errors


def test_causes_without_end_take_no_memory() -> None:
    """Of the causes of a Status only the first few are read."""
    content = b'{"code":504,"details":{"causes":[' + b",".join([b"{}"] * 1_000_000) + b"]}}"
    assert len(decode_status(content).causes) == MAX_CAUSES
    assert peak_bytes(lambda: decode_status(content)) < MEBIBYTE
