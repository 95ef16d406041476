"""The laws of the design, as property tests that quote the sentence they check.

Real: the whole core. Substituted: the main API server, by the one in `api_server`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Final, TypeAlias, TypeVar, assert_never

import pytest
from attrs import evolve
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from svclink_core import (
    PENDING,
    SYNCED,
    UNGUARDED,
    ApiServerCall,
    Change,
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Create,
    CreateNamespace,
    CreateService,
    Delete,
    Endpoint,
    EndpointConditions,
    EndpointSlice,
    Guard,
    LinkFacts,
    NamespacedName,
    ObjectMeta,
    Options,
    Outcome,
    Plan,
    Reason,
    RemoteCluster,
    Service,
    SliceChange,
    Snapshot,
    Synced,
    TrafficPolicy,
    Unreachable,
    Update,
    plan,
    plan_service,
    requests_for,
    summarize,
)
from svclink_core.cidrs import CIDRs, invalid_cidrs, is_endpoint_allowed
from svclink_core.codec import Json, structure, unstructure, unstructure_status
from svclink_core.kept_slices import allowed_parts
from svclink_core.mirror_annotation import owner_choice
from svclink_core.naming import choose_name
from svclink_core.ownership import (
    Leftover,
    Unclear,
    cluster_of,
    is_mirror,
    is_ours,
    owner_of,
    service_of,
)
from svclink_core.snapshot import (
    LONG_AGO,
    NO_CALLS,
    UnreadNamespace,
    all_keys,
    group_by_service,
)
from svclink_core.standby import without_standby
from svclink_core.unreachable_policy import covers, is_expired, ready_families
from svclink_core.well_known import ANNOTATION_MIRROR, LABEL_IMPORTED
from tests.builders.keys import WEB
from tests.unit.core.interpreter import outputs
from tests.unit.core.strategies.endpoint_slices import all_slices
from tests.unit.core.strategies.endpoints import not_mirrored
from tests.unit.core.strategies.links import SELECTOR, allowed_cidrs, connections
from tests.unit.core.strategies.names import (
    EARLIER,
    LATER,
    cluster_names,
    keys,
    source_names,
)
from tests.unit.core.strategies.services import all_services
from tests.unit.core.strategies.snapshots import (
    Happening,
    events,
    settled_snapshots,
    snapshots,
)
from tests.unit.core.strategies.statuses import cluster_links, link_facts, link_statuses
from tests.unit.core.strategies.traffic_policies import any_policies
from tests.unit.core.world import (
    NOW,
    ROUNDS,
    applied,
    collected,
    main_slices,
    ours,
    remembered,
    remote_slices,
    settled,
    with_link,
    with_main,
    with_remote,
    without_history,
    without_link,
)

# A large counterexample must not hide behind a warning about its size.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

TODAY: Final = "2026-07-01T12:00:00Z"

T = TypeVar("T")


# L1 fixpoint: applying plan(s) and planning again gives no changes.


@given(snapshots)
def test_l1_fixpoint(found: Snapshot) -> None:
    """Applying plan(s) and planning again gives no changes."""
    assert plan(settled(found), NOW).changes == ()


@given(snapshots)
def test_l1_fixpoint_one_service_at_a_time(found: Snapshot) -> None:
    """The same holds if each Service is planned after the writes of the previous one."""
    for _ in range(ROUNDS):
        for key in sorted(all_keys(found)):
            found = applied(found, plan_service(found, key, NOW).changes)
    assert plan(found, NOW).changes == ()


@given(snapshots, st.floats(0, 1, exclude_max=True))
def test_l1_a_plan_holds_until_its_deadline(found: Snapshot, part: float) -> None:
    """Without events a plan stays the same until its deadline; then it is made again.

    That a tier begins to recover is an event too: it changes the status of the policy.
    """
    found = remembered(found)
    for key in all_keys(found):
        decided = plan_service(found, key, NOW)
        end = NOW + 1_000 if decided.again_at is None else decided.again_at
        if not any(isinstance(each.connection, Unreachable) for each in found.remotes.values()):
            assert plan_service(found, key, NOW + part * (end - NOW)) == decided
        if decided.again_at is not None:
            assert decided.again_at > NOW
            later = plan_service(found, key, decided.again_at).again_at
            assert later is None or later > decided.again_at


# L2 order: shuffling the inputs, or another PYTHONHASHSEED, changes nothing.


def mixed(items: Iterable[T], random: Random) -> list[T]:
    copy = list(items)
    random.shuffle(copy)
    return copy


def shuffled(found: Snapshot, random: Random) -> Snapshot:
    """The snapshot with all unordered parts in another order; svclink sorts what it writes."""

    def remote_slice(endpoint_slice: EndpointSlice) -> EndpointSlice:
        return evolve(
            endpoint_slice,
            endpoints=tuple(mixed(endpoint_slice.endpoints, random)),
            ports=tuple(mixed(endpoint_slice.ports, random)),
        )

    def service(each: Service) -> Service:
        ports, families = mixed(each.spec.ports, random), mixed(each.spec.ip_families, random)
        return evolve(each, spec=evolve(each.spec, ports=tuple(ports), ip_families=tuple(families)))

    def remote(each: RemoteCluster) -> RemoteCluster:
        services = [service(item) for item in mixed(each.services.values(), random)]
        slices = [
            remote_slice(endpoint_slice) for endpoint_slice in mixed(remote_slices(each), random)
        ]
        return evolve(
            each,
            services={item.metadata.key: item for item in services},
            endpoint_slices=group_by_service(slices),
            undecodable=mixed(each.undecodable, random),
        )

    services = [service(each) for each in mixed(found.main.services.values(), random)]
    return evolve(
        with_main(found, services, mixed(main_slices(found), random)),
        remotes={name: remote(found.remotes[name]) for name in mixed(found.remotes, random)},
    )


@given(snapshots, st.randoms(use_true_random=True))
def test_l2_order(found: Snapshot, random: Random) -> None:
    """Shuffling the inputs changes nothing."""
    assert plan(shuffled(found, random), NOW) == plan(found, NOW)


@given(link_facts, st.randoms(use_true_random=True))
def test_l2_order_of_facts(facts: LinkFacts, random: Random) -> None:
    """Shuffling the facts of a status changes nothing."""
    others = evolve(
        facts,
        findings=mixed(facts.findings, random),
        write_failures=mixed(facts.write_failures, random),
    )
    assert summarize(others, TODAY) == summarize(facts, TODAY)


def digest_of_plans() -> str:
    """A digest of the plans for a fixed series of snapshots."""
    digest = hashlib.sha256()

    @settings(max_examples=60, derandomize=True, database=None, deadline=None)
    @given(snapshots)
    def add(found: Snapshot) -> None:
        digest.update(repr(plan(found, NOW)).encode())

    add()
    return digest.hexdigest()


def test_l2_hash_seed() -> None:
    """Another PYTHONHASHSEED changes nothing."""
    program = "from tests.unit.core.test_laws import digest_of_plans; print(digest_of_plans())"
    digests = outputs(program, "0", "1", "4294967295")
    assert all(re.fullmatch(r"[0-9a-f]{64}\n", digest) for digest in digests)
    assert len(set(digests)) == 1


# L3 isolation: only slices that are ours are touched, and only those of the planned Service.


def slice_changes(decided: Plan) -> list[SliceChange]:
    return [
        each for each in decided.changes if not isinstance(each, CreateNamespace | CreateService)
    ]


@given(snapshots)
def test_l3_isolation(found: Snapshot) -> None:
    """Only slices that are ours are touched, and only those of the planned Service.

    The one exception are leftovers of the Go release of a linked cluster, which are only deleted.
    """
    for key in all_keys(found):
        for change in slice_changes(plan_service(found, key, NOW)):
            old = found.main.names.get(change.key)
            assert (old is None) is isinstance(change, Create)
            assert old is None or service_of(old) == key
            assert old is None or is_ours(old) or may_be_deleted(old, found)
            assert isinstance(change, Delete) or is_ours(change.endpoint_slice)
    others = {
        endpoint_slice for endpoint_slice in main_slices(found) if not is_ours(endpoint_slice)
    }
    after = settled(found)
    remaining = {
        endpoint_slice for endpoint_slice in main_slices(after) if not is_ours(endpoint_slice)
    }
    assert remaining <= others
    assert all(may_be_deleted(endpoint_slice, found) for endpoint_slice in others - remaining)


def may_be_deleted(leftover: EndpointSlice, found: Snapshot) -> bool:
    owner = owner_of(leftover)
    remote = found.remotes.get(owner.cluster) if isinstance(owner, Leftover) else None
    return remote is not None and is_known(remote)


@given(snapshots)
def test_l3_unclear_slices_are_never_touched(found: Snapshot) -> None:
    """A slice that names svclink but no cluster is neither written nor deleted."""
    unclear = [
        endpoint_slice
        for endpoint_slice in main_slices(found)
        if isinstance(owner_of(endpoint_slice), Unclear)
    ]
    assert set(unclear) <= set(main_slices(settled(found)))


@given(snapshots)
def test_l3_services_and_namespaces(found: Snapshot) -> None:
    """Services and Namespaces are only created, only once, and only with the flag."""
    for key in all_keys(found):
        for change in plan_service(found, key, NOW).changes:
            if isinstance(change, CreateService):
                assert found.options.sync_services
                assert change.key == key
                assert key not in found.main.services
            if isinstance(change, CreateNamespace):
                assert change.key.name == key.namespace
                assert change.key.name not in (found.main.namespaces or ())
    for service in settled(found).main.services.values():
        assert (
            service in found.main.services.values()
            or service.metadata.label(LABEL_IMPORTED) == "true"
        )


@given(snapshots)
def test_l3_additions_of_others_stay(found: Snapshot) -> None:
    """Labels, annotations and finalizers that others put on a mirror stay at every update."""
    after = settled(found).main.names
    for endpoint_slice in main_slices(found):
        old = endpoint_slice.metadata
        if old.key in after and after[old.key].metadata.uid == old.uid:
            assert after[old.key].metadata.additions == old.additions


# L4 unknown is not empty: nothing of a pending, unreachable or disabled cluster is deleted.


def is_known(remote: RemoteCluster) -> bool:
    return (
        remote.link.is_selected
        and remote.link.spec.enabled
        and isinstance(remote.connection, Synced)
    )


def without_unknown(remote: RemoteCluster) -> RemoteCluster:
    """The cluster without anything that is not known for certain."""
    if not is_known(remote):
        return RemoteCluster(remote.link, remote.connection, since=remote.since)

    def is_read(key: NamespacedName) -> bool:
        unread = remote.missing_namespaces | remote.unread_namespaces.keys()
        return key.namespace not in unread

    return evolve(
        remote,
        services={key: each for key, each in remote.services.items() if is_read(key)},
        endpoint_slices={key: each for key, each in remote.endpoint_slices.items() if is_read(key)},
        undecodable=[key for key in remote.undecodable if is_read(key)],
    )


FILTERED: Final = {
    Reason.NAMESPACE_KUBE_SYSTEM,
    Reason.SERVICE_KUBERNETES,
    Reason.NAMESPACE_NOT_IN_FLAG,
    Reason.NAMESPACE_NOT_INCLUDED,
    Reason.NAMESPACE_EXCLUDED,
    Reason.SERVICE_EXCLUDED,
    Reason.SERVICE_NAME_EXCLUDED,
}


MEANT: Final = FILTERED | {
    Reason.MIRROR_FALSE,
    Reason.MAIN_SERVICE_MISSING,
    Reason.NOT_OPTED_IN,
    Reason.MAIN_HEADLESS,
    Reason.MAIN_EXTERNAL_NAME,
    Reason.MAIN_DELETING,
    Reason.OUTSIDE_ALLOWED_CIDRS,
    Reason.CALLED_BY_API_SERVER,
}
"""What the operator or main says, and so holds whatever is known of the cluster."""

POLICIES: Final = {Reason.UNREACHABLE_NOT_READY, Reason.UNREACHABLE_REMOVED}
CONDEMNED: Final = {
    Reason.SOURCE_GONE,
    Reason.REMOTE_SERVICE_MISSING,
    Reason.SELECTED_SERVICE_MISSING,
    Reason.REMOTE_EXTERNAL_NAME,
    Reason.REMOTE_HEADLESS,
    Reason.REMOTE_IMPORTED,
    Reason.REMOTE_DELETING,
    Reason.NO_ENDPOINTS,
}


def content(endpoint_slice: EndpointSlice) -> EndpointSlice:
    """The slice without hints, and without metadata other than labels."""
    return evolve(
        endpoint_slice,
        metadata=ObjectMeta("", labels=endpoint_slice.metadata.labels),
        endpoints=tuple(evolve(each, hints=None) for each in endpoint_slice.endpoints),
    )


def readiness(endpoint_slice: EndpointSlice) -> dict[tuple[str, ...], object]:
    """The conditions of each endpoint; those of a ready one are not told apart."""
    return {
        each.addresses: "ready" if each.conditions.ready is not False else each.conditions
        for each in endpoint_slice.endpoints
    }


@given(snapshots)
def test_l4_unknown_is_not_empty(found: Snapshot) -> None:
    """Nothing of a pending, unreachable or disabled cluster is deleted.

    The exceptions are a policy that says so, by `now`, and what the operator or main excludes.

    Slices of disabled and unselected links are not touched; those of the others change only their
    owner and their hints, lose endpoints that are not allowed, and what a policy did to them is
    undone. Where traffic is steered, endpoints that were ready are active, a standby or left out.
    Slices of an undecodable Service are deleted only if the operator or main excludes it.
    """
    decided = plan(found, NOW)
    steered = {each.service for each in decided.traffic}
    for change in slice_changes(decided):
        remote = found.remotes.get(change.cluster or "")
        if remote is None:
            continue
        if isinstance(change, Delete) and service_of(change.endpoint_slice) in remote.undecodable:
            assert change.reason in MEANT | POLICIES | {Reason.NAMESPACE_NOT_SELECTED}
        if is_known(remote):
            assert change.reason not in POLICIES
            continue
        assert remote.link.is_selected
        assert remote.link.spec.enabled
        if isinstance(change, Delete):
            is_policy = change.reason is Reason.UNREACHABLE_REMOVED
            assert is_expired(remote, NOW) if is_policy else change.reason in MEANT
            continue
        assert isinstance(change, Update)
        old = found.main.names[change.key]
        if change.reason is Reason.UNREACHABLE_NOT_READY:
            assert covers(remote, old, NOW)
        elif change.reason is Reason.RESTORED:
            assert old.is_marked_not_ready
        else:
            (allowed,) = allowed_parts([without_standby(old)], remote.allowed_cidrs)
            said = without_standby(change.endpoint_slice)
            if service_of(old) in steered:
                assert readiness(said).items() <= readiness(allowed).items()
            else:
                assert content(said) == content(allowed)


@given(snapshots)
def test_l4_a_policy_leaves_a_ready_endpoint(found: Snapshot) -> None:
    """No policy takes the last ready endpoint of an IP family of a Service, unless forced."""
    for key in all_keys(found):
        decided = plan_service(found, key, NOW)
        after = applied(found, decided.changes)
        slices = after.main.endpoint_slices.get(key, ())
        ready = ready_families(each for each in slices if not is_of_others(each, found))
        # Another controller activates its standby endpoints, once it sees that they are needed.
        ready |= ready_families(
            without_standby(each) for each in slices if is_of_others(each, found)
        )
        for change in slice_changes(decided):
            remote = found.remotes.get(change.cluster or "")
            if change.reason in POLICIES and remote is not None:
                is_forced = remote.link.spec.unreachable.force
                assert is_forced or change.endpoint_slice.address_type in ready


def is_of_others(endpoint_slice: EndpointSlice, found: Snapshot) -> bool:
    """Whether another controller handles a mirror."""
    remote = found.remotes.get(cluster_of(endpoint_slice) or "")
    return is_ours(endpoint_slice) and remote is not None and not remote.link.is_selected


@given(snapshots)
def test_l4_what_waits_is_not_deleted(found: Snapshot) -> None:
    """While a guard is armed, only released slices are deleted at the request of its cluster."""
    for key in all_keys(found):
        for change in slice_changes(plan_service(found, key, NOW)):
            remote = found.remotes.get(change.cluster or "")
            if remote is not None and remote.guard.is_armed and key not in remote.guard.released:
                assert not isinstance(change, Delete) or change.reason not in CONDEMNED


@given(snapshots)
def test_l4_what_is_not_known_is_not_looked_at(found: Snapshot) -> None:
    """The last known objects of a cluster that is not synced make no difference.

    Nor do those of a namespace that cannot be read.
    """
    remotes = found.remotes.items()
    forgotten = evolve(found, remotes={name: without_unknown(remote) for name, remote in remotes})
    for key in all_keys(found):
        assert plan_service(forgotten, key, NOW) == plan_service(found, key, NOW)


# L5 removal: link deleted, Service filtered out, or source gone
# -> after applying, nothing of it remains.


linked_snapshots = settled_snapshots.filter(lambda found: bool(found.remotes))


def understood(found: Snapshot, cluster: str) -> Snapshot:
    """The snapshot with a cluster that is synced, settled, decodable, unfiltered and unguarded.

    The API server of the main cluster calls no Service.
    """
    known = with_link(found, cluster, ClusterLinkSpec(), SYNCED, is_selected=True)
    remote = evolve(
        known.remotes[cluster],
        undecodable=(),
        guard=UNGUARDED,
        since=LONG_AGO,
        changed_at={},
        unread_namespaces={},
    )
    main = evolve(known.main, undecodable=(), api_server_calls=NO_CALLS)
    return evolve(known, remotes={**known.remotes, cluster: remote}, main=main)


@given(linked_snapshots, st.data())
def test_l5_link_deleted(found: Snapshot, data: DataObject) -> None:
    """Link deleted: after applying, nothing of it remains; without links, no mirror remains."""
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    after = settled(without_link(found, cluster))
    assert [
        endpoint_slice for endpoint_slice in ours(after) if cluster_of(endpoint_slice) == cluster
    ] == []
    assert ours(settled(evolve(found, remotes={}))) == []


Filter: TypeAlias = Callable[[ClusterLinkSpec, NamespacedName], ClusterLinkSpec]

EXCLUSIONS: Final[dict[str, Filter]] = {
    "excludedNamespaces": lambda spec, key: evolve(
        spec, excluded_namespaces=(*spec.excluded_namespaces, key.namespace)
    ),
    "excludedServices": lambda spec, key: evolve(
        spec, excluded_services=(*spec.excluded_services, str(key))
    ),
    "excludedServiceNames": lambda spec, key: evolve(
        spec, excluded_service_names=(*spec.excluded_service_names, key.name)
    ),
}


@given(linked_snapshots, st.data())
def test_l5_filtered_out(found: Snapshot, data: DataObject) -> None:
    """Service filtered out: after applying, nothing of it remains."""
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    key = data.draw(st.sampled_from(sorted(all_keys(found)) or [NamespacedName("default", "web")]))
    before = settled(understood(evolve(found, options=Options()), cluster))
    exclude = EXCLUSIONS[data.draw(st.sampled_from(sorted(EXCLUSIONS)))]
    after = settled(with_link(before, cluster, exclude(ClusterLinkSpec(), key)))
    assert [
        endpoint_slice
        for endpoint_slice in ours(after)
        if cluster_of(endpoint_slice) == cluster and service_of(endpoint_slice) == key
    ] == []


def called(found: Snapshot, key: NamespacedName) -> Snapshot:
    """The snapshot in which the main cluster's API server also calls a Service."""
    old = found.main.api_server_calls
    calls = evolve(old, by_service={**old.by_service, key: ApiServerCall("APIService/v1")})
    return evolve(found, main=evolve(found.main, api_server_calls=calls))


