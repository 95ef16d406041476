"""Parse events of JSON and YAML files, and the plain values they describe.

Values are built one at a time, so a file of any size is read in the memory of its largest object.
Nesting is limited: a small file could crash a loader that builds values by recursion in C.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import BinaryIO, Final, TypeAlias

import ijson
import yaml

FileValue: TypeAlias = "dict[str, FileValue] | list[FileValue] | str | int | float | bool | None"
ParseEvent: TypeAlias = tuple[str, object]
"""A word and a value: `start_map`, `end_map`, `start_array`, `end_array`, or else a scalar."""

MAX_FILE_DEPTH: Final = 100
"""Levels of nesting in one object. Schemas in a CRD, the deepest in Kubernetes, have about 40."""

# libyaml is several times faster, but a PyYAML built from source may lack it.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ContentError(Exception):
    """The content is not JSON or YAML that Kubernetes accepts. The message does not quote it."""


def events_of(stream: BinaryIO, *, is_json: bool) -> Iterator[ParseEvent]:
    """The events of every document of a stream, one document after the other.

    Raises:
        ContentError: The rest of the stream is neither JSON nor YAML.
    """
    try:
        yield from _json_events(stream) if is_json else _yaml_events(stream)
    except ijson.JSONError as error:
        # The second line of the message quotes the file, which may contain a kubeconfig.
        reason = str(error.args[0] if error.args else error)
        raise ContentError(
            f"neither JSON nor YAML: {reason.partition(chr(10))[0].rstrip('.')}"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ContentError(f"neither JSON nor YAML: {_problem(error)}") from None


def _problem(error: yaml.YAMLError | ValueError) -> str:
    """What is wrong with a file, and where, without the text around it."""
    match error:
        case yaml.MarkedYAMLError(problem=str(problem)):
            line = "" if error.problem_mark is None else f" on line {error.problem_mark.line + 1}"
            return problem + line
        case yaml.reader.ReaderError():
            return f"{error.reason} (position {error.position})"
        case UnicodeError():
            return "it is not UTF-8 text"
        case ValueError():
            return "a number has too many digits"
        case _:
            return "it cannot be parsed"


def value_of(event: ParseEvent, events: Iterator[ParseEvent], depth: int = 1) -> FileValue:
    """The value that starts with an event; consumes the events that belong to it."""
    word, scalar = event
    if depth > MAX_FILE_DEPTH and word in ("start_map", "start_array"):
        raise ContentError(
            f"nested deeper than {MAX_FILE_DEPTH} levels, unlike any Kubernetes object"
        )
    if word == "start_map":
        mapping: dict[str, FileValue] = {}
        while (key := key_of(next(events))) is not None:
            require_new(key, mapping)
            mapping[key] = value_of(next(events), events, depth + 1)
        return mapping
    if word == "start_array":
        return [
            value_of(item, events, depth + 1)
            for item in iter(lambda: next(events), ("end_array", None))
        ]
    return scalar  # type: ignore[return-value]  # Both readers give what JSON can hold.


def key_of(event: ParseEvent) -> str | None:
    """The name of the next field of a mapping; None at its end."""
    word, key = event
    if word == "end_map":
        return None
    if not isinstance(key, str):
        raise ContentError("a field name is not a string: put it in quotes")
    return key


def require_new(key: str, mapping: Mapping[str, object]) -> None:
    """Refuse a field that the mapping already has: JSON does not say which of the two is valid."""
    if key in mapping:
        raise ContentError(f"the field {key[:100]!r} occurs twice: remove one")


def _json_events(stream: BinaryIO) -> Iterator[ParseEvent]:
    events: Iterator[ParseEvent] = ijson.basic_parse(stream, multiple_values=True, use_float=True)
    yield from events


def _yaml_events(stream: BinaryIO) -> Iterator[ParseEvent]:
    for event in yaml.parse(stream, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise _fault(event, "uses an alias: write the value out")
        if getattr(event, "tag", None) is not None:
            raise _fault(event, "uses a tag: remove it")
        if isinstance(event, yaml.ScalarEvent):
            is_plain = event.implicit[0]
            yield "scalar", _resolve(event.value) if is_plain else event.value
        elif (bracket := _BRACKETS.get(type(event))) is not None:
            yield bracket


def _fault(event: yaml.Event, problem: str) -> ContentError:
    line = event.start_mark.line + 1 if event.start_mark else 0
    return ContentError(f"line {line} {problem}")


_BRACKETS: Final[dict[type[yaml.Event], ParseEvent]] = {
    yaml.MappingStartEvent: ("start_map", None),
    yaml.MappingEndEvent: ("end_map", None),
    yaml.SequenceStartEvent: ("start_array", None),
    yaml.SequenceEndEvent: ("end_array", None),
}

_MEANINGS: Final = {
    "tag:yaml.org,2002:bool": yaml.SafeLoader.construct_yaml_bool,
    "tag:yaml.org,2002:float": yaml.SafeLoader.construct_yaml_float,
    "tag:yaml.org,2002:int": yaml.SafeLoader.construct_yaml_int,
    "tag:yaml.org,2002:null": yaml.SafeLoader.construct_yaml_null,
}
"""The plain YAML scalars that Kubernetes does not read as text. Timestamps are text to it."""


@lru_cache(maxsize=2**16)
def _resolve(text: str) -> object:
    """The value of an unquoted scalar."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    for tag, pattern in resolvers.get(text[:1], []):
        if tag in _MEANINGS and pattern.match(text):
            return _MEANINGS[tag](_CONSTRUCTOR, yaml.ScalarNode(tag, text))
    return text


_CONSTRUCTOR: Final = yaml.SafeLoader("")
