"""Which links may be used, by the cluster that each one reaches, one fact in each test."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import (
    Claim,
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    LinkReason,
    ObjectMeta,
    refusals,
)
from svclink_core.link_identity import (
    duplicate_name,
    known_cluster,
    oldest_of_same_name,
    why_changed,
)
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.builders.values import link

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def made(name: str, at: str | None = OLD) -> ClusterLink:
    return evolve(link(name), metadata=evolve(link(name).metadata, creation_timestamp=at))


def test_links_to_different_clusters_are_accepted() -> None:
    """No link is refused while every link reaches a different cluster."""
    assert refusals("main", {"a": Claim(made("a"), "1"), "b": Claim(made("b"), "2")}) == {}


def test_a_link_to_the_main_cluster_is_refused() -> None:
    """A link to the main cluster would mirror the cluster into itself."""
    refused = refusals("main", {"a": Claim(made("a"), "main"), "b": Claim(made("b"), "main")})
    assert {name: problem.reason for name, problem in refused.items()} == {
        "a": LinkReason.SELF_LINK,
        "b": LinkReason.SELF_LINK,
    }
    message = f"the kubeconfig points to the main cluster itself: {LinkReason.SELF_LINK.sentence}"
    assert refused["a"].message == message


@pytest.mark.parametrize(
    ("first", "second", "used"),
    [(OLD, NEW, "a"), (NEW, OLD, "b"), (OLD, OLD, "a"), (None, OLD, "a"), (OLD, None, "b")],
)
def test_older_of_two_links_to_one_cluster_is_used(
    first: str | None, second: str | None, used: str
) -> None:
    """Of two links to one cluster the older is used; at the same age, the first by name."""
    refused = refusals(
        "main", {"b": Claim(made("b", second), "1"), "a": Claim(made("a", first), "1")}
    )
    (unused,) = {"a", "b"} - {used}
    assert refused.keys() == {unused}
    assert refused[unused].reason is LinkReason.DUPLICATE_CLUSTER
    assert used in refused[unused].message


def test_all_but_one_of_many_are_refused() -> None:
    """Every refusal names the link that is used."""
    refused = refusals("main", {name: Claim(made(name), "1") for name in ("c", "b", "a")})
    assert refused.keys() == {"b", "c"}
    assert all("ClusterLink a:" in problem.message for problem in refused.values())


def test_unknown_main_cluster_refuses_no_link() -> None:
    """An unknown identity of the main cluster equals no other identity."""
    assert refusals(None, {"a": Claim(made("a"), "main")}) == {}


PINNED = ClusterLink(ObjectMeta("a", generation=2), ClusterLinkSpec(cluster_id="1"))
FREE = ClusterLink(
    ObjectMeta("a", generation=2), status=ClusterLinkStatus(cluster_id="1", observed_generation=2)
)


@pytest.mark.parametrize(
    ("link", "known", "cluster", "is_held"),
    [
        (FREE, "1", "1", False),
        (FREE, "1", "2", True),
        (FREE, None, "2", False),
        (PINNED, None, "1", False),
        (PINNED, None, "2", True),
        (PINNED, "2", "1", False),
        (PINNED, "2", "2", True),
    ],
)
def test_another_cluster_in_place_of_the_known_one(
    link: ClusterLink, known: str | None, cluster: str, is_held: bool
) -> None:
    """A link is refused if it reaches another cluster than before or than its pinned clusterID."""
    problem = why_changed(link, known, cluster)
    assert (problem is not None) is is_held
    assert problem is None or problem.reason is LinkReason.CLUSTER_CHANGED


@pytest.mark.parametrize(
    ("link", "known"),
    [
        (FREE, "1"),
        (evolve(FREE, metadata=evolve(FREE.metadata, generation=3)), None),
        (evolve(FREE, spec=ClusterLinkSpec(kubeconfig_secret_ref=SecretKeyReference("s"))), "1"),
    ],
)
def test_status_gives_the_cluster_after_a_restart(link: ClusterLink, known: str | None) -> None:
    """The status gives the cluster, also if the kubeconfig is in a Secret, unless it was edited."""
    assert known_cluster(link) == known


def test_oldest_of_links_with_one_name_is_used() -> None:
    """Of links with one name the oldest counts; an undecodable one has no age and comes last."""
    old, new, unread = (
        evolve(made("a", at), metadata=evolve(made("a", at).metadata, namespace=where))
        for at, where in ((OLD, "y"), (NEW, "x"), (None, "w"))
    )
    twin = evolve(old, metadata=evolve(old.metadata, namespace="z"))
    assert (
        oldest_of_same_name([unread, new, twin, old])
        == oldest_of_same_name([old, twin, new, unread])
        == old
    )
    assert oldest_of_same_name([unread, new]) == new


def test_a_duplicate_name_says_which_link_counts() -> None:
    """The message names the other link and how to fix it."""
    problem = duplicate_name(
        evolve(made("a"), metadata=evolve(made("a").metadata, namespace="ops"))
    )
    assert problem.reason is LinkReason.DUPLICATE_NAME
    assert "ops/a" in problem.message
    assert LinkReason.DUPLICATE_NAME.sentence in problem.message


def test_link_that_leads_elsewhere_is_refused_and_leaves_the_cluster_to_others() -> None:
    """An older link that reaches another cluster by mistake does not claim it."""
    strayed = Claim(made("a", OLD), "1", known_id="2")
    refused = refusals("main", {"a": strayed, "b": Claim(made("b", NEW), "1", known_id="1")})
    assert {name: problem.reason for name, problem in refused.items()} == {
        "a": LinkReason.CLUSTER_CHANGED
    }


def test_link_that_leads_to_the_cluster_of_an_older_link_is_a_duplicate() -> None:
    """This holds even if the link reached another cluster before."""
    strayed = Claim(made("a", NEW), "1", known_id="2")
    refused = refusals("main", {"a": strayed, "b": Claim(made("b", OLD), "1")})
    assert refused["a"].reason is LinkReason.DUPLICATE_CLUSTER