@given(linked_snapshots, st.data())
def test_l5_called_by_the_api_server(found: Snapshot, data: DataObject) -> None:
    """Service called by main's API server: after applying, nothing of it remains.

    Its owner does not want it mirrored all the same.
    """
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    key = data.draw(st.sampled_from(sorted(all_keys(found)) or [NamespacedName("default", "web")]))
    before = settled(understood(evolve(found, options=Options()), cluster))
    main = before.main.services.get(key)
    assume(main is None or owner_choice(main) is not True)
    assert [
        endpoint_slice
        for endpoint_slice in ours(collected(settled(called(before, key))))
        if cluster_of(endpoint_slice) == cluster and service_of(endpoint_slice) == key
    ] == []


@given(linked_snapshots, st.data())
def test_l5_not_allowed(found: Snapshot, data: DataObject) -> None:
    """Filtered out: nothing remains of endpoints that a link no longer allows, away or not."""
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    before = settled(understood(evolve(found, options=Options()), cluster))
    allowed = data.draw(allowed_cidrs.filter(lambda cidrs: not invalid_cidrs(cidrs)))
    connection = data.draw(connections)
    spec = ClusterLinkSpec(allowed_cidrs=allowed)
    after = collected(settled(with_link(before, cluster, spec, connection)))
    assert [
        endpoint
        for endpoint_slice in ours(after)
        if cluster_of(endpoint_slice) == cluster
        for endpoint in endpoint_slice.endpoints
        if not is_endpoint_allowed(allowed, endpoint.addresses, endpoint_slice.address_type)
    ] == []


