"""Patches: JSON merge patch, and strategic merge patch as far as the kinds known here need it."""

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
"""Lists that a strategic merge patch merges, with the field that tells their elements apart (`patchMergeKey`)."""

ATOMIC: Final = {"EndpointSlice": {"ports"}}
"""Lists of these names that are replaced all the same in objects of these kinds."""


def merge(target: object, patch: object) -> object:
    """The result of a JSON merge patch (RFC 7386): objects are merged, anything else is replaced, null removes."""
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
    """The result of a strategic merge patch, as `kubectl apply` makes them.

    Source: k8s.io/apimachinery, util/strategicpatch.
    """
    result = dict(target)
    for name, value in patch.items():
        key = None if name in ATOMIC.get(kind, ()) else MERGE_KEYS.get(name)
        if name.startswith("$"):
            continue  # The order of elements, which is for eyes only, and the keys to retain, which unions need.
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
    """Elements of one key are merged, the others appended; `$patch: delete` removes one."""
    merged = {each.get(key): each for each in target}
    for each in patch:
        if each.get("$patch") == "delete":
            merged.pop(each.get(key), None)
        else:
            merged[each.get(key)] = strategic_merge(merged.get(each.get(key), {}), each, kind)
    return list(merged.values())
