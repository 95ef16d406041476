"""Patches: RFC 7386, and what `kubectl apply` sends for built-in kinds."""

from __future__ import annotations

import pytest

from svclink_controller.demo.apiserver.patch import merge, strategic_merge
from svclink_controller.demo.apiserver.status_errors import JsonObject


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_as_its_rfc_shows(target: object, patch: object, result: object) -> None:
    """These are examples of RFC 7386, appendix A."""
    assert merge(target, patch) == result


PORTS = [{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}]


@pytest.mark.parametrize(
    ("patch", "ports"),
    [
        ([{"port": 80, "name": "web"}], [{"name": "web", "port": 80}, PORTS[1]]),
        ([{"port": 443, "name": "https"}], [*PORTS, {"port": 443, "name": "https"}]),
        ([{"port": 80, "$patch": "delete"}], [PORTS[1]]),
        (None, None),
    ],
)
def test_a_strategic_patch_merges_ports_of_a_service_by_number(
    patch: object, ports: object
) -> None:
    """Elements of one number are one port; `$patch` says what is to go."""
    patched = strategic_merge({"spec": {"ports": PORTS}}, {"spec": {"ports": patch}}, "Service")

    assert patched["spec"].get("ports") == ports


@pytest.mark.parametrize(
    ("kind", "target", "patch", "result"),
    [
        ("EndpointSlice", {"ports": PORTS}, {"ports": [{"port": 1}]}, {"ports": [{"port": 1}]}),
        ("Service", {"a": 1}, {"$setElementOrder/ports": [{"port": 1}], "a": 2}, {"a": 2}),
        ("Service", {"other": [1]}, {"other": [2]}, {"other": [2]}),
    ],
)
def test_a_strategic_patch_knows_which_lists_are_merged(
    kind: str, target: JsonObject, patch: JsonObject, result: JsonObject
) -> None:
    """Ports of an EndpointSlice are one value, as is any list without a key; directives for eyes only do nothing."""
    assert strategic_merge(target, patch, kind) == result
