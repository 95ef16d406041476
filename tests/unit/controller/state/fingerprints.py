"""The content of a value as plain tuples and sets, to see later whether it changed."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Final

import attrs


def fingerprint(value: object) -> Hashable:
    """Everything that is reachable from a value, copied."""
    kind = type(value)
    fields = names_of_fields(kind)
    if fields is not None:
        return (kind, *(fingerprint(getattr(value, name)) for name in fields))
    if isinstance(value, str | tuple | list):
        return value if isinstance(value, str) else tuple(map(fingerprint, value))
    if isinstance(value, Mapping):
        return frozenset((fingerprint(key), fingerprint(each)) for key, each in value.items())
    if isinstance(value, Collection):
        return frozenset(map(fingerprint, value))
    assert isinstance(value, Hashable)
    return value


def names_of_fields(kind: type) -> tuple[str, ...] | None:
    """The fields of an attrs class. Kept, because asking takes longer than reading them."""
    if kind not in _FIELDS:
        is_attrs = attrs.has(kind)
        _FIELDS[kind] = tuple(each.name for each in attrs.fields(kind)) if is_attrs else None
    return _FIELDS[kind]


_FIELDS: Final[dict[type, tuple[str, ...] | None]] = {}
