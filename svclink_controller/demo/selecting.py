"""Label and field selectors, as `kubectl get -l` and `--field-selector` send them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

from svclink_controller.demo.refusals import Object, bad_request

Selector: TypeAlias = Callable[[Object], bool]

_TERM: Final = re.compile(
    r"\s*(?:(?P<key>[\w./-]+)\s*(?:(?P<operator>==|=|!=)\s*(?P<value>[\w.:-]*)|\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?"
    r"|!\s*(?P<absent>[\w./-]+))\s*(?:,|$)"
)


def selector(query: Mapping[str, str]) -> Selector:
    """Whether an object is asked for by `labelSelector` and `fieldSelector` of a query.

    Raises:
        RefusalError: 400, one of them makes no sense.
    """
    terms = [
        *(partial(_has_label, *term) for term in _parse(query.get("labelSelector", ""))),
        *(partial(_has_field, *term) for term in _parse(query.get("fieldSelector", ""))),
    ]
    return lambda item: all(term(item) for term in terms)


def _parse(text: str) -> list[tuple[str, str, frozenset[str]]]:
    """Terms as key, operator (`in`, `notin`, `exists`, `absent`) and values."""
    found, position = [], 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise bad_request(f"unable to parse requirement: {text[position:]!r}")
        position = match.end()
        if match["absent"]:
            found.append((match["absent"], "absent", frozenset[str]()))
        elif match["operator"]:
            operator = "notin" if match["operator"] == "!=" else "in"
            found.append((match["key"], operator, frozenset({match["value"]})))
        elif match["set"]:
            values = frozenset(value.strip() for value in match["values"].split(","))
            found.append((match["key"], match["set"], values))
        else:
            found.append((match["key"], "exists", frozenset[str]()))
    return found


def _has_label(key: str, operator: str, values: frozenset[str], item: Object) -> bool:
    labels = item["metadata"].get("labels") or {}
    return _fits(labels.get(key), operator, values)


def _has_field(path: str, operator: str, values: frozenset[str], item: Object) -> bool:
    """A field that is not there is empty, unlike a label."""
    value: object = item
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return _fits("" if value is None else str(value), operator, values)


def _fits(value: str | None, operator: str, values: frozenset[str]) -> bool:
    match operator:
        case "in":
            return value in values
        case "notin":
            return value not in values
        case "exists":
            return value is not None
        case _:
            return value is None
