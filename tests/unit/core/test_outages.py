"""What an operator does takes effect while a cluster is away, in every kind of outage.

What an operator excludes goes also while the remote is away. Mirrors that are kept
follow their main Service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import pytest
from attrs import evolve

from svclink_core import (
    PENDING,
    UNGUARDED,
    ClusterLinkSpec,
    EndpointHints,
    EndpointSlice,
    Guard,
    NamespacedName,
    Options,
    Planner,
    Reason,
    RemoteCluster,
    Service,
    Snapshot,
    Synced,
    Unreachable,
    UnreachablePolicy,
    Wave,
    plan,
)
from svclink_core.cidrs import parse_cidr
from svclink_core.deletion_guard import is_caused_by_cluster
from svclink_core.snapshot import Connection
from svclink_core.well_known import (
    ANNOTATION_TOPOLOGY_HINTS,
    ANNOTATION_TOPOLOGY_MODE,
    NODE_OF_NO_CLUSTER,
    ZONE_OF_NO_NODE,
)
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    endpoint,
    local_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
)
from tests.unit.core.world import NOW, applied, ours, settled, with_link, with_main

LOST: Final = Unreachable("2026-07-01T11:55:00Z", NOW - 300)
ADDRESS: Final = "10.0.0.1"
LOCAL: Final = local_slice()
HELD: Final = Guard(is_armed=True, wave=Wave(24, 18, NOW - 100, NOW - 100, NOW + 200))

Outage: TypeAlias = RemoteCluster


def away(
    connection: Connection = PENDING,
    guard: Guard = UNGUARDED,
    undecodable: tuple[NamespacedName, ...] = (),
) -> Outage:
    """A cluster that had the Service, in one of the ways in which it can be away."""
    found = cluster(services=[], connection=connection)
    return evolve(found, guard=guard, undecodable=undecodable)


def under(policy: UnreachablePolicy) -> Outage:
    return cluster(services=[], connection=LOST, spec=ClusterLinkSpec(unreachable=policy))


OUTAGES: Final[Mapping[str, Outage]] = {
    "not listed since svclink started, or its kubeconfig is refused": away(),
    "unreachable": away(LOST),
    "unreachable since svclink started": away(evolve(LOST, never_reached=True)),
    "credentials rejected, or over its budget": away(evolve(LOST, is_lost=False)),
    "a namespace cannot be read": away(Synced(frozenset({"default"}))),
    "undecodable": away(Synced(), undecodable=(WEB,)),
    "lost most of it at once": away(Synced(), guard=HELD),
    "under NotReady": under(UnreachablePolicy("NotReady")),
    "under NotReady, still to come": under(UnreachablePolicy("NotReady", 301)),
    "under Remove": under(UnreachablePolicy("Remove")),
}

OPERATORS: Final[Mapping[str, Callable[[ClusterLinkSpec], ClusterLinkSpec]]] = {
    "includedNamespaces": lambda spec: evolve(spec, included_namespaces=("other",)),
    "excludedNamespaces": lambda spec: evolve(spec, excluded_namespaces=("default",)),
    "excludedServices": lambda spec: evolve(spec, excluded_services=("default/web",)),
    "excludedServiceNames": lambda spec: evolve(spec, excluded_service_names=("web",)),
    "optIn": lambda spec: evolve(spec, opt_in=True),
    "allowedCIDRs": lambda spec: evolve(spec, allowed_cidrs=(parse_cidr("192.0.2.0/24"),)),
}

MAIN_SERVICES: Final[Mapping[str, Service]] = {
    "headless": service(cluster_ip="None"),
    "ExternalName": service(service_type="ExternalName", cluster_ip=""),
    "being deleted": service(deleted_at="2026-07-01T12:00:00Z"),
    "mirror: false": service(annotations={"svclink.cloudpilot.ai/mirror": "false"}),
}

every_outage = pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES.keys())


def during(outage: Outage, *slices: EndpointSlice, options: Options = Options()) -> Snapshot:  # noqa: B008 - it is frozen
    """The main cluster with a mirror of a cluster that is away, once plans were applied."""
    mirrors = slices or (mirrored_slice(None, ADDRESS),)
    return settled(snapshot_of(outage, slices=[*mirrors, LOCAL], options=options))


def after(before: Snapshot, facts: Snapshot) -> list[EndpointSlice]:
    """The mirrors after a change of facts, as a Planner plans that knew the facts before."""
    remembering = Planner()
    remembering.plan(before, NOW)
    decided = remembering.plan(facts, NOW)
    assert decided == plan(facts, NOW)
    assert not any(is_caused_by_cluster(change.reason) for change in decided.changes)
    return ours(applied(facts, decided.changes))


@every_outage
def test_outage_alone_keeps_mirrors(outage: Outage) -> None:
    """The tests below would prove nothing if mirrors went by themselves."""
    is_removed = outage is OUTAGES["under Remove"]
    assert bool(ours(during(outage))) is not is_removed


@every_outage
@pytest.mark.parametrize("exclude", OPERATORS.values(), ids=OPERATORS.keys())
def test_change_of_a_filter_takes_effect_in_an_outage(
    outage: Outage, exclude: Callable[[ClusterLinkSpec], ClusterLinkSpec]
) -> None:
    """Each list of the link."""
    before = during(outage)
    assert after(before, with_link(before, "c1", exclude(outage.link.spec))) == []


@every_outage
def test_flag_takes_effect_in_an_outage(outage: Outage) -> None:
    """A controller that is started again with another `--included-namespaces`, or `--opt-in`."""
    before = during(outage)
    for options in (Options(frozenset({"other"})), Options(opt_in=True)):
        assert after(before, evolve(before, options=options)) == []


@every_outage
@pytest.mark.parametrize("main", MAIN_SERVICES.values(), ids=MAIN_SERVICES.keys())
def test_change_of_the_main_service_takes_effect_in_an_outage(
    outage: Outage, main: Service
) -> None:
    """A Service that nothing is mirrored for any more."""
    before = during(outage)
    assert after(before, with_main(before, services=[main])) == []


TOPOLOGIES: Final[Mapping[str, tuple[Service, EndpointHints | None, EndpointHints | None]]] = {
    "PreferClose": (
        service(traffic_distribution="PreferClose"),
        EndpointHints(("zone-a",)),
        EndpointHints((ZONE_OF_NO_NODE,)),
    ),
    "PreferSameNode": (
        service(traffic_distribution="PreferSameNode"),
        EndpointHints(("zone-a",), (NODE_OF_NO_CLUSTER,)),
        EndpointHints((ZONE_OF_NO_NODE,), (NODE_OF_NO_CLUSTER,)),
    ),
    "topology-mode": (
        service(annotations={ANNOTATION_TOPOLOGY_MODE: "Auto"}),
        EndpointHints(("zone-a",)),
        EndpointHints((ZONE_OF_NO_NODE,)),
    ),
    "topology-aware-hints": (
        service(annotations={ANNOTATION_TOPOLOGY_HINTS: "auto"}),
        EndpointHints(("zone-a",)),
        EndpointHints((ZONE_OF_NO_NODE,)),
    ),
    "none": (service(), None, None),
}


@every_outage
@pytest.mark.parametrize("start", TOPOLOGIES.values(), ids=TOPOLOGIES.keys())
@pytest.mark.parametrize("end", TOPOLOGIES.values(), ids=TOPOLOGIES.keys())
def test_mirrors_that_are_kept_follow_the_topology_of_main(
    outage: Outage,
    start: tuple[Service, EndpointHints | None, EndpointHints | None],
    end: tuple[Service, EndpointHints | None, EndpointHints | None],
) -> None:
    """kube-proxy ignores all hints of a Service if one ready endpoint has none.

    Endpoints that are not ready, and so those of a policy NotReady, have none.
    """
    zoned, bare = endpoint(ADDRESS, zone="zone-a"), endpoint("10.0.0.2")
    before = during(outage, mirrored_slice(endpoints=[zoned, bare]))
    asked = settled(with_main(before, services=[start[0]]))
    for mirror in after(asked, with_main(asked, services=[end[0]])):
        expected = [
            hints if each.conditions.ready else None
            for each, hints in zip(mirror.endpoints, end[1:], strict=True)
        ]
        assert [each.hints for each in mirror.endpoints] == expected


@every_outage
def test_mirrors_that_are_kept_follow_a_re_created_main_service(outage: Outage) -> None:
    """Otherwise the garbage collector removes them."""
    before = during(outage)
    for mirror in after(before, with_main(before, services=[service(uid="another")])):
        assert [each.uid for each in mirror.metadata.owner_references] == ["another"]


def test_what_an_operator_did_in_an_outage_holds_when_the_cluster_is_back() -> None:
    """Nothing that was excluded comes back, and what is not excluded any more does."""
    before = during(away(LOST))
    spec = ClusterLinkSpec(excluded_services=("default/web",))
    excluded = settled(with_link(before, "c1", spec))
    assert ours(excluded) == []
    back = evolve(cluster("c1", remote_slice(None, ADDRESS), spec=spec))
    assert ours(settled(evolve(excluded, remotes={"c1": back}))) == []
    again = evolve(excluded, remotes={"c1": cluster("c1", remote_slice(None, ADDRESS))})
    assert len(ours(settled(again))) == 1


# A main Service of which an object cannot be decoded


@pytest.mark.parametrize(
    ("exclude", "is_by_name"),
    [
        ("includedNamespaces", True),
        ("excludedNamespaces", True),
        ("excludedServices", True),
        ("excludedServiceNames", True),
        ("optIn", False),
        ("allowedCIDRs", False),
    ],
)
@pytest.mark.parametrize("outage", [away(LOST), cluster("c1", remote_slice(None, ADDRESS))])
def test_exclusion_by_name_needs_no_main_service(
    outage: Outage, exclude: str, *, is_by_name: bool
) -> None:
    """Only what may depend on the object that could not be decoded waits for it."""
    before = during(outage)
    unclear = evolve(before, main=evolve(before.main, undecodable=frozenset({WEB})))
    spec = OPERATORS[exclude](ClusterLinkSpec())
    found = with_link(unclear, "c1", spec)
    assert (ours(settled(found)) == []) is is_by_name
    (decision,) = plan(found, NOW).decisions
    assert (decision.reason is Reason.MAIN_UNDECODABLE) is not is_by_name
