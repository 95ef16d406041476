"""JSON merge patches, and the strategic merge patches of `kubectl apply`."""

from __future__ import annotations

import pytest

from svclink_controller.demo.apiserver.registry.patch import merge, strategic_merge
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
def test_merge_patch_follows_the_rfc(target: object, patch: object, result: object) -> None:
    """The examples are those of RFC 7386, appendix A."""
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
def test_strategic_patch_merges_service_ports_by_number(patch: object, ports: object) -> None:
    """Ports with the same number are merged; `$patch: delete` removes one."""
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
def test_strategic_patch_replaces_other_lists(
    kind: str, target: JsonObject, patch: JsonObject, result: JsonObject
) -> None:
    """EndpointSlice ports and lists without a key are replaced; `$` directives are ignored."""
    assert strategic_merge(target, patch, kind) == result