@given(linked_snapshots, st.data())
def test_l5_labels_lost(found: Snapshot, data: DataObject) -> None:
    """A Service or a namespace lost its labels: nothing of it remains, whatever the guard says."""
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    key = data.draw(st.sampled_from(sorted(all_keys(found)) or [WEB]))
    before = settled(understood(evolve(found, options=Options()), cluster))
    selecting = with_link(before, cluster, ClusterLinkSpec(service_selector=SELECTOR))
    remote = evolve(selecting.remotes[cluster], guard=Guard(is_armed=True))
    others = {name: each for name, each in remote.services.items() if name != key}
    sources = any(not is_mirror(each) for each in remote.endpoint_slices.get(key, ()))
    unread = {key.namespace: UnreadNamespace.NOT_SELECTED}
    for changed in (
        evolve(remote, services=others) if sources else evolve(remote, unread_namespaces=unread),
        evolve(remote, unread_namespaces=unread),
    ):
        after = settled(evolve(selecting, remotes={**selecting.remotes, cluster: changed}))
        remaining = [each for each in ours(collected(after)) if service_of(each) == key]
        assert cluster not in {cluster_of(each) for each in remaining}


@given(linked_snapshots, st.data())
def test_l5_owner_says_no(found: Snapshot, data: DataObject) -> None:
    """The owner says "false": nothing of the Service remains, also of clusters that are away.

    The exceptions are links that the operator disabled, and those of other controllers.
    """
    key = data.draw(st.sampled_from(sorted(found.main.services) or [WEB]))
    decodable = evolve(found, main=evolve(found.main, undecodable=()))
    after = collected(settled(annotated(decodable, key, "false")))
    handled = {
        name
        for name, each in after.remotes.items()
        if each.link.is_selected and each.link.spec.enabled
    }
    remaining = [each for each in ours(after) if service_of(each) == key]
    assert key not in found.main.services or not handled & {cluster_of(each) for each in remaining}


