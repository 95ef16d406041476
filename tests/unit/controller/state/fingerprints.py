"""The content of a value as plain tuples and sets, to see later whether it changed."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping

import attrs


def fingerprint(value: object) -> Hashable:
    """Everything that is reachable from a value, copied."""
    kind = type(value)
    if attrs.has(kind):
        return (kind, *(fingerprint(getattr(value, field.name)) for field in attrs.fields(kind)))
    if isinstance(value, Mapping):
        return frozenset((fingerprint(key), fingerprint(each)) for key, each in value.items())
    if isinstance(value, tuple | list):
        return tuple(map(fingerprint, value))
    if isinstance(value, Collection) and not isinstance(value, str):
        return frozenset(map(fingerprint, value))
    assert isinstance(value, Hashable)
    return value
