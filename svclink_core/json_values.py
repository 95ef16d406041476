"""Reads single JSON values strictly: a value of another type is an error, and is not converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar, cast, runtime_checkable

T = TypeVar("T")


def exactly(wanted: type[T]) -> Callable[[object, type[T]], T]:
    """A structure hook that accepts one type. cattrs would convert others into it."""
    name = {str: "a string", bool: "true or false", int: "a whole number"}[wanted]

    def check(value: object, _: type[T]) -> T:
        if type(value) is not wanted:
            raise TypeError(f"must be {name} but is {json_type(value)}")
        return value

    return check


def json_type(value: object) -> str:
    """The type of a JSON value, as an error calls it."""
    match value:
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return "null" if value is None else type(value).__name__


def read_string(value: object) -> str:
    """A string."""
    return exactly(str)(value, str)


def read_target_port(value: object, _: object) -> int | str | None:
    """The number or the name of a container's port (IntOrString)."""
    if type(value) not in (int, str):
        raise TypeError(f"must be a whole number or a string but is {json_type(value)}")
    return cast("int | str", value)


@runtime_checkable
class _Instant(Protocol):
    """A `datetime`, which the core does not import because that module can read the clock."""

    def isoformat(self) -> str: ...

    def utcoffset(self) -> object: ...


def read_time(value: object, _: object) -> str:
    """A time as RFC 3339. YAML decoders and the official client give a `datetime`."""
    has_zone = isinstance(value, _Instant) and value.utcoffset() is not None
    text = value.isoformat() if isinstance(value, _Instant) and has_zone else read_string(value)
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