def annotated(found: Snapshot, key: NamespacedName, value: str) -> Snapshot:
    """The snapshot with this value of the annotation on a main Service, if it exists."""
    if (old := found.main.services.get(key)) is None:
        return found
    metadata = evolve(old.metadata, annotations=((ANNOTATION_MIRROR, value),))
    return with_main(
        found, services={**found.main.services, key: evolve(old, metadata=metadata)}.values()
    )


@given(linked_snapshots, st.data())
def test_l5_source_gone(found: Snapshot, data: DataObject) -> None:
    """Source gone: after applying and after garbage collection, nothing of it remains."""
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    before = settled(understood(found, cluster))
    remaining = remote_slices(before.remotes[cluster])
    gone = data.draw(st.lists(st.sampled_from(remaining), unique=True)) if remaining else []
    after = collected(
        settled(
            with_remote(
                before,
                cluster,
                slices=[
                    endpoint_slice for endpoint_slice in remaining if endpoint_slice not in gone
                ],
            )
        )
    )
    removed = {
        (service_of(endpoint_slice), endpoint_slice.metadata.name) for endpoint_slice in gone
    }
    assert [
        endpoint_slice
        for endpoint_slice in ours(after)
        if cluster_of(endpoint_slice) == cluster
        and (service_of(endpoint_slice), endpoint_slice.source) in removed
    ] == []


