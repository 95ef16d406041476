"""Label selectors in the syntax of `kubectl get -l`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from svclink_core.errors import SvclinkError


class SelectorError(SvclinkError):
    """A text is not a valid label selector. The message quotes the invalid part."""


@frozen
class Requirement:
    """One condition on one label.

    Args:
        key: The key of the label.
        values: The allowed values; None means any.
        is_negated: Whether the condition must not hold. A missing label then satisfies it.
    """

    key: str
    values: frozenset[str] | None = None
    is_negated: bool = False

    def is_met_by(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy the condition."""
        has_label = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return has_label is not self.is_negated


@frozen
class LabelSelector:
    """Selects objects that meet all requirements. Without requirements it selects every object."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(each.is_met_by(labels) for each in self.requirements)


EVERYTHING: Final = LabelSelector()


def parse(text: str) -> LabelSelector:
    """Parse a label selector.

    Requirements are separated by commas: `shard=a`, `shard!=a`, `shard in (a,b)`, `shard notin
    (a)`, `shard`, `!shard`. The empty text selects every object.

    Raises:
        SelectorError: The text is not a valid selector.

    Source: `labels.Parse` of k8s.io/apimachinery, without its `>` and `<`.
    """
    if not text.strip():
        return EVERYTHING
    return LabelSelector(tuple(_requirement(part.strip()) for part in _COMMA.split(text)))


def _requirement(text: str) -> Requirement:
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise SelectorError(
            f"{text!r} is not a label selector: use shard=a, 'shard in (a,b)', shard or '!shard'"
        )
    key = match["absent"] or match["key"]
    if not is_key(key):
        raise SelectorError(
            f"{key!r} is not a label key: use a key like shard or example.com/shard"
        )
    raw = match["values"] if match["set"] else match["value"]
    values = None if raw is None else frozenset(value.strip() for value in raw.split(","))
    for value in sorted(values or ()):
        if not is_value(value):
            raise SelectorError(
                f"{value!r} is not a label value: use at most 63 letters, digits, '-', '_' and '.'"
            )
    return Requirement(
        key, values, bool(match["absent"]) or match["operator"] == "!=" or match["set"] == "notin"
    )


def is_key(text: str) -> bool:
    """Whether a text is a valid label key, `shard` or `example.com/shard`.

    Source: qualified names of k8s.io/apimachinery.
    """
    prefix, slash, name = text.rpartition("/")
    is_prefixed = not slash or (len(prefix) <= 253 and _PREFIX.fullmatch(prefix) is not None)
    return is_prefixed and bool(name) and is_value(name)


def is_value(text: str) -> bool:
    """Whether a text is a valid label value, which may be empty."""
    return _VALUE.fullmatch(text) is not None


_COMMA: Final = re.compile(r",(?![^(]*\))")
"""A comma outside of parentheses."""

_REQUIREMENT: Final = re.compile(
    r"!\s*(?P<absent>[^\s!=<>,()]+)"
    r"|(?P<key>[^\s!=<>,()]+)"
    r"(?:\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=<>,()]*)|\s+(?P<set>in|notin)\s*\((?P<values>[^()]+)\))?"
)
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_PREFIX: Final = re.compile(
    r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)
