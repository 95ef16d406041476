"""Which links may be used, by the clusters they lead to: one fact a test."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import Claim, ClusterLink, LinkReason, refusals
from tests.unit.core.examples import link

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def made(name: str, at: str | None = OLD) -> ClusterLink:
    return evolve(link(name), metadata=evolve(link(name).metadata, creation_timestamp=at))


def test_links_to_different_clusters_are_fine() -> None:
    """Nothing is refused while every link leads to a cluster of its own."""
    assert refusals("main", {"a": Claim(made("a"), "1"), "b": Claim(made("b"), "2")}) == {}


def test_a_link_to_the_main_cluster_is_refused() -> None:
    """A link to the main cluster itself would mirror it into itself."""
    refused = refusals("main", {"a": Claim(made("a"), "main"), "b": Claim(made("b"), "main")})
    assert {name: problem.reason for name, problem in refused.items()} == {
        "a": LinkReason.SELF_LINK,
        "b": LinkReason.SELF_LINK,
    }
    assert LinkReason.SELF_LINK.sentence in refused["a"].message


@pytest.mark.parametrize(
    ("first", "second", "used"),
    [(OLD, NEW, "a"), (NEW, OLD, "b"), (OLD, OLD, "a"), (None, OLD, "a"), (OLD, None, "b")],
)
def test_of_two_links_to_one_cluster_the_older_is_used(first: str | None, second: str | None, used: str) -> None:
    """Of two links to one cluster the older is used, and of those of one second the first by name."""
    refused = refusals("main", {"b": Claim(made("b", second), "1"), "a": Claim(made("a", first), "1")})
    (unused,) = {"a", "b"} - {used}
    assert refused.keys() == {unused}
    assert refused[unused].reason is LinkReason.DUPLICATE_CLUSTER
    assert used in refused[unused].message


def test_all_but_one_of_many_are_refused() -> None:
    """Each of the others names the one that is used."""
    refused = refusals("main", {name: Claim(made(name), "1") for name in ("c", "b", "a")})
    assert refused.keys() == {"b", "c"}
    assert all("ClusterLink a:" in problem.message for problem in refused.values())


def test_while_the_main_cluster_is_not_known_none_is_refused_for_it() -> None:
    """An unknown identity of the main cluster is not equal to anything."""
    assert refusals(None, {"a": Claim(made("a"), "main")}) == {}