@given(linked_snapshots, st.data())
def test_l5_remote_service_gone(found: Snapshot, data: DataObject) -> None:
    """Source gone: the same if the remote Services themselves are gone."""
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    before = settled(understood(found, cluster))
    after = collected(settled(with_remote(before, cluster, services=[])))
    assert [
        endpoint_slice for endpoint_slice in ours(after) if cluster_of(endpoint_slice) == cluster
    ] == []


@given(linked_snapshots, st.data())
def test_l5_leftovers(found: Snapshot, data: DataObject) -> None:
    """Leftovers of a linked and synced cluster do not stay forever, whatever its filters say."""
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    after = collected(settled(understood(found, cluster)))
    remaining = [
        endpoint_slice
        for endpoint_slice in main_slices(after)
        if is_leftover_of(endpoint_slice, cluster)
    ]
    assert [
        endpoint_slice
        for endpoint_slice in remaining
        if endpoint_slice.metadata.deletion_timestamp is None
    ] == []


def is_leftover_of(endpoint_slice: EndpointSlice, cluster: str) -> bool:
    """Whether a slice is a leftover of this cluster that belongs to a Service."""
    return owner_of(endpoint_slice) == Leftover(cluster) and service_of(endpoint_slice) is not None


@given(snapshots)
def test_l5_leftovers_without_link(found: Snapshot) -> None:
    """Leftovers of a cluster without a link stay."""
    lone = evolve(found, remotes={})
    leftovers = [
        endpoint_slice
        for endpoint_slice in main_slices(found)
        if isinstance(owner_of(endpoint_slice), Leftover)
    ]
    assert set(leftovers) <= set(main_slices(settled(lone)))


# L6 names: valid, bounded, injective over (namespace, service, cluster, source slice, shard);
# never the name of a foreign object.

Identity: TypeAlias = tuple[NamespacedName, str, str]
identities = st.lists(
    st.tuples(keys, cluster_names, st.sampled_from(source_names)),
    min_size=2,
    max_size=6,
    unique=True,
)


@given(identities, st.lists(cluster_names), st.sets(st.tuples(keys, cluster_names)))
def test_l6_names(
    wanted: list[Identity], more_clusters: list[str], foreign: set[tuple[NamespacedName, str]]
) -> None:
    """Names are valid, bounded, injective, and never the name of a foreign object.

    As in a plan, names chosen for other Services are not known.
    """
    clusters = [*more_clusters, *(cluster for _, cluster, _ in wanted)]
    held = {NamespacedName(key.namespace, f"{key.name}-{cluster}") for key, cluster in foreign}
    given_names: dict[NamespacedName, Identity] = {}
    for key, cluster, source in wanted:
        own = {name for name, (other, _, _) in given_names.items() if other == key}

        def is_taken(
            name: str, namespace: str = key.namespace, own: set[NamespacedName] = own
        ) -> bool:
            return NamespacedName(namespace, name) in held | own

        name = choose_name(key, cluster, source, clusters, is_taken)
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name)
        assert NamespacedName(key.namespace, name) not in held | given_names.keys()
        given_names[NamespacedName(key.namespace, name)] = (key, cluster, source)


