"""Laws L16 to L20, of traffic, as property tests that quote the sentence they check.

Law L18 is in `test_traffic_shares`. Real: the whole core. Substituted: the main API server.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from svclink_core import (
    PENDING,
    SYNCED,
    ClusterTraffic,
    EndpointSlice,
    RemoteCluster,
    Snapshot,
    TrafficPolicy,
    TrafficPolicySpec,
    plan,
    plan_service,
)
from svclink_core.ownership import cluster_of, is_ours, service_of
from svclink_core.snapshot import all_keys
from svclink_core.standby import ready_addresses, without_standby
from svclink_core.traffic import Division, Offer, divide, may_be_used
from svclink_core.traffic_policy_v1alpha1 import TargetReference
from svclink_core.traffic_shares import Obstacle
from svclink_core.traffic_status import traffic_status
from svclink_core.unreachable_policy import ready_families
from svclink_core.well_known import MAIN
from tests.builders.keys import WEB
from tests.unit.core.strategies.snapshots import snapshots
from tests.unit.core.strategies.steered_services import (
    CLUSTERS,
    local_slices,
    steered_services,
    web_clusters,
    web_policies,
    with_losses,
)
from tests.unit.core.world import (
    NOW,
    applied,
    main_slices,
    ours,
    remembered,
    settled,
    with_main,
)

# A large counterexample must not hide behind a warning about its size.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


def without_policies(found: Snapshot) -> Snapshot:
    """The snapshot without policies and drained links."""
    remotes = {
        name: evolve(remote, link=evolve(remote.link, spec=evolve(remote.link.spec, drained=False)))
        for name, remote in found.remotes.items()
    }
    return evolve(found, main=evolve(found.main, traffic_policies={}), remotes=remotes)


def local(found: Snapshot) -> list[EndpointSlice]:
    return [each for each in main_slices(found) if not is_ours(each)]


# L16 neutral: no policy -> exactly the slices of plain mirroring.


@given(steered_services())
def test_l16_neutral(found: Snapshot) -> None:
    """No policy -> exactly the slices of plain mirroring, also where there was one before.

    What a policy left out comes back, because every cluster is synced here.
    """
    plain = without_policies(found)
    enabled = evolve(
        plain,
        remotes={
            name: evolve(
                remote, link=evolve(remote.link, spec=evolve(remote.link.spec, enabled=True))
            )
            for name, remote in plain.remotes.items()
        },
    )
    never = settled(enabled)
    assert plan(enabled, NOW).traffic == ()
    before = with_main(enabled, slices=main_slices(settled(found)))
    assert state(settled(before)) == state(never)


@given(snapshots)
def test_l16_no_standby_remains_without_a_policy(found: Snapshot) -> None:
    """The same for any snapshot: nothing of links that this controller handles is a standby.

    Mirrors whose Service is gone or going stay as they are: it gets no connections.
    """
    after = settled(without_policies(found))
    for each in ours(after):
        remote, service = after.remotes[cluster_of(each) or ""], service_of(each)
        is_handled = remote.link.is_selected and remote.link.spec.enabled
        main = None if service is None else after.main.services.get(service)
        is_served = main is not None and not main.is_being_deleted
        if is_handled and is_served and service not in after.main.undecodable:
            assert each.standby is None


def state(found: Snapshot) -> set[tuple[str, object, object, object]]:
    """What kube-proxy sees, by name."""
    return {
        (each.metadata.name, each.endpoints, each.ports, each.metadata.annotations)
        for each in main_slices(found)
    }


# L17 never dark: where any endpoint that may be used is ready in truth, one is active; with
# `fallback: false` only where all that may be used are gone is there none, and the status says so.


def usable_families(found: Snapshot) -> frozenset[str]:
    """The IP families of which an endpoint may be used and is ready in truth, after a plan.

    A disabled link is left as it is. What a cluster that is away had, and what was left out of its
    mirrors, nothing tells.
    """
    policy = found.main.traffic_policies.get(WEB)
    rules = {} if policy is None else {each.name: each for each in policy.spec.clusters}
    usable = [*local(found)]
    for each in ours(found):
        name = cluster_of(each) or ""
        if not found.remotes[name].link.spec.enabled:
            usable.append(each)
        elif may_be_used(rules.get(name) or ClusterTraffic(name)):
            usable.append(without_standby(each))
    for name, remote in found.remotes.items():
        if is_current(remote) and may_be_used(rules.get(name) or ClusterTraffic(name)):
            usable += remote.endpoint_slices.get(WEB, ())
    return ready_families(usable)


def is_current(remote: RemoteCluster) -> bool:
    return remote.connection == SYNCED and remote.link.spec.enabled


def active_families(found: Snapshot) -> frozenset[str]:
    return ready_families(main_slices(found))


@given(steered_services(), st.data())
def test_l17_never_dark(found: Snapshot, data: DataObject) -> None:
    """Where any endpoint that may be used is ready in truth, one is active.

    That holds after clusters were lost as well, by what their mirrors tell.
    """
    after = settled(found)
    assert active_families(after) == usable_families(after)
    lost = settled(data.draw(with_losses(after)))
    assert active_families(lost) == usable_families(lost)


@given(steered_services())
def test_l17_status_says_so(found: Snapshot) -> None:
    """Where nothing that may be used is ready, the status says so."""
    policy = found.main.traffic_policies.get(WEB)
    if policy is None:
        return
    (traffic,) = plan(found, NOW).traffic
    status = traffic_status(policy, policy, found.main.services[WEB], traffic, "")
    is_dark = not active_families(settled(found))
    assert (status.conditions[1].reason == "NothingReady") is is_dark


@given(steered_services())
def test_l17_status_says_what_is_not_as_the_policy_says(found: Snapshot) -> None:
    """A later tier in use is seen; where no share is missed, each is as near as it can be.

    The message names what should be removed only where the cluster is used.
    """
    policy = found.main.traffic_policies.get(WEB)
    if policy is None or not active_families(settled(found)):
        return
    (traffic,) = plan(found, NOW).traffic
    condition = traffic_status(policy, policy, found.main.services[WEB], traffic, "").conditions[1]
    assert (condition.reason == "FailedOver") is (traffic.last_tier > 0)
    for family in traffic.families:
        for use in family.uses:
            share, others = use.wanted_share, family.active - use.active
            if share is None or use.tier > family.last_tier or not family.active:
                continue
            if condition.status == "True":
                assert (use.active > 0) is (share > 0)
            if use.active == 0 and use.miss is not None:
                assert use.miss in {Obstacle.NOTHING_READY, Obstacle.DRAINED}
                assert others > 0


@given(steered_services(), st.data())
def test_l17_never_dark_between_two_writes(found: Snapshot, data: DataObject) -> None:
    """Nor at any moment while a plan is carried out, or after it was given up half-way.

    A remote cluster may have lost its endpoints between two plans. So only families that are ready
    before and after are compared. Without a policy, changes of content come in the order of names.
    """
    before = settled(found)
    changed = data.draw(after_events(before))
    decided = plan(changed, NOW)
    changes = decided.changes if decided.traffic else ()
    lasting = active_families(before) & active_families(changed)
    lasting &= active_families(applied(changed, changes))
    for number in range(len(changes)):
        assert active_families(applied(changed, changes[:number])) >= lasting


@st.composite
def after_events(draw: st.DrawFn, found: Snapshot) -> Snapshot:
    """The snapshot with some of its facts replaced: policy, clusters, local endpoints."""
    if draw(st.booleans()):
        policies = {WEB: draw(web_policies)}
        found = evolve(found, main=evolve(found.main, traffic_policies=policies))
    remotes = dict(found.remotes)
    for name in draw(st.sets(st.sampled_from(CLUSTERS))):
        remotes[name] = draw(web_clusters(name))
    found = evolve(found, remotes=remotes)
    if draw(st.booleans()):
        found = with_main(found, slices=[*ours(found), *draw(local_slices())])
    return found


# L19 monotone and stable: raising a cluster's share makes none of its endpoints standby; one
# endpoint more or less in any cluster changes the state of at most as many others as the numbers
# k_i change by.


@st.composite
def offers(draw: st.DrawFn) -> list[Offer]:
    """Clusters with and without a share, also of 100 in all, and at least one local endpoint."""
    left, found = 100, []
    for name in CLUSTERS:
        share = draw(st.none() | st.integers(1, 60))
        share = None if share is None or share > left else share
        left -= share or 0
        number = draw(st.integers(0, 12))
        addresses = frozenset(f"{name}-{each}" for each in range(number))
        found.append(Offer(ClusterTraffic(name, share), addresses))
    pods = frozenset(f"local-{each}" for each in range(draw(st.integers(1, 20))))
    return [Offer(ClusterTraffic(MAIN), pods, is_fixed=True), *found]


def divided(some: list[Offer]) -> Division:
    rules = tuple(each.rule for each in some if each.cluster != MAIN)
    spec = TrafficPolicySpec(TargetReference("web"), clusters=rules)
    return divide(WEB, spec, "IPv4", some, (), NOW)


@given(offers(), st.data())
def test_l19_raising_a_share_makes_no_endpoint_a_standby(
    some: list[Offer], data: DataObject
) -> None:
    """Raising a cluster's share makes none of its endpoints standby, nor of another with a share.

    Shares where nothing else is ready are relative: there, another share changes all of them, and
    rounding may take one endpoint.
    """
    left = 100 - sum(each.rule.share or 0 for each in some)
    place = data.draw(st.sampled_from(range(1, len(some))))
    old = some[place]
    if old.rule.share is None or left <= 0:
        return
    raised = evolve(old.rule, share=old.rule.share + data.draw(st.integers(1, left)))
    after = [*some[:place], evolve(old, rule=raised), *some[place + 1 :]]
    assert divided(some).active <= divided(after).active


@given(offers(), st.data())
def test_l19_one_endpoint_moves_few_others(some: list[Offer], data: DataObject) -> None:
    """One endpoint more or less moves at most as many others as the numbers change by.

    In its own cluster it may take the place of one other, or leave it its own.
    """
    place = data.draw(st.sampled_from(range(len(some))))
    old = some[place]
    new = f"{old.cluster}-new"
    before, after = (
        divided(some),
        divided([*some[:place], evolve(old, addresses=old.addresses | {new}), *some[place + 1 :]]),
    )
    for number, each in enumerate(some):
        one, other = before.active & each.addresses, after.active & each.addresses
        difference = abs(used(before)[each.cluster] - used(after)[each.cluster])
        moved = len(one ^ other)
        assert moved == difference if number != place else moved <= difference + 1


def used(division: Division) -> Mapping[str, int]:
    return {each.cluster: each.active for each in division.traffic.uses}


# L20 same facts, same state: two orders of events that end in the same facts (policy status
# included) end in the same active set.


@given(steered_services(), steered_services(), st.data())
def test_l20_same_facts_same_state(facts: Snapshot, other: Snapshot, data: DataObject) -> None:
    """Whatever was mirrored and decided before, the facts and the status decide what is active."""
    history = settled(remembered(settled(other)))
    if data.draw(st.booleans()):
        history = settled(data.draw(after_events(history)))
    others = [each for each in ours(history) if cluster_of(each) in facts.remotes]
    facts = evolve(
        facts,
        remotes={
            name: evolve(
                remote, link=evolve(remote.link, spec=evolve(remote.link.spec, enabled=True))
            )
            for name, remote in facts.remotes.items()
        },
    )
    late = with_main(facts, slices=[*local(facts), *others])
    assert active_addresses(settled(late)) == active_addresses(settled(facts))


@given(steered_services(), st.sets(st.sampled_from(CLUSTERS)))
def test_l20_two_controllers_decide_what_one_would(found: Snapshot, first: set[str]) -> None:
    """Each handles some of the links, and knows of the others only what their mirrors say.

    What the other one leaves out, no mirror says; so here everything is kept as a standby.
    """
    policies = {
        key: evolve(policy, spec=evolve(policy.spec, clusters=with_fallback(policy)))
        for key, policy in found.main.traffic_policies.items()
    }
    found = evolve(found, main=evolve(found.main, traffic_policies=policies))
    parts = (as_seen_by(found, first), as_seen_by(found, {*CLUSTERS} - first))
    slices = main_slices(found)
    for _ in range(6):
        for part in parts:
            slices = main_slices(settled(with_main(part, slices=slices)))
    assert all(plan(with_main(part, slices=slices), NOW).changes == () for part in parts)
    assert active_addresses(with_main(found, slices=slices)) == active_addresses(settled(found))


def with_fallback(policy: TrafficPolicy) -> tuple[ClusterTraffic, ...]:
    return tuple(evolve(each, fallback=True) for each in policy.spec.clusters)


def as_seen_by(found: Snapshot, clusters: set[str]) -> Snapshot:
    """What a controller knows that handles the links of these clusters alone."""
    remotes = {
        name: remote
        if name in clusters
        else RemoteCluster(evolve(remote.link, is_selected=False), PENDING)
        for name, remote in found.remotes.items()
    }
    return evolve(found, remotes=remotes)


def active_addresses(found: Snapshot) -> set[str]:
    return {address for each in main_slices(found) for address in ready_addresses(each)}


@given(snapshots)
def test_l20_writing_the_status_changes_nothing(found: Snapshot) -> None:
    """The status that a plan asks for leads to the same plan, and asks for nothing more (L9)."""
    written = remembered(found)
    for key in all_keys(found):
        assert plan_service(written, key, NOW).changes == plan_service(found, key, NOW).changes
    assert remembered(written, NOW + 1) == written
