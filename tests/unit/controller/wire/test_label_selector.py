"""A label selector selects the objects that the API server would select."""

from __future__ import annotations

import pytest

from svclink_controller.wire.label_selector import EVERYTHING, SelectorError, parse

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
    selector = parse(text)
    assert [labels for labels in (A, B, BARE) if selector.matches(labels)] == selected


def test_empty_selector_selects_everything() -> None:
    """The empty text has no requirements."""
    assert parse("") == EVERYTHING


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
        parse(text)
    assert quoted in str(caught.value)
