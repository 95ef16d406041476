"""Parses the text of a kubeconfig: one YAML or JSON document, limited, without YAML's surprises."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import takewhile
from typing import Final, TypeAlias

import yaml

from svclink_controller.credentials.errors import INVALID, KubeconfigError

YamlValue: TypeAlias = "str | bool | int | float | list[YamlValue] | dict[str, YamlValue] | None"
YamlLoader: TypeAlias = "type[yaml.SafeLoader | yaml.CSafeLoader]"

MAX_SIZE: Final = 256 * 1024
MAX_YAML_DEPTH: Final = 16
MAX_EVENTS: Final = 20_000

# libyaml is several times as fast, but a PyYAML built from source may lack it.
DEFAULT_LOADER: Final[YamlLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Other plain scalars stay text: numbers, dates and `<<` have no meaning in a kubeconfig.
_WORDS: Final[dict[str, bool | None]] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
}


def load_document(content: bytes, loader: YamlLoader = DEFAULT_LOADER) -> YamlValue:
    """The only document of the content, as plain values.

    Raises:
        KubeconfigError: The content is not one plain YAML or JSON document within the limits.
    """
    if len(content) > MAX_SIZE:
        raise KubeconfigError(
            INVALID, "kubeconfig", f"is larger than {MAX_SIZE} bytes; remove what you do not use"
        )
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode()
        events = _nodes(yaml.parse(text, Loader=loader))
        value = _value(next(events), events, 0)
        next(events, None)  # Reads to the end, so that an error after the document is found too.
    except KubeconfigError:
        raise
    except StopIteration:
        raise KubeconfigError(INVALID, "kubeconfig", "is empty; export it again") from None
    except Exception as error:  # noqa: BLE001 - a parser can fail in any way on hostile bytes
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = "" if line is None else f" (line {line + 1})"
        problem = f"cannot be parsed as UTF-8 YAML or JSON{place}; export it again"
        raise KubeconfigError(INVALID, "kubeconfig", problem) from None
    return value


def _nodes(events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
    """The nodes of one document, checked before a value is built: an alias bomb is still small.

    Files that tools put together often end in `---`: documents without content are skipped.
    """
    starts: list[yaml.Event] = []
    for count, event in enumerate(events):
        if isinstance(event, yaml.DocumentStartEvent):
            starts.append(event)
        if getattr(event, "anchor", None) is not None:
            raise _error(event, "uses an anchor or an alias; write the value out")
        if getattr(event, "tag", None) is not None:
            raise _error(event, "uses a tag; remove it")
        if count >= MAX_EVENTS:
            place = f"limit reached at line {_line(event)}"
            problem = f"has more than {MAX_EVENTS} values ({place}); remove what you do not use"
            raise KubeconfigError(INVALID, "kubeconfig", problem)
        if isinstance(event, (yaml.NodeEvent, yaml.CollectionEndEvent)):
            if not starts[1:]:
                yield event
            elif not _is_nothing(event):
                raise _error(starts[-1], "starts a second document; use a single document")


def _is_nothing(event: yaml.Event) -> bool:
    return isinstance(event, yaml.ScalarEvent) and _scalar(event) is None


def _scalar(event: yaml.ScalarEvent) -> YamlValue:
    is_plain = event.implicit[0]
    text: str = event.value
    return _WORDS.get(text, text) if is_plain else text


def _value(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> YamlValue:
    """The value that starts with an event; takes the rest of its events from the iterator."""
    if depth > MAX_YAML_DEPTH:
        problem = f"is nested deeper than {MAX_YAML_DEPTH} levels; remove what you do not use"
        raise _error(event, problem)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    inner = takewhile(lambda following: not isinstance(following, yaml.CollectionEndEvent), events)
    if isinstance(event, yaml.SequenceStartEvent):
        return [_value(item, events, depth + 1) for item in inner]
    mapping: dict[str, YamlValue] = {}
    for key in inner:
        if not isinstance(key, yaml.ScalarEvent):
            raise _error(key, "has a key that is not a string; remove it")
        if key.value in mapping:
            raise _error(key, "repeats a field; remove one of the two")
        mapping[key.value] = _value(next(events), events, depth + 1)
    return mapping


def _error(event: yaml.Event, problem: str) -> KubeconfigError:
    return KubeconfigError(INVALID, f"kubeconfig line {_line(event)}", problem)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
