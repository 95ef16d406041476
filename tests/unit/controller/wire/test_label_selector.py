"""A label selector means the objects that the API server would send for it."""

from __future__ import annotations

import pytest

from svclink_controller.wire.label_selector import EVERYTHING, SelectorError, parse

A, B, BARE = {"shard": "a", "example.com/tier": "gold"}, {"shard": "b"}, {"tier": ""}


@pytest.mark.parametrize(
    ("text", "meant"),
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
def test_selector_means_what_it_means_to_the_api_server(
    text: str, meant: list[dict[str, str]]
) -> None:
    """Equality and sets; with `!=` and `notin` a label that is missing is right."""
    selector = parse(text)
    assert [labels for labels in (A, B, BARE) if selector.matches(labels)] == meant


def test_empty_selector_is_everything() -> None:
    """Nothing required is the same as no selector."""
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
def test_text_that_is_no_selector_is_refused_with_the_part_that_is_wrong(
    text: str, quoted: str
) -> None:
    """One sentence that quotes it and says how to write it."""
    with pytest.raises(SelectorError, match=r": (use shard=|use a key like|use at most)") as caught:
        parse(text)
    assert quoted in str(caught.value)
