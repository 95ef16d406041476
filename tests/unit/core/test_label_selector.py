"""A label selector selects the objects that the API server would select."""

from __future__ import annotations

import pytest

from svclink_core.label_selector import (
    EVERYTHING,
    NOTHING,
    SelectorError,
    parse_selector,
    selector_of,
    why_invalid,
)
from svclink_core.meta_v1 import LabelOperator, LabelSelector, LabelSelectorRequirement

A, B, BARE = {"shard": "a", "example.com/tier": "gold"}, {"shard": "b"}, {"tier": ""}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", [A, B, BARE]),
        ("  ", [A, B, BARE]),
        ("shard=a", [A]),
        ("shard == a", [A]),
        ("shard!=a", [B, BARE]),
        ("shard", [A, B]),
        ("!shard", [BARE]),
        ("! shard", [BARE]),
        ("shard in (a,b)", [A, B]),
        ("shard in ( a )", [A]),
        ("shard in(b)", [B]),
        ("shard notin (a, c)", [B, BARE]),
        ("shard,shard!=a", [B]),
        ("shard in (a,b), example.com/tier=gold", [A]),
        ("shard in (a,b),!example.com/tier", [B]),
        ("tier=", [BARE]),
        ("tier!=", [A, B]),
        ("in in (a)", []),
    ],
)
def test_selector_selects_what_the_api_server_selects(
    text: str, selected: list[dict[str, str]]
) -> None:
    """Equality and sets are supported. A missing label satisfies `!=` and `notin`."""
    selector = parse_selector(text)
    assert [labels for labels in (A, B, BARE) if selector.matches(labels)] == selected


def test_empty_selector_selects_everything() -> None:
    """The empty text has no requirements."""
    assert parse_selector("") == EVERYTHING


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("shard=a,", "''"),
        (",shard", "''"),
        ("shard a", "'shard a'"),
        ("shard>1", "'shard>1'"),
        ("shard in a", "'shard in a'"),
        ("shard in ()", "'shard in ()'"),
        ("shard in (a", "'shard in (a'"),
        ("shard in (a))", "'shard in (a))'"),
        ("shard=a=b", "'shard=a=b'"),
        ("!shard=a", "'!shard=a'"),
        ("-shard=a", "'-shard'"),
        ("/shard", "'/shard'"),
        ("example.com/", "'example.com/'"),
        ("Example.com/shard", "'Example.com/shard'"),
        ("a/b/c", "'a/b/c'"),
        (f"{'x' * 64}=a", "xxx'"),
        (f"{'x' * 254}/a", "/a'"),
        ("shard=-a", "'-a'"),
        (f"shard={'x' * 64}", "xxx'"),
        ("shard in (a,_)", "'_'"),
    ],
)
def test_invalid_selector_is_rejected_with_its_invalid_part(text: str, quoted: str) -> None:
    """The error quotes the invalid part and says how to fix it."""
    with pytest.raises(SelectorError, match=r": (use shard=|use a key like|use at most)") as caught:
        parse_selector(text)
    assert quoted in str(caught.value)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("shard == a", "shard=a"),
        ("shard!=a, !old", "shard!=a,!old"),
        ("shard in (b,a),tier", "shard in (a,b),tier"),
        ("shard in (a)", "shard=a"),
        ("shard notin (b, a)", "shard notin (a,b)"),
        ("tier=", "tier="),
    ],
)
def test_a_selector_is_written_as_the_api_server_reads_it(text: str, canonical: str) -> None:
    """Its text is the query of a request, and means the same when it is parsed again."""
    selector = parse_selector(text)
    assert str(selector) == canonical
    assert str(parse_selector(canonical)) == canonical


def expression(operator: LabelOperator, *values: str, key: str = "shard") -> LabelSelector:
    return LabelSelector((), (LabelSelectorRequirement(key, operator, values),))


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (LabelSelector((("shard", "a"), ("tier", ""))), "shard=a,tier="),
        (expression("In", "b", "a"), "shard in (a,b)"),
        (expression("NotIn", "a", "b"), "shard notin (a,b)"),
        (expression("Exists"), "shard"),
        (expression("DoesNotExist"), "!shard"),
        (
            LabelSelector((("tier", "gold"),), (LabelSelectorRequirement("old", "DoesNotExist"),)),
            "tier=gold,!old",
        ),
    ],
)
def test_the_selector_of_an_object(selector: LabelSelector, text: str) -> None:
    """Labels and expressions must all match."""
    assert str(selector_of(selector)) == text
    assert why_invalid(selector) is None


@pytest.mark.parametrize("labels", [{}, {"shard": "a"}, {"": ""}])
def test_an_empty_selector_of_an_object_selects_nothing(labels: dict[str, str]) -> None:
    """linkerd2#11309: an empty one mirrored everything."""
    assert selector_of(LabelSelector()) == NOTHING
    assert not NOTHING.matches(labels)
    assert EVERYTHING.matches(labels)


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        (LabelSelector(), "is empty and selects nothing: "),
        (expression("In"), "must have at least one value for shard, because its operator is In"),
        (
            expression("NotIn"),
            "must have at least one value for shard, because its operator is NotIn",
        ),
        (
            expression("Exists", "a"),
            "must have no values for shard, because its operator is Exists",
        ),
        (expression("In", "a", key="-shard"), "has '-shard', which is not a valid label key: "),
        (expression("In", "a b"), "has 'a b', which is not a valid label value: "),
        (LabelSelector((("shard", "-"),)), "has '-', which is not a valid label value: "),
        (LabelSelector((("a/b/c", "x"),)), "has 'a/b/c', which is not a valid label key: "),
    ],
)
def test_invalid_selectors_of_objects(selector: LabelSelector, problem: str) -> None:
    """The first problem, in words that follow the name of the field."""
    found = why_invalid(selector)
    assert found is not None
    assert found.startswith(problem)
