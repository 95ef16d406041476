"""Shares that are only proposed, and the snapshots in which they hold.

Real: the core. Substituted: nothing.
"""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svclink_core.traffic_edits import (
    edited_policy,
    has_to_be_written,
    share_of,
    why_not_set,
    with_drained,
    with_policy,
    with_shares,
)
from svclink_core.traffic_policy_v1alpha1 import ClusterTraffic, TrafficPolicyStatus
from tests.builders.keys import WEB
from tests.builders.values import cluster, snapshot_of, traffic_policy

LINKED = ("c1", "c2")


def test_share_is_changed_and_all_else_stays() -> None:
    """Only the share of the named cluster changes; order, tiers and fallback stay."""
    before = (
        ClusterTraffic("c2", 10, fallback=False),
        ClusterTraffic("c3", tier=2),
        ClusterTraffic("c1"),
    )
    assert with_shares(before, {"c2": 25}) == (evolve(before[0], share=25), *before[1:])


def test_new_cluster_is_added() -> None:
    """A cluster that the policy does not name yet comes last."""
    before = (ClusterTraffic("c1", 10),)
    assert with_shares(before, {"c2": 0}) == (*before, ClusterTraffic("c2", 0))


def test_removed_share_removes_a_rule_that_says_nothing_else() -> None:
    """A rule with a tier or without fallback stays; one that was empty before is not touched."""
    before = (
        ClusterTraffic("c1", 10),
        ClusterTraffic("c2", 10, fallback=False),
        ClusterTraffic("c3"),
    )
    assert with_shares(before, {"c1": None, "c2": None}) == (
        ClusterTraffic("c2", fallback=False),
        ClusterTraffic("c3"),
    )
    assert with_shares((), {"c1": None}) == ()


@given(
    st.lists(
        st.builds(ClusterTraffic, st.sampled_from("abcd"), st.none() | st.integers(0, 100)),
        unique_by=lambda each: each.name,
    ).map(tuple),
    st.dictionaries(st.sampled_from("abcd"), st.none() | st.integers(0, 100)),
)
def test_shares_are_as_asked_and_going_back_is_exact(
    clusters: tuple[ClusterTraffic, ...], shares: dict[str, int | None]
) -> None:
    """Afterwards each cluster has the share asked for; the shares before can be set again."""
    policy = traffic_policy(*clusters)
    edited = edited_policy(policy, WEB, shares)
    for name in "abcd":
        wanted = shares[name] if name in shares else share_of(policy, name)
        assert share_of(edited, name) == wanted
    back = edited_policy(edited, WEB, {name: share_of(policy, name) for name in shares})
    for name in "abcd":
        assert share_of(back, name) == share_of(policy, name)


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"c9": 10}, "there is no ClusterLink c9: use one of c1, c2"),
        ({"c1": 60, "c2": 50}, "spec.clusters: the shares add up to 110 (c1=60, c2=50)"),
        ({"c2": 95}, "add up to 105 (c1=10, c2=95)"),
    ],
)
def test_impossible_shares_are_refused_with_the_field(
    shares: dict[str, int | None], words: str
) -> None:
    """The sentence names the field and the fix."""
    refusal = why_not_set(traffic_policy(ClusterTraffic("c1", 10)), shares, LINKED)
    assert refusal is not None
    assert words in refusal


def test_cluster_of_a_later_tier_gets_no_share() -> None:
    """A share and a tier exclude each other; a removed share is fine."""
    policy = traffic_policy(ClusterTraffic("c1", tier=1))
    refusal = why_not_set(policy, {"c1": 10}, LINKED)
    assert refusal is not None
    assert refusal.startswith("spec.clusters[0]: c1 has tier 1")
    assert why_not_set(policy, {"c1": None}, LINKED) is None


def test_possible_shares_are_not_refused() -> None:
    """Shares of 100 together are possible, and so is removing the share of a link that is gone."""
    policy = traffic_policy(ClusterTraffic("c1", 40))
    assert why_not_set(policy, {"c2": 60}, LINKED) is None
    assert why_not_set(policy, {"c1": 0, "c9": None}, LINKED) is None
    assert why_not_set(None, {"c1": 100}, LINKED) is None


def test_no_share_without_links() -> None:
    """Without any ClusterLink the fix is to create one."""
    refusal = why_not_set(None, {"c1": 1}, ())
    assert refusal == "there is no ClusterLink c1: create the ClusterLink first"


def test_new_policy_has_the_name_of_its_service() -> None:
    """A policy that does not exist yet is for the Service, and has nothing but the shares."""
    policy = edited_policy(None, WEB, {"c1": 10})
    assert (policy.metadata.key, policy.service) == (WEB, WEB)
    assert policy.spec.clusters == (ClusterTraffic("c1", 10),)
    assert share_of(None, "c1") is None


def test_policy_is_written_if_it_changes_something() -> None:
    """A policy that says nothing is not created; one that exists is written without rules, too."""
    policy = traffic_policy(ClusterTraffic("c1", 10))
    assert not has_to_be_written(None, edited_policy(None, WEB, {"c1": None}))
    assert has_to_be_written(None, edited_policy(None, WEB, {"c1": 0}))
    assert has_to_be_written(policy, edited_policy(policy, WEB, {"c1": None}))
    assert not has_to_be_written(policy, edited_policy(policy, WEB, {"c1": 10}))


def test_proposed_policy_replaces_the_one_of_its_name() -> None:
    """What the API server and svclink wrote stays: age, uid and status."""
    stored = traffic_policy(
        created="2026-01-01T00:00:00Z", status=TrafficPolicyStatus(active_tier=1)
    )
    found = with_policy(snapshot_of(cluster("c1")), stored)
    proposed = edited_policy(None, WEB, {"c1": 10})
    (policy,) = with_policy(found, proposed).main.traffic_policies.values()
    assert policy == evolve(stored, spec=proposed.spec)


def test_proposed_policy_of_another_name_does_not_count() -> None:
    """Of two policies for a Service the older counts, and a proposed one has no age."""
    stored = traffic_policy(name="old", created="2026-01-01T00:00:00Z")
    found = with_policy(snapshot_of(cluster("c1")), stored)
    assert with_policy(found, traffic_policy(name="new")) == found


def test_link_is_drained_only_in_the_proposal() -> None:
    """Only the named link is drained."""
    found = snapshot_of(cluster("c1"), cluster("c2"))
    drained = with_drained(found, "c1").remotes
    assert {name: each.link.spec.drained for name, each in drained.items()} == {
        "c1": True,
        "c2": False,
    }
