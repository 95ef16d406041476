"""The TrafficPolicies of main: one counts for each Service, and a decision counts at once."""

from __future__ import annotations

from typing import Final

import pytest
from attrs import evolve

from svclink_controller.state.main.traffic_policies import TrafficPolicies
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core import (
    ClusterTraffic,
    EndpointSlice,
    Event,
    NamespacedName,
    TrafficPolicy,
    TrafficPolicyStatus,
    requests_for,
)
from svclink_core.snapshot import Snapshot
from svclink_core.traffic_policy_v1alpha1 import ActiveTier
from tests.builders.keys import WEB
from tests.builders.values import traffic_policy
from tests.unit.controller.state.stores import API, world

SHARE: Final = ClusterTraffic("c1", share=10)
TIERS: Final = (ActiveTier(1, "IPv4", "2026-01-01T00:00:00Z"),)
FAILED_OVER: Final = TrafficPolicyStatus(tiers=TIERS)


class World:
    """Policies, and the Services that they said have to be planned again."""

    def __init__(self) -> None:
        self.policies = TrafficPolicies(self._changed)
        self.enqueued: list[NamespacedName] = []

    def _changed(self, event: Event) -> None:
        self.enqueued += sorted(requests_for(event, Snapshot()))

    def counting(self, service: NamespacedName = WEB) -> TrafficPolicy | None:
        return self.policies.counting().get(service)

    def news(self) -> list[NamespacedName]:
        """The Services to plan again since the last call."""
        news, self.enqueued = self.enqueued, []
        return news


def stored(policy: TrafficPolicy, version: str) -> TrafficPolicy:
    """A policy in a version of the API server."""
    return evolve(policy, metadata=evolve(policy.metadata, resource_version=version))


def broken(name: str = "web", service: NamespacedName = WEB) -> Undecodable:
    return Undecodable(NamespacedName(service.namespace, name), service, "share must be a number")


@pytest.fixture
def made() -> World:
    return World()


def test_policy_counts_for_its_service_until_it_is_removed(made: World) -> None:
    """A policy is planned with once it is known, and its removal is planned."""
    policy = traffic_policy(SHARE)
    made.policies.put(policy)
    assert (made.counting(), made.news()) == (policy, [WEB])
    made.policies.remove(policy.metadata.key)
    assert (made.counting(), made.news()) == (None, [WEB])
    assert made.policies.get(policy.metadata.key) is None
    made.policies.remove(policy.metadata.key)
    assert made.news() == []


def test_older_of_two_policies_counts(made: World) -> None:
    """A second policy for a Service changes nothing until the first one is gone."""
    first = traffic_policy(SHARE, name="z", created="2026-01-01T00:00:00Z")
    second = traffic_policy(name="a", created="2026-01-02T00:00:00Z")
    made.policies.put(second)
    made.policies.put(first)
    assert made.counting() is first
    assert set(made.policies.of_service(WEB)) == {first, second}
    made.news()
    third = traffic_policy(name="b", created="2026-01-03T00:00:00Z")
    made.policies.put(third)
    # Its status has to say that another one counts.
    assert (made.counting(), made.news()) == (first, [WEB])
    made.policies.remove(first.metadata.key)
    assert (made.counting(), made.news()) == (second, [WEB])


def test_policy_that_changes_its_target_concerns_both_services(made: World) -> None:
    """The Service that a policy is no longer for is planned again, too."""
    policy = traffic_policy(SHARE)
    made.policies.put(policy)
    made.news()
    other = evolve(
        policy, spec=evolve(policy.spec, target_ref=evolve(policy.spec.target_ref, name="api"))
    )
    made.policies.put(other)
    assert sorted(made.news()) == [API, WEB]
    assert (made.counting(WEB), made.counting(API)) == (None, other)
    assert list(made.policies.of_service(WEB)) == []


