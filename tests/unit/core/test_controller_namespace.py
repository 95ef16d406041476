"""Which namespace is the controller's, by the evidence that there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_core.controller_namespace import (
    AmbiguousNamespace,
    AssumedNamespace,
    ControllerNamespace,
    KnownNamespace,
    controller_namespace,
)

NAMES = st.sampled_from(("a", "b", "c"))
SIGHTINGS = st.lists(st.none() | st.frozensets(NAMES), max_size=3)


@pytest.mark.parametrize(
    ("sightings", "expected"),
    [
        ([{"a"}, {"b"}], KnownNamespace("a")),
        ([set(), {"b"}], KnownNamespace("b")),
        ([None, {"b"}], KnownNamespace("b")),
        ([{"a", "b"}, set()], AmbiguousNamespace(("a", "b"))),
        ([{"a", "default"}, set()], KnownNamespace("default")),
        ([set(), set()], AssumedNamespace("default", is_everything_seen=True)),
        ([set(), None], AssumedNamespace("default", is_everything_seen=False)),
        ([None, None], AssumedNamespace("default", is_everything_seen=False)),
    ],
)
def test_strongest_evidence_decides(
    sightings: list[set[str] | None], expected: ControllerNamespace
) -> None:
    """Deployments count before Leases, and the context only chooses between several of them."""
    assert controller_namespace(sightings, "default") == expected


@pytest.mark.parametrize(
    "found",
    [
        KnownNamespace("a"),
        AmbiguousNamespace(("a", "b")),
        AssumedNamespace("a", is_everything_seen=True),
        AssumedNamespace("a", is_everything_seen=False),
    ],
)
def test_sentence_has_every_name(found: ControllerNamespace) -> None:
    """The sentence names each namespace that comes into question."""
    assert "a" in found.names
    assert all(name in found.sentence for name in found.names)


@given(SIGHTINGS, NAMES)
def test_namespace_is_seen_or_that_of_the_context(
    sightings: list[frozenset[str] | None], context: str
) -> None:
    """No namespace is made up, and one that was seen is never replaced by an assumption."""
    found = controller_namespace(sightings, context)
    seen = frozenset().union(*(each for each in sightings if each))
    assert set(found.names) <= seen | {context}
    assert isinstance(found, AssumedNamespace) == (not seen)
    assert all(name in found.sentence for name in found.names)


@given(SIGHTINGS, NAMES)
def test_weaker_evidence_changes_nothing(
    sightings: list[frozenset[str] | None], context: str
) -> None:
    """Where there is strong evidence, it makes no difference whether weaker one may be read."""
    found = controller_namespace(sightings, context)
    if not isinstance(found, AssumedNamespace):
        assert controller_namespace([*sightings, None], context) == found
        assert controller_namespace([*sightings, {"other"}], context) == found


@pytest.mark.parametrize("is_everything_seen", [True, False])
def test_assumption_names_its_cause_and_the_flag(*, is_everything_seen: bool) -> None:
    """What was not permitted to look for is not said to be missing."""
    sentence = AssumedNamespace("shop", is_everything_seen).sentence
    assert ("no svclink Deployment or Lease was found" in sentence) is is_everything_seen
    assert ("the credentials in use cannot list" in sentence) is not is_everything_seen
    assert "--controller-namespace" in sentence
