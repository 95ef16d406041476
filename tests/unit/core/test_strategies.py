"""The strategies draw what they promise: every edge case, and only what can exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, TypeAlias, TypeVar, assert_never

import pytest
from attrs import evolve
from hypothesis import Phase, find, given, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from svclink_core import (
    ApiServerCallsChanged,
    ClusterChanged,
    Endpoint,
    EndpointSlice,
    EndpointSliceChanged,
    GuardChanged,
    NamespaceChanged,
    Pending,
    Plan,
    Reason,
    RemoteCluster,
    RemoteNamespaceChanged,
    Service,
    ServiceChanged,
    Snapshot,
    Synced,
    TrafficPolicyChanged,
    Unreachable,
    UnreachablePolicy,
    plan,
)
from svclink_core.cidrs import parse_cidr
from svclink_core.deletion_guard import Guard
from svclink_core.label_selector import parse_selector
from svclink_core.ownership import Leftover, Unclear, cluster_of, is_ours, owner_of, service_of
from svclink_core.remote_consistency import is_consistent
from svclink_core.snapshot import all_keys
from svclink_core.well_known import (
    ANNOTATION_SHARD,
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_HEADLESS,
    LABEL_IMPORTED,
    LABEL_SERVICE_NAME,
)
from tests.unit.core.interpreter import outputs
from tests.unit.core.strategies.endpoints import (
    IPV4_LEGACY,
    IPV4_REFUSED,
    IPV6_LEGACY,
    IPV6_REFUSED,
)
from tests.unit.core.strategies.links import HELD
from tests.unit.core.strategies.names import IMPOSSIBLE_NAMES
from tests.unit.core.strategies.snapshots import Happening, events, snapshots
from tests.unit.core.validation import problems
from tests.unit.core.world import NOW, main_slices, ours, remote_slices, settled, with_link

pytestmark = [
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
    pytest.mark.no_cover,
]

EXAMPLES: Final = 300
SEARCH: Final = settings(
    max_examples=5_000, derandomize=True, database=None, deadline=None, phases=[Phase.generate]
)

Case: TypeAlias = Callable[[Snapshot], bool]


def anywhere(found: Snapshot) -> list[EndpointSlice]:
    return [
        endpoint_slice
        for remote in found.remotes.values()
        for endpoint_slice in remote_slices(remote)
    ]


def services(found: Snapshot) -> list[Service]:
    return [
        *found.main.services.values(),
        *(each for remote in found.remotes.values() for each in remote.services.values()),
    ]


def endpoints(found: Snapshot) -> list[Endpoint]:
    return [endpoint for endpoint_slice in anywhere(found) for endpoint in endpoint_slice.endpoints]


def addresses(found: Snapshot, address_type: str) -> set[str]:
    slices = [
        endpoint_slice
        for endpoint_slice in anywhere(found)
        if endpoint_slice.address_type == address_type
    ]
    return {
        address
        for endpoint_slice in slices
        for endpoint in endpoint_slice.endpoints
        for address in endpoint.addresses
    }


def links(found: Snapshot) -> Iterable[RemoteCluster]:
    return found.remotes.values()


def labelled(found: Snapshot, label: str) -> list[EndpointSlice]:
    return [
        endpoint_slice
        for endpoint_slice in main_slices(found)
        if endpoint_slice.metadata.label(label) is not None
    ]


def readable_names(found: Snapshot) -> Iterator[tuple[str, str]]:
    """Readable names, with the cluster of each."""
    for key in found.main.services:
        for cluster in found.remotes:
            yield f"{key.name}-{cluster}", cluster


def repeats(endpoints: Iterable[Endpoint]) -> bool:
    counted = Counter(endpoint.addresses[0] for endpoint in endpoints)
    return any(count > 1 for count in counted.values())


SNAPSHOTS: Final[dict[str, Case]] = {
    "63-character Service": lambda found: any(len(key.name) == 63 for key in found.main.services),
    "63-character namespace": lambda found: any(
        len(key.namespace) == 63 for key in found.main.services
    ),
    "63-character cluster": lambda found: any(len(name) == 63 for name in found.remotes),
    "readable name of exactly 63 characters": lambda found: any(
        len(name) == 63 for name, _ in readable_names(found)
    ),
    "readable name of 64 characters or more": lambda found: any(
        len(name) > 63 for name, _ in readable_names(found)
    ),
    "a-b + c against a + b-c": lambda found: (
        len({name for name, _ in readable_names(found)}) < len(list(readable_names(found)))
    ),
    "kube-system": lambda found: any(key.namespace == "kube-system" for key in found.main.services),
    "Service kubernetes": lambda found: any(
        key.name == "kubernetes" for key in found.main.services
    ),
    "nil port": lambda found: any(
        port.port is None for endpoint_slice in anywhere(found) for port in endpoint_slice.ports
    ),
    "unusable port": lambda found: any(
        port.port in (0, -1, 65_536)
        for endpoint_slice in anywhere(found)
        for port in endpoint_slice.ports
    ),
    "unnamed port": lambda found: any(
        port.name == "" for endpoint_slice in anywhere(found) for port in endpoint_slice.ports
    ),
    "appProtocol the API refuses": lambda found: any(
        port.app_protocol == "not a name"
        for endpoint_slice in anywhere(found)
        for port in endpoint_slice.ports
    ),
    "appProtocol that is too long": lambda found: any(
        len(port.app_protocol or "") > 253
        for endpoint_slice in anywhere(found)
        for port in endpoint_slice.ports
    ),
    "two ports of one name": lambda found: any(
        len({port.name for port in endpoint_slice.ports}) < len(endpoint_slice.ports)
        for endpoint_slice in anywhere(found)
    ),
    "over 100 addresses": lambda found: any(len(each.addresses) > 100 for each in endpoints(found)),
    "zone that no Node can have": lambda found: any(
        each.zone == "zone b" for each in endpoints(found)
    ),
    "impossible name of a slice": lambda found: any(
        endpoint_slice.metadata.name in IMPOSSIBLE_NAMES for endpoint_slice in anywhere(found)
    ),
    "shard": lambda found: any(
        endpoint_slice.metadata.annotation(ANNOTATION_SHARD) for endpoint_slice in ours(found)
    ),
    "shard as written before": lambda found: any(
        "/" in (endpoint_slice.metadata.annotation(ANNOTATION_SOURCE_SLICE) or "")
        for endpoint_slice in ours(found)
    ),
    "mirror with additions of others": lambda found: any(
        endpoint_slice.metadata.additions for endpoint_slice in ours(found)
    ),
    "remote Service that just changed": lambda found: any(
        NOW in remote.changed_at.values() for remote in links(found)
    ),
    "cluster that was just listed": lambda found: any(
        remote.since == NOW - 1 and isinstance(remote.connection, Synced) for remote in links(found)
    ),
    "slice of an earlier Service": lambda found: any(
        not is_consistent(remote.services.get(key), slices)
        for remote in links(found)
        for key, slices in remote.endpoint_slices.items()
    ),
    "dual stack": lambda found: any(
        len(each.spec.ip_families) == 2 for each in found.main.services.values()
    ),
    "IPv6 only": lambda found: any(
        each.spec.ip_families == ("IPv6",) for each in found.main.services.values()
    ),
    "IPv6 slice": lambda found: any(
        endpoint_slice.address_type == "IPv6" for endpoint_slice in anywhere(found)
    ),
    "FQDN slice": lambda found: any(
        endpoint_slice.address_type == "FQDN" for endpoint_slice in anywhere(found)
    ),
    "slice without endpoints": lambda found: any(
        not endpoint_slice.endpoints for endpoint_slice in anywhere(found)
    ),
    "slice without ports": lambda found: any(
        not endpoint_slice.ports for endpoint_slice in anywhere(found)
    ),
    "unlabelled slice": lambda found: any(
        endpoint_slice.metadata.label(LABEL_SERVICE_NAME) is None
        for endpoint_slice in main_slices(found)
    ),
    "loop": lambda found: any(
        endpoint_slice.metadata.label(LABEL_CLUSTER) is not None
        for endpoint_slice in anywhere(found)
    ),
    "terminating endpoint": lambda found: any(
        each.conditions.terminating for each in endpoints(found)
    ),
    "endpoint that is not ready": lambda found: any(
        each.conditions.ready is False for each in endpoints(found)
    ),
    "conditions unset": lambda found: any(
        each.conditions.ready is None for each in endpoints(found)
    ),
    "several addresses": lambda found: any(len(each.addresses) > 1 for each in endpoints(found)),
    "endpoints of one address": lambda found: any(
        repeats(endpoint_slice.endpoints) for endpoint_slice in anywhere(found)
    ),
    "address in two slices": lambda found: repeats(endpoints(found)),
    "nodeName and Pod": lambda found: any(
        each.node_name and each.target_ref for each in endpoints(found)
    ),
    "legacy IPv4": lambda found: bool(addresses(found, "IPv4") & set(IPV4_LEGACY)),
    "refused IPv4": lambda found: bool(addresses(found, "IPv4") & set(IPV4_REFUSED)),
    "legacy IPv6": lambda found: bool(addresses(found, "IPv6") & set(IPV6_LEGACY)),
    "refused IPv6": lambda found: bool(addresses(found, "IPv6") & set(IPV6_REFUSED)),
    "headless": lambda found: any(each.is_headless for each in services(found)),
    "ExternalName": lambda found: any(each.is_external_name for each in services(found)),
    "Service being deleted": lambda found: any(each.is_being_deleted for each in services(found)),
    "imported Service": lambda found: any(
        each.metadata.label(LABEL_IMPORTED) for each in services(found)
    ),
    "wish for topology": lambda found: any(
        each.spec.traffic_distribution for each in services(found)
    ),
    "link of another controller": lambda found: any(
        not remote.link.is_selected for remote in links(found)
    ),
    "disabled link": lambda found: any(not remote.link.spec.enabled for remote in links(found)),
    "pending cluster": lambda found: any(
        isinstance(remote.connection, Pending) for remote in links(found)
    ),
    "unreachable cluster": lambda found: any(
        isinstance(remote.connection, Unreachable) for remote in links(found)
    ),
    "remote namespace that is missing": lambda found: any(
        remote.missing_namespaces for remote in links(found)
    ),
    "namespace being deleted": lambda found: bool(found.main.terminating),
    "something undecodable": lambda found: any(remote.undecodable for remote in links(found)),
    "no link at all": lambda found: not found.remotes,
    "flag": lambda found: bool(found.options.included_namespaces),
    "slice of a gone link": lambda found: any(
        cluster_of(endpoint_slice) not in found.remotes for endpoint_slice in ours(found)
    ),
    "slice without cluster": lambda found: any(
        owner_of(endpoint_slice) == Unclear() for endpoint_slice in main_slices(found)
    ),
    "slice without source": lambda found: any(
        endpoint_slice.source is None for endpoint_slice in ours(found)
    ),
    "slice without owner": lambda found: any(
        not endpoint_slice.metadata.owner_references for endpoint_slice in ours(found)
    ),
    "slice marked headless": lambda found: bool(labelled(found, LABEL_HEADLESS)),
    "slice of the Go release": lambda found: bool(labelled(found, LABEL_GO_CLUSTER)),
    "leftover of a linked cluster": lambda found: any(
        isinstance(owner_of(endpoint_slice), Leftover)
        and cluster_of(endpoint_slice) in found.remotes
        for endpoint_slice in main_slices(found)
    ),
    "slice being deleted": lambda found: any(
        endpoint_slice.metadata.deletion_timestamp for endpoint_slice in main_slices(found)
    ),
    "slice that lost its Service": lambda found: any(
        endpoint_slice.metadata.label(LABEL_SERVICE_NAME) is None for endpoint_slice in ours(found)
    ),
    "foreign slice that holds a wanted name": lambda found: any(
        endpoint_slice.metadata.name in {name for name, _ in readable_names(found)}
        and not is_ours(endpoint_slice)
        for endpoint_slice in main_slices(found)
    ),
}
"""Cases that must be among the drawn snapshots."""


PLANS: Final = (
    "no change",
    "Create SourceAdded",
    "Update ContentChanged",
    "Update OwnerChanged",
    "Delete SourceGone",
    "Delete LinkGone",
    "Delete Duplicate",
    "Delete ServiceExcluded",
    "Delete RemoteServiceMissing",
    "CreateNamespace NamespaceCreated",
    "CreateService ServiceCreated",
    "Update UnreachableNotReady",
    "Update Activated",
    "Update Standby",
    "Delete UnreachableRemoved",
    "Delete LeftoverReplaced",
    *(
        f"because {reason}"
        for reason in Reason
        if reason
        not in (
            Reason.NAME_INVALID,
            Reason.NAME_TOO_LONG,
            Reason.REMOTE_PORTLESS,
            Reason.OLDER_LINK_AWAITED,
            Reason.TARGET_PORTS_DIFFER,
            Reason.LOOKS_STATEFUL,
            Reason.HAS_ENDPOINT_GROUP,
        )
    ),
)
"""The changes and reasons that must occur in their plans.