def test_list_removes_policies_that_are_not_in_it(made: World) -> None:
    """A policy that is missing in a complete list no longer exists, undecodable or not."""
    made.policies.put(traffic_policy(SHARE))
    made.policies.mark_undecodable(broken("api", API))
    kept = traffic_policy(key="shop/cart")
    made.news()
    made.policies.replace(Listing([kept], [], "1"))
    assert sorted(made.news()) == [API, WEB, kept.service]
    assert list(made.policies.keys()) == [kept.metadata.key]
    assert made.policies.undecodable() == frozenset()


def test_older_state_is_ignored_except_in_a_list(made: World) -> None:
    """A watch lags behind the responses to status writes; a list is always right."""
    old, new = (stored(traffic_policy(SHARE), version) for version in ("3", "4"))
    made.policies.put(new)
    made.policies.put(old)
    assert made.policies.get(new.metadata.key) is new
    made.policies.replace(Listing([old], [], "3"))
    assert made.policies.get(new.metadata.key) is old


def test_undecodable_policy_leaves_its_service_as_it_is(made: World) -> None:
    """Its Service is marked until the policy is decoded again, or removed."""
    policy = traffic_policy(SHARE)
    made.policies.put(policy)
    made.news()
    made.policies.mark_undecodable(broken(service=API))
    # The last decoded state says which Service it is about.
    assert (set(made.policies.undecodable()), made.news()) == ({WEB}, [WEB])
    made.policies.mark_undecodable(broken(service=API))
    assert made.news() == []
    made.policies.put(policy)
    assert (made.policies.undecodable(), made.news()) == (frozenset(), [WEB])
    made.policies.mark_undecodable(broken("api", API))
    assert made.policies.undecodable() == {API}
    made.policies.remove(NamespacedName("default", "api"))
    assert made.policies.undecodable() == frozenset()


def test_store_leaves_the_service_of_an_undecodable_policy_as_it_is() -> None:
    """Plans see the Service among those with something that could not be decoded."""
    made = world()
    made.store.main.traffic_policies.mark_undecodable(broken(service=API))
    made.store.mark_undecodable("", EndpointSlice, Undecodable(WEB, WEB, "field missing"))
    assert set(made.store.snapshot().main.undecodable) == {API, WEB}


# The status


def test_status_alone_changes_no_plan(made: World) -> None:
    """Plans compare policies by identity: conditions and numbers do not make another one."""
    policy = traffic_policy(SHARE)
    made.policies.put(stored(policy, "1"))
    counting = made.counting()
    made.news()
    reported = evolve(stored(policy, "2"), status=TrafficPolicyStatus(observed_generation=1))
    made.policies.put(reported)
    assert made.counting() is counting
    assert made.policies.get(policy.metadata.key) is reported
    assert made.news() == []


def test_tier_in_the_status_changes_plans(made: World) -> None:
    """The active tier is what a leader before decided."""
    policy = traffic_policy(SHARE)
    made.policies.put(stored(policy, "1"))
    made.news()
    made.policies.put(evolve(stored(policy, "2"), status=FAILED_OVER))
    assert made.news() == [WEB]


def test_decision_counts_before_the_api_server_has_it(made: World) -> None:
    """The leader's last decision counts, whatever the watch says, until it stops leading."""
    policy = stored(traffic_policy(SHARE), "1")
    made.policies.put(policy)
    made.news()
    made.policies.decide(policy, TIERS)
    assert made.news() == [WEB]
    edited = evolve(stored(policy, "2"), spec=evolve(policy.spec, min_ready=2))
    made.policies.put(edited)
    assert made.counting() == evolve(edited, status=FAILED_OVER)
    assert made.policies.get(policy.metadata.key) is edited
    made.policies.forget_decisions()
    assert made.counting() is edited


def test_decision_about_a_removed_policy_is_void(made: World) -> None:
    """A policy that was deleted and created again has no history."""
    policy = traffic_policy(SHARE)
    made.policies.decide(policy, TIERS)
    assert made.counting() is None
    made.policies.put(policy)
    made.policies.decide(policy, TIERS)
    successor = evolve(policy, metadata=evolve(policy.metadata, uid="another"))
    made.policies.put(successor)
    assert made.counting() is successor
    made.policies.decide(policy, TIERS)
    assert made.counting() is successor