@given(snapshots)
def test_l6_names_of_a_plan(found: Snapshot) -> None:
    """Slices created by a plan have unique names, which no existing object holds."""
    created = [change.key for change in plan(found, NOW).changes if isinstance(change, Create)]
    assert len(set(created)) == len(created)
    assert not set(created) & found.main.names.keys()
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", key.name) for key in created)


# L7 no missed wake-up: if one event changes plan_service(key), then key is in requests_for(event).


@given(events())
def test_l7_no_missed_wake_up(happening: Happening) -> None:
    """If one event changes plan_service(key), then key is in requests_for(event)."""
    requested = requests_for(happening.event, happening.after)
    for key in all_keys(happening.before) | all_keys(happening.after):
        if said(happening.before, key, happening.after) != said(
            happening.after, key, happening.after
        ):
            assert key in requested


def said(found: Snapshot, key: NamespacedName, after: Snapshot) -> object:
    """The parts of the plan for a Service whose change must wake up its key.

    Decisions about a deleted link are left out, because no status shows them. The hash in a name is
    left out, because a Service with a slice to create is queued already, and any free name will do.
    """
    decided = plan_service(found, key, NOW)
    changes = Counter(unhashed(change) for change in decided.changes)
    return (
        changes,
        [each for each in decided.decisions if each.cluster in after.remotes],
        decided.findings,
    )


def unhashed(change: Change) -> Change:
    if not isinstance(change, Create) or not re.search(r"-[0-9a-f]{10}$", change.key.name):
        return change
    metadata = evolve(change.endpoint_slice.metadata, name="hashed")
    return evolve(change, endpoint_slice=evolve(change.endpoint_slice, metadata=metadata))


# L8 filters are monotone: adding an exclusion never adds a mirrored slice.


def mirrored(found: Snapshot) -> set[tuple[NamespacedName | None, str | None, str | None, str]]:
    """What is mirrored, without names."""
    return {
        (
            service_of(endpoint_slice),
            cluster_of(endpoint_slice),
            endpoint_slice.source,
            endpoint_slice.address_type,
        )
        for endpoint_slice in ours(found)
    }


@given(linked_snapshots, st.data())
def test_l8_filters_are_monotone(found: Snapshot, data: DataObject) -> None:
    """Adding an exclusion never adds a mirrored slice, apart from Services that svclink creates."""
    found = evolve(found, options=evolve(found.options, sync_services=False))
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    key = data.draw(st.sampled_from(sorted(all_keys(found)) or [NamespacedName("default", "web")]))
    exclude = EXCLUSIONS[data.draw(st.sampled_from(sorted(EXCLUSIONS)))]
    narrower = with_link(found, cluster, exclude(found.remotes[cluster].link.spec, key))
    assert mirrored(settled(narrower)) <= mirrored(settled(found)) | mirrored(found)


def mirrored_endpoints(found: Snapshot) -> set[tuple[object, ...]]:
    """The endpoints that are mirrored, by Service and cluster."""
    return {
        (service_of(endpoint_slice), cluster_of(endpoint_slice), endpoint.addresses)
        for endpoint_slice in ours(found)
        for endpoint in endpoint_slice.endpoints
    }


@given(linked_snapshots, allowed_cidrs, st.data())
def test_l8_a_narrower_list_adds_no_endpoint(
    found: Snapshot, cidrs: CIDRs, data: DataObject
) -> None:
    """Restricting the addresses of a link never adds a mirrored endpoint.

    A list that is not valid decides nothing, so removing its invalid entry is no restriction.
    """
    found = evolve(found, options=evolve(found.options, sync_services=False))
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    spec = found.remotes[cluster].link.spec
    dropped = data.draw(st.sampled_from((None, *spec.allowed_cidrs)))
    rest = tuple(each for each in spec.allowed_cidrs if each != dropped or invalid_cidrs([each]))
    narrower = with_link(
        found, cluster, evolve(spec, allowed_cidrs=rest or spec.allowed_cidrs or cidrs)
    )
    assert mirrored_endpoints(settled(narrower)) <= (
        mirrored_endpoints(settled(found)) | mirrored_endpoints(found)
    )


@given(linked_snapshots, st.data())
def test_l8_owners_are_monotone(found: Snapshot, data: DataObject) -> None:
    """The word "false" of an owner, requiring the word "true", and selectors add no mirror."""
    found = evolve(found, options=evolve(found.options, sync_services=False))
    key = data.draw(st.sampled_from(sorted(found.main.services) or [WEB]))
    cluster = data.draw(st.sampled_from(sorted(found.remotes)))
    spec = evolve(found.remotes[cluster].link.spec, opt_in=True)
    remote = found.remotes[cluster]
    unread = {**remote.unread_namespaces, key.namespace: UnreadNamespace.NOT_SELECTED}
    unselected = evolve(remote, unread_namespaces=unread)
    for narrower in (
        annotated(found, key, "false"),
        with_link(found, cluster, spec),
        with_link(found, cluster, evolve(remote.link.spec, service_selector=SELECTOR)),
        evolve(found, remotes={**found.remotes, cluster: unselected}),
        evolve(found, options=evolve(found.options, opt_in=True)),
    ):
        assert mirrored(settled(narrower)) <= mirrored(settled(found)) | mirrored(found)


