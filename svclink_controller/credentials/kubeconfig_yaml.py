"""The text of a kubeconfig as plain values: one YAML or JSON document, within limits, and without YAML's surprises."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import takewhile
from typing import Final, Literal, TypeAlias

import yaml

from svclink_core.errors import SvclinkError

KubeconfigReason: TypeAlias = Literal["InvalidKubeconfig", "InsecureKubeconfig"]
YamlValue: TypeAlias = "str | bool | list[YamlValue] | dict[str, YamlValue] | None"
INVALID: Final = "InvalidKubeconfig"
INSECURE: Final = "InsecureKubeconfig"

MAX_SIZE: Final = 256 * 1024
MAX_YAML_DEPTH: Final = 16
MAX_EVENTS: Final = 20_000

# Every other plain scalar stays text: numbers, dates and `<<` mean nothing in a kubeconfig, and are not converted.
_WORDS: Final[dict[str, bool | None]] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
}
# libyaml is several times as fast, but a PyYAML built from source may lack it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class KubeconfigError(SvclinkError):
    """A kubeconfig is refused. The text names the field and the mend, and repeats no value that may be secret.

    Args:
        reason: `InsecureKubeconfig` where a field would do more than carry credentials, else `InvalidKubeconfig`.
            Both are reasons of the ClusterLink's condition Ready.
        where: The field at fault, as `users[0].user.exec`.
        problem: What is wrong with it, and the mend.
    """

    def __init__(self, reason: KubeconfigReason, where: str, problem: str) -> None:
        super().__init__(f"{where} {problem}")
        self.reason: str = reason
        self.where = where


def load_document(content: bytes) -> YamlValue:
    """The only document of the content, as plain values."""
    if len(content) > MAX_SIZE:
        raise KubeconfigError(
            INVALID, "kubeconfig", f"is larger than {MAX_SIZE} bytes; leave out what is not used"
        )
    try:
        events = _nodes(yaml.parse(content.removeprefix(codecs.BOM_UTF8).decode(), Loader=_LOADER))
        value = _value(next(events), events, 0)
        next(events, None)  # reads to the end, so that trouble after the document is found as well
    except KubeconfigError:
        raise
    except StopIteration:
        raise KubeconfigError(INVALID, "kubeconfig", "is empty; export it again") from None
    except Exception as error:  # noqa: BLE001 - however a parser fails on hostile bytes, they are no kubeconfig
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "kubeconfig" if line is None else f"kubeconfig line {line + 1}"
        raise KubeconfigError(
            INVALID, where, "is neither YAML nor JSON in UTF-8; export it again"
        ) from None
    return value


def _nodes(events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
    """The nodes of one document, refused before anything is built of them: until then, an alias bomb is small."""
    documents = 0
    for count, event in enumerate(events):
        documents += isinstance(event, yaml.DocumentStartEvent)
        if getattr(event, "anchor", None) is not None:
            raise _fault(event, "uses an anchor or an alias; write the value out")
        if getattr(event, "tag", None) is not None:
            raise _fault(event, "uses a tag; remove it")
        if documents > 1:
            raise _fault(event, "starts a second document; give one")
        if count >= MAX_EVENTS:
            raise _fault(
                event, f"is past the limit of {MAX_EVENTS} values; leave out what is not used"
            )
        if isinstance(event, (yaml.NodeEvent, yaml.CollectionEndEvent)):
            yield event


def _value(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> YamlValue:
    if depth > MAX_YAML_DEPTH:
        raise _fault(
            event, f"is nested deeper than {MAX_YAML_DEPTH} levels; leave out what is not used"
        )
    if isinstance(event, yaml.ScalarEvent):
        is_plain = event.implicit[0]
        return _WORDS.get(event.value, event.value) if is_plain else event.value
    inner = takewhile(lambda following: not isinstance(following, yaml.CollectionEndEvent), events)
    if isinstance(event, yaml.SequenceStartEvent):
        return [_value(item, events, depth + 1) for item in inner]
    mapping: dict[str, YamlValue] = {}
    for key in inner:
        if not isinstance(key, yaml.ScalarEvent):
            raise _fault(key, "has a key that is not a string; remove it")
        if key.value in mapping:
            raise _fault(key, "gives a field a second time; remove one of the two")
        mapping[key.value] = _value(next(events), events, depth + 1)
    return mapping


def _fault(event: yaml.Event, problem: str) -> KubeconfigError:
    line = event.start_mark.line + 1 if event.start_mark else 0
    return KubeconfigError(INVALID, f"kubeconfig line {line}", problem)
