"""Which of several TrafficPolicies counts, and how they look as JSON."""

from __future__ import annotations

from svclink_core import (
    ClusterTraffic,
    NamespacedName,
    ObjectMeta,
    TrafficPolicy,
    TrafficPolicySpec,
    counting_policies,
)
from svclink_core.codec import structure, unstructure, unstructure_status
from svclink_core.traffic_policy_v1alpha1 import (
    ActiveTier,
    TargetReference,
    TrafficPolicyStatus,
)

WEB = NamespacedName("shop", "web")


def policy(
    name: str, created: str | None, target: str = "web", kind: str = "Service"
) -> TrafficPolicy:
    metadata = ObjectMeta(name, "shop", creation_timestamp=created)
    return TrafficPolicy(metadata, TrafficPolicySpec(TargetReference(target, kind)))


def test_older_of_two_policies_counts() -> None:
    """Of two policies for one Service the older counts, whatever their names and order."""
    older, younger = policy("z", "2026-01-01T00:00:00Z"), policy("a", "2026-01-02T00:00:00Z")
    assert counting_policies([older, younger]) == {WEB: older}
    assert counting_policies([younger, older]) == {WEB: older}


def test_first_by_name_of_two_equally_old_policies_counts() -> None:
    """A creation time has whole seconds, so two policies may have the same one."""
    first, second = policy("a", "2026-01-01T00:00:00Z"), policy("b", "2026-01-01T00:00:00Z")
    assert counting_policies([second, first]) == {WEB: first}


def test_policy_that_is_not_stored_yet_is_the_youngest() -> None:
    """`plan --policy` reads one from a file; it does not overrule one that exists."""
    stored, new = policy("z", "2026-01-01T00:00:00Z"), policy("a", None)
    assert counting_policies([new, stored]) == {WEB: stored}


def test_policies_for_other_objects_do_not_count() -> None:
    """Only a Service can be the target."""
    other = policy("other", None, "api")
    found = counting_policies([policy("web", None, kind="Deployment"), other])
    assert found == {NamespacedName("shop", "api"): other}


def test_policy_as_json() -> None:
    """The fields have the names of the CRD, and defaults fill what is absent."""
    content = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "targetRef": {"name": "web"},
            "minReady": 2,
            "clusters": [
                {"name": "cluster-b", "share": 10},
                {"name": "cluster-c", "tier": 1},
                {"name": "cluster-d", "fallback": False},
            ],
        },
    }
    found = structure(content, TrafficPolicy)
    assert found.service == WEB
    assert (found.spec.min_ready, found.spec.recovery_seconds) == (2, 30)
    assert found.spec.clusters == (
        ClusterTraffic("cluster-b", share=10),
        ClusterTraffic("cluster-c", tier=1),
        ClusterTraffic("cluster-d", fallback=False),
    )
    assert unstructure(found)["kind"] == "TrafficPolicy"


def test_status_as_json() -> None:
    """The tiers in use are remembered in the status; items of lists have no nulls."""
    tier = ActiveTier(1, "IPv4", "2026-01-01T00:00:00Z")
    content = unstructure_status(TrafficPolicyStatus(1, "2026-01-01T00:00:00Z", (tier,)))
    assert content["activeTier"] == 1
    assert content["tiers"] == [{"tier": 1, "ipFamily": "IPv4", "since": tier.since}]
    unset = unstructure_status(TrafficPolicyStatus())
    assert (unset["activeTier"], unset["tiers"]) == (None, [])