Names that the API server or kube-proxy refuses are missing, because no main cluster has them. That
only remote Services without ports could be copied is too rare, because no API server stores any,
and so is an older link that is being listed while main lacks a Service of a younger one: a law
draws that. Target ports that differ, Services that look stateful and those with an endpoint group
are found in a plan, and are no part of it.
"""

EVENTS: Final = (
    "main Service added",
    "main Service removed",
    "main Service changed",
    "main slice added",
    "main slice removed",
    "main slice changed",
    "remote slice added",
    "remote slice removed",
    "remote slice changed",
    "slice recycled for another Service",
    "slice edited by hand",
    "link",
    "namespace",
    "remote namespace",
    "guard",
    "policy",
    "calls",
)
"""What must be among the drawn events."""


def in_plan(decided: Plan) -> set[str]:
    """The content of a plan, in the words of `PLANS`."""
    changes = {f"{type(change).__name__} {change.reason}" for change in decided.changes}
    explained = (*decided.changes, *decided.decisions, *decided.findings)
    return {*(changes or {"no change"}), *(f"because {each.reason}" for each in explained)}


def in_event(happening: Happening) -> set[str]:
    """The content of an event, in the words of `EVENTS`."""
    match happening.event:
        case ClusterChanged():
            found = {"link"}
        case ServiceChanged(old, new):
            found = {f"main Service {_verb(old, new)}"}
        case EndpointSliceChanged(old, new, in_main):
            found = {f"{'main' if in_main else 'remote'} slice {_verb(old, new)}"}
            if old is not None and new is not None:
                found |= {"slice edited by hand"} if in_main and is_ours(old) else set()
                found |= (
                    {"slice recycled for another Service"}
                    if service_of(old) != service_of(new)
                    else set()
                )
        case NamespaceChanged():
            found = {"namespace"}
        case RemoteNamespaceChanged():
            found = {"remote namespace"}
        case GuardChanged():
            found = {"guard"}
        case TrafficPolicyChanged():
            found = {"policy"}
        case ApiServerCallsChanged():
            found = {"calls"}
        case unexpected:
            assert_never(unexpected)
    return found


def _verb(old: object, new: object) -> str:
    if old is None:
        return "added"
    return "removed" if new is None else "changed"


T = TypeVar("T")


def missing(
    strategy: SearchStrategy[T], wanted: Iterable[str], look: Callable[[T, set[str]], set[str]]
) -> list[str]:
    """The wanted cases that a search does not draw. One long search finds all the rare cases."""
    left = set(wanted)

    def is_last(value: T) -> bool:
        left.difference_update(look(value, left))
        return not left

    with suppress(NoSuchExample):
        find(strategy, is_last, settings=SEARCH)
    return sorted(left)


def in_snapshot(found: Snapshot, wanted: set[str]) -> set[str]:
    """The wanted cases in a snapshot or in its plan.

    Guards, options, filters and Namespaces are drawn independently, so a reason that needs a rare
    kind of them may be given it.
    """
    cases = {case for case in wanted & SNAPSHOTS.keys() if SNAPSHOTS[case](found)}
    given = {
        case for case in wanted & GIVEN.keys() if case in in_plan(plan(GIVEN[case](found), NOW))
    }
    return cases | given | in_plan(plan(found, NOW))


def missing_in_snapshots() -> list[str]:
    return missing(snapshots, {*SNAPSHOTS, *PLANS}, in_snapshot)


def missing_in_events() -> list[str]:
    return missing(events(), EVENTS, lambda happening, _: in_event(happening))


@pytest.mark.parametrize("search", ["missing_in_snapshots", "missing_in_events"])
def test_every_edge_case_is_drawn(search: str) -> None:
    """Every case is in a snapshot, every change and reason in a plan, and every event is drawn.

    Hypothesis also draws constants of the modules that happen to be imported. In a new interpreter
    they are always the same, so that a search finds the same cases in every run.
    """
    program = f"from tests.unit.core.test_strategies import {search}; print({search}())"
    assert outputs(program, "0") == ["[]\n"]


def guarded(found: Snapshot, guard: Guard) -> Snapshot:
    """The snapshot with this guard on every remote cluster."""
    return evolve(
        found, remotes={name: evolve(remote, guard=guard) for name, remote in found.remotes.items()}
    )


def creating(found: Snapshot) -> Snapshot:
    """The snapshot with the option to create Services."""
    return evolve(found, options=evolve(found.options, sync_services=True))


def terminating(found: Snapshot) -> Snapshot:
    """The snapshot with the option to create Services, in namespaces that are being deleted."""
    names = frozenset(key.namespace for key in all_keys(found))
    return creating(evolve(found, main=evolve(found.main, namespaces=names, terminating=names)))


def excluding(found: Snapshot) -> Snapshot:
    """The snapshot after its plan was applied, and then every link excluded all Services."""
    names = tuple(map(str, all_keys(found)))
    found = settled(found)
    for name, remote in found.remotes.items():
        found = with_link(found, name, evolve(remote.link.spec, excluded_services=names))
    return found


def restricting(found: Snapshot) -> Snapshot:
    """The snapshot after its plan was applied, and then no link allowed any of its endpoints."""
    found = settled(found)
    for name, remote in found.remotes.items():
        spec = evolve(remote.link.spec, allowed_cidrs=(parse_cidr("192.0.2.0/24"),))
        found = with_link(found, name, spec)
    return found


def selecting(found: Snapshot) -> Snapshot:
    """The snapshot with an option that selects remote Services by their labels."""
    selector = parse_selector("tier=gold")
    return evolve(found, options=evolve(found.options, service_selector=selector))


def without_namespaces(found: Snapshot) -> Snapshot:
    """The snapshot in which every synced cluster lacks the namespaces of all Services."""
    missing = Synced(frozenset(key.namespace for key in all_keys(found)))
    for name, remote in found.remotes.items():
        if isinstance(remote.connection, Synced):
            found = with_link(found, name, connection=missing)
    return found


def with_policies_edited_back(found: Snapshot) -> Snapshot:
    """The snapshot after its plan was applied, and then every policy was edited to Keep."""
    found = settled(found)
    for name, remote in found.remotes.items():
        keeping = evolve(remote.link.spec, unreachable=UnreachablePolicy())
        found = with_link(found, name, keeping)
    return found


GIVEN: Final[Mapping[str, Callable[[Snapshot], Snapshot]]] = {
    "because Restored": with_policies_edited_back,
    "because DeletionHeld": lambda found: guarded(found, Guard(is_armed=True, wave=HELD)),
    "because DeletionSettling": lambda found: guarded(found, Guard(is_armed=True)),
    "because NamespaceReserved": creating,
    "because NamespaceCreated": creating,
    "CreateNamespace NamespaceCreated": creating,
    "Delete ServiceExcluded": excluding,
    "because OutsideAllowedCIDRs": restricting,
    "because SelectedServiceMissing": selecting,
    "because NamespaceMissing": without_namespaces,
    "because NamespaceTerminating": terminating,
    "because NamespacesUnknown": lambda found: creating(
        evolve(found, main=evolve(found.main, namespaces=None))
    ),
}


def test_most_plans_have_something_to_do() -> None:
    """A property of plans that are mostly empty would prove little."""
    counted: Counter[str] = Counter()

    @settings(SEARCH, max_examples=EXAMPLES)
    @given(snapshots)
    def look(found: Snapshot) -> None:
        counted.update(in_plan(plan(found, NOW)))

    look()
    assert counted["no change"] < EXAMPLES * 0.6
    assert counted["because Mirrored"] > EXAMPLES * 0.4


@given(snapshots)
def test_snapshots_can_exist(found: Snapshot) -> None:
    """Objects of the main cluster are valid, and have unique names and uids."""
    slices = main_slices(found)
    assert [problem for endpoint_slice in slices for problem in problems(endpoint_slice)] == []
    assert all(
        endpoint_slice.metadata.uid and endpoint_slice.metadata.resource_version
        for endpoint_slice in slices
    )
    assert len({endpoint_slice.metadata.uid for endpoint_slice in slices}) == len(slices)
    for each in found.main.services.values():
        assert len({port.name for port in each.spec.ports}) == len(each.spec.ports)
        assert len({(port.port, port.protocol) for port in each.spec.ports}) == len(each.spec.ports)
    for remote in found.remotes.values():
        keys = [endpoint_slice.metadata.key for endpoint_slice in remote_slices(remote)]
        assert len(set(keys)) == len(keys)
