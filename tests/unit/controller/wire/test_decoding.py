"""The fast decoders and the core's codec decode every object to equal values (law L10).

Real: both. Substituted: nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Final, TypeAlias

import msgspec
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.wire.decoding import (
    decode_link,
    decode_remote_slice,
    decode_service,
    decode_slice,
)
from svclink_core import ClusterLink, EndpointSlice, Service
from svclink_core.codec import structure, unstructure
from svclink_core.errors import BadInputError
from svclink_core.label_selector import parse_selector
from svclink_core.well_known import REASONED_ANNOTATIONS, REASONED_LABELS
from tests.unit.core.strategies.endpoint_slices import all_slices
from tests.unit.core.strategies.services import all_services
from tests.unit.core.strategies.statuses import cluster_links

Object: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]
Decoded: TypeAlias = Service | EndpointSlice | ClusterLink

# Fields that an API server adds to those that svclink reads, and that later versions may add.
NOISE: Final[dict[str, Any]] = {
    "managedFields": [
        {
            "manager": "kubectl",
            "operation": "Update",
            "fieldsV1": {"f:metadata": {"f:labels": {".": {}}}},
        }
    ],
    "ünknown": {"nested": [1, 2.5, None, {"deeper": "\U0001f642"}]},
    "selfLink": "/api/v1/somewhere",
    "finalizers": ["a/b"],
    "sessionAffinityConfig": None,
    "loadBalancer": {},
}
LISTS: Final = (
    "ports",
    "endpoints",
    "ipFamilies",
    "ownerReferences",
    "forZones",
    "forNodes",
    "conditions",
)
OBJECTS: Final = ("labels", "annotations", "hints", "targetRef")


def objects_in(content: Any) -> Iterator[Object]:
    """Every JSON object within a value, the value included."""
    if isinstance(content, dict):
        yield content
        for inner in content.values():
            yield from objects_in(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from objects_in(inner)


def is_map(content: Object) -> bool:
    """Whether an object holds labels or annotations, which must be strings."""
    keys = REASONED_LABELS | REASONED_ANNOTATIONS | {"team", "tier", "example.com/note"}
    return bool(content.keys() & keys)


@st.composite
def noisy(draw: st.DrawFn, value: Decoded) -> Object:
    """An object as a server may send it: with unknown fields, null for empty ones, other labels."""
    content: Object = copy.deepcopy(unstructure(value))
    for inner in list(objects_in(content)):
        if is_map(inner):
            inner.update(
                draw(
                    st.sampled_from(({}, {"app": "web"}, {"app.kubernetes.io/name": "", "zz": "1"}))
                )
            )
            continue
        for key in draw(st.sets(st.sampled_from(sorted(NOISE)), max_size=2)):
            inner.setdefault(key, NOISE[key])
        for key in (*LISTS, *OBJECTS):
            if key in inner and not inner[key] and draw(st.booleans()):
                inner[key] = None
    return content


def encoded(content: Object, *, pretty: bool = False) -> bytes:
    return json.dumps(content, indent=2 if pretty else None, ensure_ascii=pretty).encode()


def as_mirrored(endpoint_slice: EndpointSlice) -> EndpointSlice:
    """A slice with only its mirrored fields, as it is decoded from a remote cluster."""
    return evolve(
        endpoint_slice,
        metadata=evolve(endpoint_slice.metadata, additions=None),
        endpoints=tuple(
            evolve(endpoint, hints=None, hostname=None, node_name=None, target_ref=None)
            for endpoint in endpoint_slice.endpoints
        ),
    )


# Law L10: wire and codec agree on every object.


@given(all_services.flatmap(noisy), st.booleans())
def test_wire_and_codec_agree_on_every_service(content: Object, pretty: bool) -> None:
    """Both decode a Service to the same value."""
    assert decode_service(encoded(content, pretty=pretty)) == structure(content, Service)


@given(all_slices.flatmap(noisy), st.booleans())
def test_wire_and_codec_agree_on_every_slice(content: Object, pretty: bool) -> None:
    """Both decode an EndpointSlice of the main cluster to the same value."""
    assert decode_slice(encoded(content, pretty=pretty)) == structure(content, EndpointSlice)


@given(all_slices.flatmap(noisy))
def test_wire_and_codec_agree_on_every_remote_slice(content: Object) -> None:
    """The fast decoder keeps the mirrored fields of a remote EndpointSlice."""
    assert decode_remote_slice(encoded(content)) == as_mirrored(structure(content, EndpointSlice))


@given(cluster_links.flatmap(noisy))
def test_wire_and_codec_agree_on_every_link(content: Object) -> None:
    """Both decode a ClusterLink to the same value."""
    assert decode_link(encoded(content)) == structure(content, ClusterLink)


@pytest.mark.parametrize(
    ("labels", "is_selected"), [({"shard": "a"}, True), ({"shard": "b"}, False), (None, False)]
)
def test_link_is_selected_by_its_labels(
    labels: dict[str, str] | None, *, is_selected: bool
) -> None:
    """The labels are not kept, but whether they match is. It is never read from the object."""
    content = {
        "metadata": {"name": "c1", "labels": labels},
        "isSelected": not is_selected,
        "": not is_selected,
    }
    assert decode_link(encoded(content), parse_selector("shard=a")).is_selected is is_selected
    assert decode_link(encoded(content)).is_selected


@given(all_services)
def test_encoded_service_decodes_to_itself(service: Service) -> None:
    """The fast decoder restores the value that the codec encoded."""
    assert decode_service(encoded(unstructure(service))) == service


@given(all_slices)
def test_encoded_slice_decodes_to_itself(endpoint_slice: EndpointSlice) -> None:
    """The fast decoder restores the value that the codec encoded."""
    assert decode_slice(encoded(unstructure(endpoint_slice))) == endpoint_slice


# Wrong types: whatever one refuses, the other refuses.

SERVICE: Final[Object] = {
    "metadata": {
        "name": "web",
        "namespace": "default",
        "uid": "u",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"svclink.cloudpilot.ai/imported": "true"},
        "annotations": {"service.kubernetes.io/topology-mode": "Auto"},
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "name": "n",
                "uid": "u",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    },
    "spec": {
        "type": "ClusterIP",
        "clusterIP": "10.96.0.1",
        "ipFamilies": ["IPv4"],
        "trafficDistribution": "PreferClose",
        "ports": [{"port": 80, "name": "http", "protocol": "TCP", "appProtocol": "http"}],
    },
}
SLICE: Final[Object] = {
    "metadata": SERVICE["metadata"],
    "addressType": "IPv4",
    "endpoints": [
        {
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "zone": "zone-a",
            "hints": {"forZones": [{"name": "zone-a"}], "forNodes": [{"name": "node-a"}]},
            "hostname": "web-0",
            "nodeName": "node-a",
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "web-0", "uid": "u"},
        }
    ],
    "ports": [{"name": "http", "protocol": "TCP", "port": 80, "appProtocol": "http"}],
}
NOT_READ_OF_REMOTES: Final = ("hints", "hostname", "nodeName", "targetRef")


def paths_in(content: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every value within an object."""
    if path:
        yield path
    inner = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in inner:
        yield from paths_in(value, (*path, key))


