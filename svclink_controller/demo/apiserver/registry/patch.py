"""JSON merge patch, and as much of strategic merge patch as the built-in types here need."""

from __future__ import annotations

from typing import Final

from svclink_controller.demo.apiserver.status_errors import JsonObject

MERGE_KEYS: Final = {
    "containers": "name",
    "env": "name",
    "ownerReferences": "uid",
    "ports": "port",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Lists that a strategic merge patch merges, and the field that identifies their elements."""

ATOMIC: Final = {"EndpointSlice": {"ports"}}
"""Lists that a strategic merge patch replaces in these kinds, despite `MERGE_KEYS`."""


def merge(target: object, patch: object) -> object:
    """Apply a JSON merge patch (RFC 7386): it merges objects, null removes, the rest replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def strategic_merge(target: JsonObject, patch: JsonObject, kind: str) -> JsonObject:
    """Apply a strategic merge patch, which `kubectl apply` sends for built-in types.

    Source: k8s.io/apimachinery, util/strategicpatch.
    """
    result = dict(target)
    for name, value in patch.items():
        key = None if name in ATOMIC.get(kind, ()) else MERGE_KEYS.get(name)
        if name.startswith("$"):
            # `$setElementOrder` is cosmetic; `$retainKeys` matters to union types only.
            continue
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = strategic_merge(result.get(name) or {}, value, kind)
        elif isinstance(value, list) and key is not None:
            result[name] = _merge_list(result.get(name) or [], value, key, kind)
        else:
            result[name] = value
    return result


def _merge_list(
    target: list[JsonObject], patch: list[JsonObject], key: str, kind: str
) -> list[JsonObject]:
    """Merge elements with the same key and append the others; `$patch: delete` removes one."""
    merged = {each.get(key): each for each in target}
    for each in patch:
        if each.get("$patch") == "delete":
            merged.pop(each.get(key), None)
        else:
            merged[each.get(key)] = strategic_merge(merged.get(each.get(key), {}), each, kind)
    return list(merged.values())