@given(linked_snapshots, st.data())
def test_l8_calls_are_monotone(found: Snapshot, data: DataObject) -> None:
    """A Service that main's API server calls as well never adds a mirrored slice."""
    found = evolve(found, options=evolve(found.options, sync_services=False))
    key = data.draw(st.sampled_from(sorted(all_keys(found)) or [NamespacedName("default", "web")]))
    after = settled(called(found, key))
    assert mirrored(after) <= mirrored(settled(found)) | mirrored(found)


# L9 quiet: equal content gives no write; a condition's transition time moves only on a transition.


def touched(metadata: ObjectMeta) -> ObjectMeta:
    return evolve(
        metadata,
        resource_version=f"{metadata.resource_version}0",
        generation=metadata.generation + 1,
    )


def spelled_out(endpoint: Endpoint) -> Endpoint:
    """The endpoint with its conditions written out, which means the same to kube-proxy."""
    conditions = endpoint.conditions
    return evolve(
        endpoint,
        conditions=EndpointConditions(
            conditions.ready is not False,
            conditions.serving is not False,
            conditions.terminating is True,
        ),
    )


def written_anew(found: Snapshot, data: DataObject) -> Snapshot:
    """The snapshot after every object was written again without a change that is mirrored."""

    def endpoint(old: Endpoint) -> Endpoint:
        extra = data.draw(not_mirrored)
        return evolve(
            spelled_out(old),
            hints=extra.hints,
            node_name=extra.node_name,
            target_ref=extra.target_ref,
        )

    def remote_slice(endpoint_slice: EndpointSlice) -> EndpointSlice:
        endpoints = tuple(endpoint(old) for old in reversed(endpoint_slice.endpoints))
        return evolve(
            endpoint_slice, metadata=touched(endpoint_slice.metadata), endpoints=endpoints
        )

    def service(old: Service) -> Service:
        return evolve(old, metadata=touched(old.metadata))

    for name, remote in found.remotes.items():
        slices = [remote_slice(endpoint_slice) for endpoint_slice in remote_slices(remote)]
        found = with_remote(found, name, map(service, remote.services.values()), slices)
    slices = [
        evolve(endpoint_slice, metadata=touched(endpoint_slice.metadata))
        for endpoint_slice in main_slices(found)
    ]
    return with_main(found, map(service, found.main.services.values()), slices)


@given(settled_snapshots, st.data())
def test_l9_quiet(found: Snapshot, data: DataObject) -> None:
    """Equal content gives no write."""
    assert plan(written_anew(found, data), NOW).changes == ()


def with_status(facts: LinkFacts, status: ClusterLinkStatus) -> LinkFacts:
    return evolve(facts, link=evolve(facts.link, status=status))


def untimed(status: ClusterLinkStatus) -> ClusterLinkStatus:
    return evolve(
        status,
        last_connected=None,
        conditions=tuple(
            evolve(condition, last_transition_time="") for condition in status.conditions
        ),
    )


@given(link_facts)
def test_l9_quiet_status(facts: LinkFacts) -> None:
    """Equal facts give an equal status at any `now`, apart from transition times."""
    written = summarize(facts, EARLIER)
    assert summarize(with_status(facts, written), LATER) == written
    assert untimed(summarize(facts, LATER)) == untimed(written)


@given(link_facts)
def test_l9_transition_times(facts: LinkFacts) -> None:
    """A condition's transition time moves only on a transition, and then it is `now`."""
    before = {condition.type: condition for condition in facts.link.status.conditions}
    for condition in summarize(facts, TODAY).conditions:
        old = before.get(condition.type)
        moved = old is None or old.status != condition.status
        assert condition.last_transition_time == (
            TODAY if old is None or moved else old.last_transition_time
        )


@given(link_facts)
def test_l9_time_of_the_connection(facts: LinkFacts) -> None:
    """The time of the last connection moves only when the link becomes connected."""
    old, new = facts.link.status, summarize(facts, TODAY)
    is_known = old.connected and old.last_connected is not None
    assert new.last_connected == (TODAY if new.connected and not is_known else old.last_connected)


@given(link_facts, st.sampled_from((EARLIER, LATER)), st.sampled_from((EARLIER, LATER)))
def test_l9_two_controllers_agree(facts: LinkFacts, lost: str, silent: str) -> None:
    """A controller that lost the cluster at another time has nothing to add to the status."""
    written = summarize(facts, TODAY)
    connection = facts.connection
    if isinstance(connection, Unreachable):
        connection = evolve(connection, since=lost)
    is_silent = facts.silent_since is not None
    other = evolve(facts, connection=connection, silent_since=silent if is_silent else None)
    assert summarize(with_status(other, written), LATER) == written


# L10 codec: structure(unstructure(x)) == x; unknown fields are ignored.


def reread(
    content: object, like: Service | EndpointSlice | ClusterLink | TrafficPolicy
) -> Service | EndpointSlice | ClusterLink | TrafficPolicy:
    match like:
        case Service():
            return structure(content, Service)
        case EndpointSlice():
            return structure(content, EndpointSlice)
        case ClusterLink():
            return structure(content, ClusterLink)
        case TrafficPolicy():
            return structure(content, TrafficPolicy)
        case unexpected:
            assert_never(unexpected)


@given(all_services | all_slices | cluster_links | any_policies)
def test_l10_codec(value: Service | EndpointSlice | ClusterLink | TrafficPolicy) -> None:
    """structure(unstructure(x)) == x, over JSON."""
    assert reread(json.loads(json.dumps(unstructure(value))), value) == value


@given(link_statuses)
def test_l10_codec_of_a_status(status: ClusterLinkStatus) -> None:
    """The same for a status alone."""
    content = json.loads(
        json.dumps({"metadata": {"name": "c1"}, "status": unstructure_status(status)})
    )
    assert structure(content, ClusterLink).status == status