def replaced(content: Object, path: Path, value: Any) -> Object:
    changed = copy.deepcopy(content)
    here: Any = changed
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return changed


def without(content: Object, path: Path) -> Object:
    changed = copy.deepcopy(content)
    here: Any = changed
    for step in path[:-1]:
        here = here[step]
    del here[path[-1]]
    return changed


WRONG: Final[tuple[Any, ...]] = ("text", 5, 1.5, True, [], {}, ["text"], [{}], {"a": "b"}, [None])
EXAMPLES: Final = ((SERVICE, decode_service, Service), (SLICE, decode_slice, EndpointSlice))


def by_wire(decode: Callable[[bytes], Decoded], content: Object) -> Decoded | None:
    """The value that the fast decoder returns, None if it raises."""
    try:
        return decode(encoded(content))
    except msgspec.DecodeError:
        return None


def by_codec(kind: type[Service | EndpointSlice], content: Object) -> Decoded | None:
    """The value that the codec returns, None if it raises."""
    try:
        return structure(content, Service) if kind is Service else structure(content, EndpointSlice)
    except BadInputError:
        return None


def is_hint(path: Path) -> bool:
    """Whether the two may differ: the codec leaves out hints that are not objects.

    No API server sends any.
    """
    return path[-1] in ("forZones", "forNodes") or path[-2:-1] in (("forZones",), ("forNodes",))


def test_wire_and_codec_reject_the_same_types() -> None:
    """A field of a wrong type is rejected by both, or decoded by both to the same value."""
    differing = [
        (path, value)
        for example, decode, kind in EXAMPLES
        for path, value in product(paths_in(example), WRONG)
        for content in (replaced(example, path, value),)
        if not is_hint(path) and by_wire(decode, content) != by_codec(kind, content)
    ]
    assert differing == []


def test_wire_and_codec_require_the_same_fields() -> None:
    """A missing field is an error for both or for neither."""
    differing = [
        path
        for example, decode, kind in EXAMPLES
        for path in paths_in(example)
        for content in (without(example, path),)
        if by_wire(decode, content) != by_codec(kind, content)
    ]
    assert differing == []


@pytest.mark.parametrize(
    "path", [path for path in paths_in(SLICE) if not set(path) & set(NOT_READ_OF_REMOTES)]
)
def test_remote_slice_is_checked_like_a_slice_of_main(path: Path) -> None:
    """The mirrored fields of a remote EndpointSlice must have the same types as in main."""
    for content in (replaced(SLICE, path, value) for value in WRONG):
        main = by_wire(decode_slice, content)
        expected = as_mirrored(main) if isinstance(main, EndpointSlice) else None
        assert by_wire(decode_remote_slice, content) == expected, content


@pytest.mark.parametrize("field", ["hostname", "nodeName", "targetRef", "hints"])
def test_fields_that_are_not_mirrored_may_have_any_type(field: str) -> None:
    """A field that is not mirrored cannot make a remote EndpointSlice undecodable."""
    content = encoded(replaced(SLICE, ("endpoints", 0, field), [5]))
    assert decode_remote_slice(content) == decode_remote_slice(encoded(SLICE))


# What is shared.


def test_repeated_strings_are_interned() -> None:
    """Two decoded slices share the strings of their zones, namespaces and port names."""
    first, second = decode_remote_slice(encoded(SLICE)), decode_remote_slice(encoded(SLICE))
    assert first.metadata.namespace is second.metadata.namespace
    assert first.endpoints[0].zone is second.endpoints[0].zone
    assert first.endpoints[0].conditions is second.endpoints[0].conditions
    assert first.ports[0].name is second.ports[0].name
