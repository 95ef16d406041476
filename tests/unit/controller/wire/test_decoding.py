"""The fast decoders of the wire and the core's codec say the same of every object (law L10).

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
from svclink_controller.wire.label_selector import parse
from svclink_core import ClusterLink, EndpointSlice, Service
from svclink_core.codec import structure, unstructure
from svclink_core.errors import BadInputError
from svclink_core.well_known import REASONED_ANNOTATIONS, REASONED_LABELS
from tests.unit.core.strategies.endpoint_slices import all_slices
from tests.unit.core.strategies.services import all_services
from tests.unit.core.strategies.statuses import cluster_links

Object: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]
Known: TypeAlias = Service | EndpointSlice | ClusterLink

# What a real API server adds to the fields svclink knows, and what a later version may.
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
    """Every object in an object, itself included."""
    if isinstance(content, dict):
        yield content
        for inner in content.values():
            yield from objects_in(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from objects_in(inner)


def is_map(content: Object) -> bool:
    """Whether an object is labels or annotations, where an unknown field would be a label of the wrong type."""
    return bool(content.keys() & (REASONED_LABELS | REASONED_ANNOTATIONS))


@st.composite
def noisy(draw: st.DrawFn, value: Known) -> Object:
    """The object as a server may send it: fields nobody knows, null for what is empty, labels of others."""
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


def as_mirrored(piece: EndpointSlice) -> EndpointSlice:
    """The slice without what is not mirrored, which is not even read of a remote one."""
    return evolve(
        piece,
        endpoints=tuple(
            evolve(endpoint, hints=None, hostname=None, node_name=None, target_ref=None)
            for endpoint in piece.endpoints
        ),
    )


# Law L10: wire and codec agree on every object.


@given(all_services.flatmap(noisy), st.booleans())
def test_wire_and_codec_agree_on_every_service(content: Object, pretty: bool) -> None:
    """A Service means the same to both."""
    assert decode_service(encoded(content, pretty=pretty)) == structure(content, Service)


@given(all_slices.flatmap(noisy), st.booleans())
def test_wire_and_codec_agree_on_every_slice(content: Object, pretty: bool) -> None:
    """An EndpointSlice of the main cluster means the same to both."""
    assert decode_slice(encoded(content, pretty=pretty)) == structure(content, EndpointSlice)


@given(all_slices.flatmap(noisy))
def test_wire_and_codec_agree_on_every_remote_slice(content: Object) -> None:
    """Of a remote EndpointSlice the wire reads everything but what is not mirrored."""
    assert decode_remote_slice(encoded(content)) == as_mirrored(structure(content, EndpointSlice))


@given(cluster_links.flatmap(noisy))
def test_wire_and_codec_agree_on_every_link(content: Object) -> None:
    """A ClusterLink means the same to both."""
    assert decode_link(encoded(content)) == structure(content, ClusterLink)


@pytest.mark.parametrize(
    ("labels", "is_selected"), [({"shard": "a"}, True), ({"shard": "b"}, False), (None, False)]
)
def test_link_knows_whether_it_is_selected(
    labels: dict[str, str] | None, *, is_selected: bool
) -> None:
    """Its labels are not kept, but what the selector says of them is; it is never read from the object."""
    content = {
        "metadata": {"name": "c1", "labels": labels},
        "isSelected": not is_selected,
        "": not is_selected,
    }
    assert decode_link(encoded(content), parse("shard=a")).is_selected is is_selected
    assert decode_link(encoded(content)).is_selected


@given(all_services)
def test_service_survives_the_way_out_and_in(service: Service) -> None:
    """What the codec writes, the wire reads as it was."""
    assert decode_service(encoded(unstructure(service))) == service


@given(all_slices)
def test_slice_survives_the_way_out_and_in(piece: EndpointSlice) -> None:
    """What the codec writes, the wire reads as it was."""
    assert decode_slice(encoded(unstructure(piece))) == piece


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
    """The path of every value in an object."""
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


def by_wire(decode: Callable[[bytes], Known], content: Object) -> Known | None:
    """What the wire makes of an object; None where it refuses it."""
    try:
        return decode(encoded(content))
    except msgspec.DecodeError:
        return None


def by_codec(kind: type[Service | EndpointSlice], content: Object) -> Known | None:
    """What the codec makes of an object; None where it refuses it."""
    try:
        return structure(content, Service) if kind is Service else structure(content, EndpointSlice)
    except BadInputError:
        return None


def is_hint(path: Path) -> bool:
    """Here the two differ: the codec leaves out hints that are no objects. No API server sends any."""
    return path[-1] in ("forZones", "forNodes") or path[-2:-1] in (("forZones",), ("forNodes",))


def test_wire_and_codec_refuse_the_same_types() -> None:
    """A field of the wrong type is refused by both or taken by both, and then for the same."""
    differing = [
        (path, value)
        for example, decode, kind in EXAMPLES
        for path, value in product(paths_in(example), WRONG)
        for content in (replaced(example, path, value),)
        if not is_hint(path) and by_wire(decode, content) != by_codec(kind, content)
    ]
    assert differing == []


def test_wire_and_codec_miss_the_same_fields() -> None:
    """A field that is missing is missed by both or by none."""
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
def test_remote_slice_is_refused_where_a_slice_is(path: Path) -> None:
    """What is read of a remote EndpointSlice is checked as in the main cluster."""
    for content in (replaced(SLICE, path, value) for value in WRONG):
        main = by_wire(decode_slice, content)
        expected = as_mirrored(main) if isinstance(main, EndpointSlice) else None
        assert by_wire(decode_remote_slice, content) == expected, content


@pytest.mark.parametrize("field", ["hostname", "nodeName", "targetRef", "hints"])
def test_what_is_not_mirrored_of_a_remote_slice_may_be_anything(field: str) -> None:
    """Fields svclink drops anyway cannot make a remote EndpointSlice undecodable."""
    content = encoded(replaced(SLICE, ("endpoints", 0, field), [5]))
    assert decode_remote_slice(content) == decode_remote_slice(encoded(SLICE))


# What is shared.


def test_texts_that_repeat_are_shared() -> None:
    """Zones, namespaces and port names of two decoded slices are one string in memory each."""
    first, second = decode_remote_slice(encoded(SLICE)), decode_remote_slice(encoded(SLICE))
    assert first.metadata.namespace is second.metadata.namespace
    assert first.endpoints[0].zone is second.endpoints[0].zone
    assert first.endpoints[0].conditions is second.endpoints[0].conditions
    assert first.ports[0].name is second.ports[0].name