def with_unknown_fields(content: Json) -> Json:
    """The content with fields that svclink does not know. The keys of labels are no fields."""
    match content:
        case dict():
            known = {
                key: value if key == "matchLabels" else with_unknown_fields(value)
                for key, value in content.items()
            }
            return {"aFieldOfTheFuture": [{"x": 1}], **known, "another": None}
        case list():
            return [with_unknown_fields(value) for value in content]
        case _:
            return content


@given(all_services | all_slices | cluster_links | any_policies)
def test_l10_unknown_fields(value: Service | EndpointSlice | ClusterLink | TrafficPolicy) -> None:
    """Unknown fields are ignored."""
    assert reread(with_unknown_fields(unstructure(value)), value) == value


# L11 incremental == full: plan() equals the union of plan_service() over all keys.


@given(snapshots, keys)
def test_l11_incremental_is_full(found: Snapshot, other: NamespacedName) -> None:
    """plan() equals the union of plan_service() over all keys; other keys have no changes."""
    plans = [plan_service(found, key, NOW) for key in sorted(all_keys(found))]
    assert plan(found, NOW) == Plan(
        tuple(without_repeated_namespaces(change for each in plans for change in each.changes)),
        tuple(decision for each in plans for decision in each.decisions),
        tuple(finding for each in plans for finding in each.findings),
        min((each.again_at for each in plans if each.again_at is not None), default=None),
        tuple(traffic for each in plans for traffic in each.traffic),
    )
    assert other in all_keys(found) or plan_service(found, other, NOW).changes == ()


def without_repeated_namespaces(changes: Iterable[Change]) -> Iterable[Change]:
    """The changes without the second creation of a Namespace that two Services need."""
    made: set[NamespacedName] = set()
    for change in changes:
        if not isinstance(change, CreateNamespace) or change.key not in made:
            yield change
        made |= {change.key} if isinstance(change, CreateNamespace) else set()


def narrowed(found: Snapshot, key: NamespacedName) -> Snapshot:
    """The snapshot for one Service, as the controller takes it: its objects and all links."""
    main = evolve(
        found.main,
        services={each: service for each, service in found.main.services.items() if each == key},
        endpoint_slices={
            each: slices for each, slices in found.main.endpoint_slices.items() if each == key
        },
    )
    remotes = {
        name: evolve(
            remote,
            services={each: service for each, service in remote.services.items() if each == key},
            endpoint_slices={
                each: slices for each, slices in remote.endpoint_slices.items() if each == key
            },
        )
        for name, remote in found.remotes.items()
    }
    return evolve(found, main=main, remotes=remotes)


@given(snapshots)
def test_l11_one_service_needs_only_its_own(found: Snapshot) -> None:
    """A snapshot narrowed to one Service gives the same plan for it."""
    for key in all_keys(found):
        assert plan_service(narrowed(found, key), key, NOW) == plan_service(found, key, NOW)


@given(snapshots)
def test_l11_every_pair_has_one_decision(found: Snapshot) -> None:
    """A plan has one decision for each Service and cluster, with the right counts."""
    decided = plan(found, NOW)
    pairs = [(decision.service, decision.cluster) for decision in decided.decisions]
    gone = {
        (service_of(endpoint_slice), cluster_of(endpoint_slice) or "")
        for endpoint_slice in main_slices(found)
        if is_ours(endpoint_slice)
    }
    assert pairs == sorted(
        {(key, name) for key in all_keys(found) for name in found.remotes} | gone
    )
    after = Counter(
        (service_of(endpoint_slice), cluster_of(endpoint_slice))
        for endpoint_slice in ours(settled(found))
    )
    for decision in decided.decisions:
        if decision.outcome is Outcome.MIRRORED:
            assert decision.slices == after[decision.service, decision.cluster] > 0


# L12 crash: applying any prefix of a plan's changes and planning again converges to the same state.


def contents(found: Snapshot) -> Counter[EndpointSlice]:
    """All slices with their content, without what depends on history."""
    return Counter(without_history(endpoint_slice) for endpoint_slice in main_slices(found))


@given(snapshots)
def test_l12_crash(found: Snapshot) -> None:
    """Applying any prefix of a plan's changes and planning again converges to the same state."""
    changes = plan(found, NOW).changes
    expected = contents(settled(found))
    for length in range(len(changes)):
        again = settled(applied(found, changes[:length]))
        assert contents(again) == expected
        assert plan(again, NOW).changes == ()


# L15 history does not matter: here, for the Services that svclink creates.


@given(linked_snapshots, st.data())
def test_l15_created_services_do_not_depend_on_who_is_listed_first(
    found: Snapshot, data: DataObject
) -> None:
    """The oldest link that has a Service gives it, whichever clusters are listed first."""
    found = evolve(found, options=Options(sync_services=True))
    for cluster in found.remotes:
        found = understood(found, cluster)
    early = data.draw(st.sets(st.sampled_from(sorted(found.remotes))))
    partly = evolve(
        found,
        remotes={
            name: remote if name in early else evolve(remote, connection=PENDING, since=NOW - 1)
            for name, remote in found.remotes.items()
        },
    )
    later = evolve(settled(partly), remotes=found.remotes)
    assert created(settled(later), found) == created(settled(found), found)


def created(after: Snapshot, before: Snapshot) -> set[Service]:
    """The Services that were created, without uid and version."""
    return {
        evolve(service, metadata=evolve(service.metadata, uid="", resource_version=""))
        for key, service in after.main.services.items()
        if key not in before.main.services
    }
