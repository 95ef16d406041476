"""EndpointSlices are validated as in Kubernetes (pkg/apis/discovery/validation)."""

from __future__ import annotations

from typing import Any

import pytest

from svclink_controller.demo.apiserver.registry.admission import problems, set_defaults
from svclink_controller.demo.apiserver.status_errors import JsonObject
from tests.unit.controller.demo.apiserver.objects import endpoint_slice, type_of

SLICES = type_of("EndpointSlice")
OWNER = {"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "u", "controller": True}


def causes_of(item: JsonObject) -> list[tuple[str, str]]:
    set_defaults(SLICES, item, None)
    return [
        (cause.field, cause.reason.removeprefix("FieldValue")) for cause in problems(SLICES, item)
    ]


def with_endpoint(**fields: Any) -> JsonObject:
    return endpoint_slice(endpoints=[{"addresses": ["10.1.0.1"]} | fields])


def named(name: str, **meta: Any) -> JsonObject:
    item = endpoint_slice("10.1.0.1", name=name)
    return item | {"metadata": item["metadata"] | meta}


@pytest.mark.parametrize(
    "item",
    [
        endpoint_slice("10.1.0.1"),
        endpoint_slice("fd00::1", addressType="IPv6"),
        endpoint_slice("web.example.org", addressType="FQDN"),
        endpoint_slice(),
        endpoint_slice("10.1.0.1", ports=[{"port": 0}, {"name": "big", "port": 70000}]),
        endpoint_slice("10.1.0.1", "10.1.0.1"),
        with_endpoint(zone="any thing", conditions={"ready": None}),
        with_endpoint(hints={"forZones": [{"name": ""}]}),
        named("a" * 253),
        named("a.b-c"),
        named("web", ownerReferences=[OWNER]),
    ],
    ids=lambda item: str(item)[-80:],
)
def test_valid_slices(item: JsonObject) -> None:
    """Port numbers are not checked, addresses may repeat, and a zone may be anything."""
    assert causes_of(item) == []


@pytest.mark.parametrize(
    ("item", "field", "reason"),
    [
        (endpoint_slice("300.1.0.1"), "endpoints[0].addresses[0]", "Invalid"),
        (endpoint_slice("010.1.0.1"), "endpoints[0].addresses[0]", "Invalid"),
        (endpoint_slice("127.0.0.1"), "endpoints[0].addresses[0]", "Invalid"),
        (endpoint_slice("0.0.0.0"), "endpoints[0].addresses[0]", "Invalid"),
        (endpoint_slice("169.254.1.1"), "endpoints[0].addresses[0]", "Invalid"),
        (endpoint_slice("224.0.0.1"), "endpoints[0].addresses[0]", "Invalid"),
        (endpoint_slice("fd00::1"), "endpoints[0].addresses[0]", "Invalid"),
        (endpoint_slice("fd00:0::1", addressType="IPv6"), "endpoints[0].addresses[0]", "Invalid"),
        (
            endpoint_slice("::ffff:10.1.0.1", addressType="IPv6"),
            "endpoints[0].addresses[0]",
            "Invalid",
        ),
        (endpoint_slice("10.1.0.1", addressType="IPv6"), "endpoints[0].addresses[0]", "Invalid"),
        (endpoint_slice("fe80::1", addressType="IPv6"), "endpoints[0].addresses[0]", "Invalid"),
        (endpoint_slice("not a name", addressType="FQDN"), "endpoints[0].addresses[0]", "Invalid"),
        (endpoint_slice(addressType=""), "addressType", "Required"),
        (endpoint_slice(addressType="IPv5"), "addressType", "NotSupported"),
        (endpoint_slice(*["10.1.0.1"] * 1001), "endpoints", "TooMany"),
        (with_endpoint(addresses=[]), "endpoints[0].addresses", "Required"),
        (with_endpoint(addresses=["10.1.0.1"] * 101), "endpoints[0].addresses", "TooMany"),
        (with_endpoint(hostname="Web"), "endpoints[0].hostname", "Invalid"),
        (with_endpoint(nodeName="a_b"), "endpoints[0].nodeName", "Invalid"),
        (
            with_endpoint(hints={"forZones": [{"name": "a"}] * 2}),
            "endpoints[0].hints.forZones[1]",
            "Duplicate",
        ),
        (
            with_endpoint(hints={"forZones": [{"name": str(i)} for i in range(9)]}),
            "endpoints[0].hints.forZones",
            "TooMany",
        ),
        (
            endpoint_slice(ports=[{"name": "a", "port": 1}, {"name": "a", "port": 2}]),
            "ports[1].name",
            "Duplicate",
        ),
        (endpoint_slice(ports=[{"name": "A", "port": 1}]), "ports[0].name", "Invalid"),
        (
            endpoint_slice(ports=[{"port": 1, "protocol": "HTTP"}]),
            "ports[0].protocol",
            "NotSupported",
        ),
        (
            endpoint_slice(ports=[{"port": 1, "appProtocol": "a b"}]),
            "ports[0].appProtocol",
            "Invalid",
        ),
        (named("a" * 254), "metadata.name", "Invalid"),
        (named("Web"), "metadata.name", "Invalid"),
        (named("web", labels={"a": "b" * 64}), "metadata.labels", "Invalid"),
        (named("web", labels={"a b": "c"}), "metadata.labels", "Invalid"),
        (named("web", annotations={"a b": "c"}), "metadata.annotations", "Invalid"),
        (
            named("web", ownerReferences=[OWNER | {"uid": ""}]),
            "metadata.ownerReferences[0].uid",
            "Invalid",
        ),
        (named("web", ownerReferences=[OWNER, OWNER]), "metadata.ownerReferences", "Invalid"),
    ],
    ids=lambda value: str(value)[-60:],
)
def test_invalid_slices(item: JsonObject, field: str, reason: str) -> None:
    """Each slice has one invalid field, and the cause names it."""
    assert causes_of(item) == [(field, reason)]
