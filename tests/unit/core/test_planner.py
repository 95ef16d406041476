"""What a Planner remembers, and what it forgets. That its plans are right is law L14."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import (
    NamespacedName,
    Planner,
    Service,
    Snapshot,
    plan,
    plan_service,
    planner,
)
from svclink_core.diffing import are_equal
from svclink_core.discovery_v1 import EndpointSlice
from tests.builders.keys import WEB
from tests.builders.values import cluster, remote_slice, service, snapshot_of
from tests.unit.core.world import NOW, settled, with_main, with_remote, without_link


def normal_forms(remembering: Planner) -> dict[str, object]:
    """What a Planner remembers of each remote slice. A slice examined again gets a new object."""
    return dict(remembering._memories[WEB].clusters["c1"].normal_forms)


def examined_again(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """The slices whose endpoints were examined one by one in between."""
    return [name for name, form in after.items() if form is not before.get(name)]


def two_slices() -> Snapshot:
    """A Service with two slices in one cluster, of which nothing is mirrored."""
    return snapshot_of(
        cluster("c1", remote_slice("one"), remote_slice("two", "10.0.0.3", "10.0.0.2"))
    )


def test_planning_again_examines_no_endpoint() -> None:
    """If nothing changed, the plan is made without examining any endpoint."""
    found, remembering = settled(two_slices()), Planner()
    first = remembering.plan(found, NOW)
    before = normal_forms(remembering)
    assert before.keys() == {"one", "two"}
    assert remembering.plan(found, NOW) == first == plan(found, NOW)
    assert examined_again(before, normal_forms(remembering)) == []


def test_only_changed_slices_are_examined() -> None:
    """If one slice of a cluster changes, the endpoints of the others are not examined again."""
    found, remembering = two_slices(), Planner()
    remembering.plan(found, NOW)
    before = normal_forms(remembering)
    one, _ = found.remotes["c1"].endpoint_slices[WEB]
    changed = with_remote(found, "c1", slices=[one, remote_slice("two", "10.0.0.4")])
    assert remembering.plan(changed, NOW) == plan(changed, NOW)
    assert examined_again(before, normal_forms(remembering)) == ["two"]


def test_slice_of_another_family_is_examined() -> None:
    """The same endpoints are not canonical in another address family."""
    found, remembering = two_slices(), Planner()
    one, _ = found.remotes["c1"].endpoint_slices[WEB]
    remembering.plan(found, NOW)
    before = normal_forms(remembering)
    changed = with_remote(found, "c1", slices=[evolve(one, address_type="IPv6")])
    assert remembering.plan(changed, NOW) == plan(changed, NOW)
    assert examined_again(before, normal_forms(remembering)) == ["one"]


def test_endpoints_of_a_mirror_are_kept_once() -> None:
    """A normal form that equals the mirror's endpoints is replaced by them."""
    found, remembering = settled(two_slices()), Planner()
    copies = [evolve(each, endpoints=tuple(map(evolve, each.endpoints))) for each in mirrors(found)]
    found = with_main(found, slices=copies)
    remembering.plan(found, NOW)
    memory = remembering._memories[WEB].clusters["c1"]
    normal = {id(form.normal) for form in memory.normal_forms.values()}
    assert normal == {id(each.endpoints) for each in mirrors(found)}


def mirrors(found: Snapshot) -> list[EndpointSlice]:
    return list(found.main.endpoint_slices[WEB])


def test_endpoints_that_differ_are_not_taken_for_equal() -> None:
    """A Planner's comparison has the same result as comparing the endpoints."""
    memory = planner._ClusterMemory()
    one, other = (remote_slice("w", address).endpoints for address in ("10.0.0.1", "10.0.0.2"))
    assert memory.compare(one, other) is are_equal(one, other) is False
    assert memory.compare(one, one) is are_equal(one, one) is True


API = NamespacedName("default", "api")


def test_service_that_is_gone_is_forgotten_when_it_is_planned() -> None:
    """The controller plans a Service when it is deleted."""
    found, remembering = settled(snapshot_of(cluster("c1", remote_slice()))), Planner()
    remembering.plan(found, NOW)
    assert len(remembering._memories) == 1
    remembering.plan_service(with_main(found, services=[]), WEB, NOW)
    assert len(remembering._memories) == 0


def test_services_that_are_gone_are_forgotten_when_everything_is_planned() -> None:
    """No remote cluster has the Service either, so it is not among those planned."""
    remembering = Planner()
    both = snapshot_of(cluster("c1", services=[]), services=[service(), service(API)])
    remembering.plan(both, NOW)
    assert len(remembering._memories) == 2
    remembering.plan(with_main(both, services=[service()]), NOW)
    assert len(remembering._memories) == 1


def test_cluster_without_a_link_is_forgotten() -> None:
    """Nothing of a cluster whose link was deleted is remembered for its Services."""
    remembering = Planner()
    both = settled(snapshot_of(cluster("c1", remote_slice()), cluster("c2", remote_slice())))
    remembering.plan(both, NOW)
    remembering.plan_service(without_link(both, "c2"), WEB, NOW)
    assert set(remembering._memories[WEB].clusters) == {"c1"}


def test_slice_that_is_gone_is_forgotten() -> None:
    """What is remembered of a cluster is what its last plan used."""
    found, remembering = two_slices(), Planner()
    remembering.plan(found, NOW)
    one, _ = found.remotes["c1"].endpoint_slices[WEB]
    remembering.plan(with_remote(found, "c1", slices=[one]), NOW)
    assert set(remembering._memories[WEB].clusters["c1"].normal_forms) == {"one"}


def of_two_clusters(first: EndpointSlice, *second: EndpointSlice, main: Service) -> Snapshot:
    return snapshot_of(cluster("c1", first), cluster("c2", *second), services=[main])


def test_conflicts_come_and_go() -> None:
    """A conflict that appears later is found, and one that ends is no longer reported."""
    main, remembering = service(), Planner()
    first, other = remote_slice("w", "10.0.0.1"), remote_slice("w", "10.0.0.2")
    pairs = [(first, other), (first, other), (first, first), (first, other), (first, first)]
    found = [
        remembering.plan_service(of_two_clusters(*pair, main=main), WEB, NOW).findings
        for pair in pairs
    ]
    assert [len(each) for each in found] == [0, 0, 2, 0, 2]


@pytest.mark.parametrize(("distribution", "count"), [(None, 2), ("PreferClose", 0)])
def test_endpoints_with_hints_are_not_remembered(distribution: str | None, count: int) -> None:
    """They are recreated for every plan, so none of them would be used again."""
    main, remembering = service(traffic_distribution=distribution), Planner()
    first, other = remote_slice("w", "10.0.0.1"), remote_slice("w", "10.0.0.2")
    found = of_two_clusters(first, other, main=main)
    assert remembering.plan_service(found, WEB, NOW) == plan_service(found, WEB, NOW)
    assert len(remembering._memories[WEB].distinct) == count
