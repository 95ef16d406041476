"""Label selectors, as `kubectl get -l` takes them: which objects are meant, by their labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from svclink_core.errors import SvclinkError


class SelectorError(SvclinkError):
    """A text is no label selector; the message quotes the part that is wrong."""


@frozen
class Requirement:
    """One condition on one label.

    Args:
        key: The label.
        values: Those it may have; None: any.
        is_negated: Whether it must be otherwise: then a label that is missing is right.
    """

    key: str
    values: frozenset[str] | None = None
    is_negated: bool = False

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether labels are as required."""
        found = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return found is not self.is_negated


@frozen
class LabelSelector:
    """All of some requirements; without any, every object is meant."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is meant."""
        return all(each.fits(labels) for each in self.requirements)


EVERYTHING: Final = LabelSelector()


def parse(text: str) -> LabelSelector:
    """The selector that a text says: `shard=a`, `shard!=a`, `shard in (a,b)`, `shard notin (a)`, `shard`, `!shard`.

    Requirements are separated by commas. The empty text means every object.

    Raises:
        SelectorError: It is none.

    Source: `labels.Parse` of k8s.io/apimachinery, without its `>` and `<`.
    """
    if not text.strip():
        return EVERYTHING
    return LabelSelector(tuple(_requirement(part.strip()) for part in _COMMA.split(text)))


def _requirement(text: str) -> Requirement:
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise SelectorError(
            f"{text!r} selects no label: write it as shard=a, 'shard in (a,b)', shard or '!shard'"
        )
    key = match["absent"] or match["key"]
    if not is_key(key):
        raise SelectorError(
            f"{key!r} is not the key of a label: write it as shard or example.com/shard"
        )
    raw = match["values"] if match["set"] else match["value"]
    values = None if raw is None else frozenset(value.strip() for value in raw.split(","))
    for value in sorted(values or ()):
        if not is_value(value):
            raise SelectorError(
                f"{value!r} is not the value of a label: use at most 63 letters, digits, '-', '_' and '.'"
            )
    return Requirement(
        key, values, bool(match["absent"]) or match["operator"] == "!=" or match["set"] == "notin"
    )


def is_key(text: str) -> bool:
    """Whether a text can be the key of a label, `shard` or `example.com/shard`: a qualified name of apimachinery."""
    prefix, slash, name = text.rpartition("/")
    is_prefixed = not slash or (len(prefix) <= 253 and _PREFIX.fullmatch(prefix) is not None)
    return is_prefixed and bool(name) and is_value(name)


def is_value(text: str) -> bool:
    """Whether a text can be the value of a label, which may be empty."""
    return _VALUE.fullmatch(text) is not None


_COMMA: Final = re.compile(r",(?![^(]*\))")
"""A comma that is not within parentheses."""

_REQUIREMENT: Final = re.compile(
    r"!\s*(?P<absent>[^\s!=<>,()]+)"
    r"|(?P<key>[^\s!=<>,()]+)"
    r"(?:\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=<>,()]*)|\s+(?P<set>in|notin)\s*\((?P<values>[^()]+)\))?"
)
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_PREFIX: Final = re.compile(
    r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)
