"""Which labels a selector selects: in the syntax of `kubectl get -l`, and as objects have it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from attrs import frozen

from svclink_core.api_rules import is_label_value, is_qualified_name
from svclink_core.errors import SvclinkError
from svclink_core.meta_v1 import LabelOperator, LabelSelector, LabelSelectorRequirement


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

    def __str__(self) -> str:
        if self.values is None:
            return f"{'!' if self.is_negated else ''}{self.key}"
        if len(self.values) == 1:
            (value,) = self.values
            return f"{self.key}{'!=' if self.is_negated else '='}{value}"
        operator = "notin" if self.is_negated else "in"
        return f"{self.key} {operator} ({','.join(sorted(self.values))})"


@frozen
class Selector:
    """Selects objects that meet all requirements. Without requirements it selects every object.

    Its text is the query parameter `labelSelector` of a request.
    """

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(each.is_met_by(labels) for each in self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


EVERYTHING: Final = Selector()

NOTHING: Final = Selector((Requirement("", frozenset()),))
"""No label has one of no values."""


def parse_selector(text: str) -> Selector:
    """Parse a label selector.

    Requirements are separated by commas: `shard=a`, `shard!=a`, `shard in (a,b)`, `shard notin
    (a)`, `shard`, `!shard`. The empty text selects every object.

    >>> str(parse_selector("shard in (b, a), !old"))
    'shard in (a,b),!old'

    Raises:
        SelectorError: The text is not a valid selector.

    Source: `labels.Parse` of k8s.io/apimachinery, without its `>` and `<`.
    """
    if not text.strip():
        return EVERYTHING
    return Selector(tuple(_requirement(part.strip()) for part in _COMMA.split(text)))


def selector_of(selector: LabelSelector) -> Selector:
    """The selector that an object has in one of its fields.

    An empty one selects nothing. Elsewhere in Kubernetes it selects everything, and so a field that
    was emptied by mistake would mirror a whole cluster (linkerd2#11309).
    """
    found = [Requirement(key, frozenset({value})) for key, value in selector.match_labels]
    for each in selector.match_expressions:
        values = frozenset(each.values) if each.operator in _WITH_VALUES else None
        found.append(Requirement(each.key, values, each.operator in _NEGATED))
    return Selector(tuple(found)) if found else NOTHING


def why_invalid(selector: LabelSelector) -> str | None:
    """What is wrong with a selector of an object, in words that follow its name, or None.

    The CRD refuses all of it. A CRD of another release may not.
    """
    if not (selector.match_labels or selector.match_expressions):
        return "is empty and selects nothing: remove it or add a label"
    return next(_problems(selector), None)


def _problems(selector: LabelSelector) -> Iterator[str]:
    as_expressions = [
        LabelSelectorRequirement(key, "In", (value,)) for key, value in selector.match_labels
    ]
    for each in (*as_expressions, *selector.match_expressions):
        if not is_qualified_name(each.key):
            yield (
                f"has {each.key!r}, which is not a valid label key: use a key like"
                " example.com/shard"
            )
        if bool(each.values) is not (each.operator in _WITH_VALUES):
            values = "at least one value" if each.operator in _WITH_VALUES else "no values"
            yield f"must have {values} for {each.key}, because its operator is {each.operator}"
        for value in each.values:
            if not is_label_value(value):
                yield f"has {value!r}, which is not a valid label value: {_VALUE_RULE}"


_VALUE_RULE: Final = "use at most 63 letters, digits, '-', '_' and '.'"
_WITH_VALUES: Final[Collection[LabelOperator]] = ("In", "NotIn")
_NEGATED: Final[Collection[LabelOperator]] = ("NotIn", "DoesNotExist")


def _requirement(text: str) -> Requirement:
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise SelectorError(
            f"{text!r} is not a valid label selector: use shard=a, 'shard in (a,b)', shard or"
            " '!shard'"
        )
    key = match["absent"] or match["key"]
    if not is_qualified_name(key):
        raise SelectorError(
            f"{key!r} is not a valid label key: use a key like shard or example.com/shard"
        )
    raw = match["values"] if match["set"] else match["value"]
    values = None if raw is None else frozenset(value.strip() for value in raw.split(","))
    for value in sorted(values or ()):
        if not is_label_value(value):
            raise SelectorError(f"{value!r} is not a valid label value: {_VALUE_RULE}")
    return Requirement(
        key, values, bool(match["absent"]) or match["operator"] == "!=" or match["set"] == "notin"
    )


_COMMA: Final = re.compile(r",(?![^(]*\))")
"""A comma outside of parentheses."""

_REQUIREMENT: Final = re.compile(
    r"!\s*(?P<absent>[^\s!=<>,()]+)"
    r"|(?P<key>[^\s!=<>,()]+)"
    r"(?:\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=<>,()]*)|\s+(?P<set>in|notin)\s*\((?P<values>[^()]+)\))?"
)
