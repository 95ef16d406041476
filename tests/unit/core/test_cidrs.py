"""Ranges of IP addresses, and endpoints of a link that restricts them, one fact in each test."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Final

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    Decision,
    Delete,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Finding,
    Guard,
    Outcome,
    Plan,
    Planner,
    Reason,
    RemoteCluster,
    Snapshot,
    Unreachable,
    UnreachablePolicy,
    Update,
    plan,
)
from svclink_core.api_rules import MAX_ADDRESSES
from svclink_core.cidrs import (
    CIDRs,
    contain_all,
    invalid_cidrs,
    is_endpoint_allowed,
    parse_cidr,
    proposed_cidrs,
)
from svclink_core.snapshot import Connection, Synced
from svclink_core.well_known import Side
from tests.builders.cidrs import INVALID_CIDRS, VALID_CIDRS
from tests.builders.keys import WEB
from tests.builders.values import (
    READY,
    cluster,
    endpoint,
    leftover_slice,
    local_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
)
from tests.unit.core.world import NOW, main_slices, ours, settled, with_link, with_main

LOST: Final = Unreachable("2026-07-01T11:55:00Z", NOW - 300)
REJECTED: Final = evolve(LOST, is_lost=False)
AWAY: Final[tuple[Connection, ...]] = (PENDING, LOST, REJECTED, evolve(LOST, never_reached=True))


def ranges(*texts: str) -> CIDRs:
    return tuple(map(parse_cidr, texts))


TEN: Final = ranges("10.0.0.0/24")


# Texts


@pytest.mark.parametrize("text", VALID_CIDRS)
def test_valid_cidrs(text: str) -> None:
    """A range of either family is parsed to its first and its last address."""
    found, network = parse_cidr(text), ip_network(text)
    assert found.text == text
    assert (found.first, found.last) == (int(network[0]), int(network[-1]))
    assert invalid_cidrs([found]) == []


@pytest.mark.parametrize("text", INVALID_CIDRS)
def test_invalid_cidrs(text: str) -> None:
    """Anything else contains no address, and is reported."""
    found = parse_cidr(text)
    assert invalid_cidrs([*TEN, found]) == [text]
    assert not is_endpoint_allowed((found,), ("10.0.0.1",), "IPv4")


addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)


@given(addresses, st.integers(0, 128), addresses)
def test_ranges_contain_what_they_should(base: object, length: int, other: object) -> None:
    """Both ends of a range are in it, and other addresses are as `ipaddress` says."""
    length %= ip_address(str(base)).max_prefixlen + 1
    network = ip_network(f"{base}/{length}", strict=False)
    allowed = ranges(str(network))
    if invalid_cidrs(allowed):  # IPv4-mapped
        return
    for each in (network[0], network[-1], ip_address(str(other))):
        family = f"IPv{each.version}"
        expected = each.version == network.version and each in network
        assert contain_all(allowed, [str(each)], family) is expected


def test_one_address_outside_is_enough() -> None:
    """Addresses may be in different ranges; all have to be in one."""
    both = ranges("10.0.0.0/24", "192.168.0.0/16")
    assert contain_all(both, ["10.0.0.1", "192.168.1.1"], "IPv4")
    assert not contain_all(both, ["10.0.0.1", "10.0.1.1"], "IPv4")
    assert not contain_all(both, ["fd00::1"], "IPv6")


def test_empty_list_allows_everything() -> None:
    """As with the other lists of a link, even what is not an address."""
    assert is_endpoint_allowed((), ("x",), "FQDN")
    assert not is_endpoint_allowed(TEN, ("x",), "FQDN")


# Proposals


@pytest.mark.parametrize(
    ("family", "own", "others", "expected"),
    [
        ("IPv4", [], ["10.0.0.1"], []),
        ("IPv4", ["10.0.0.1", "10.0.255.9"], ["10.1.0.1"], ["10.0.0.0/16"]),
        ("IPv4", ["10.1.0.1", "10.0.0.1"], [], ["10.0.0.0/15"]),
        ("IPv4", ["10.0.0.1", "10.0.1.1"], ["10.0.9.1"], ["10.0.0.0/23"]),
        ("IPv4", ["10.0.0.1"], ["10.0.0.1"], ["10.0.0.0/24"]),
        ("IPv6", ["fd00::1", "fd00:0:0:7::1"], [], ["fd00::/48"]),
        ("IPv6", ["fd00::1", "fd00:0:0:7::1"], ["fd00:0:0:9::1"], ["fd00::/64", "fd00:0:0:7::/64"]),
    ],
)
def test_proposals(family: str, own: list[str], others: list[str], expected: list[str]) -> None:
    """The usual range of a cluster, or of a node where another cluster is near; joined."""
    assert proposed_cidrs(own, others, family) == expected


@given(st.sets(st.ip_addresses(v=4).map(str)), st.sets(st.ip_addresses(v=4).map(str)))
def test_proposals_allow_what_the_cluster_has(own: set[str], others: set[str]) -> None:
    """No address of the cluster is left out, and none that is not near one of its own is in."""
    proposed = ranges(*proposed_cidrs(own, others, "IPv4"))
    assert invalid_cidrs(proposed) == []
    assert contain_all(proposed, own, "IPv4")
    for other in others:
        is_near = any(each.rpartition(".")[0] == other.rpartition(".")[0] for each in own)
        assert contain_all(proposed, [other], "IPv4") is is_near


# Endpoints


def limited(
    *slices: EndpointSlice,
    connection: Connection = SYNCED,
    allowed: CIDRs = TEN,
    policy: UnreachablePolicy = UnreachablePolicy(),  # noqa: B008 - it is frozen
) -> RemoteCluster:
    spec = ClusterLinkSpec(allowed_cidrs=allowed, unreachable=policy)
    return cluster("c1", *slices, spec=spec, connection=connection)


def addresses_after(found: Snapshot) -> list[tuple[str, ...]]:
    """The addresses of each endpoint that is mirrored."""
    return [each.addresses for mirror in ours(settled(found)) for each in mirror.endpoints]


def decision_of(decided: Plan) -> Decision:
    (decision,) = decided.decisions
    return decision


def test_endpoints_outside_are_dropped_and_reported() -> None:
    """Each endpoint counts for itself, and the others of its slice are mirrored."""
    found = snapshot_of(limited(remote_slice(None, "10.0.0.1", "10.0.1.1", "10.0.0.2")))
    assert addresses_after(found) == [("10.0.0.1",), ("10.0.0.2",)]
    detail = "10.0.1.1 (outside allowedCIDRs)"
    assert plan(found, NOW).findings == (Finding(WEB, "c1", Reason.INVALID_ENDPOINTS, (detail,)),)


def test_endpoint_with_one_address_outside_is_dropped() -> None:
    """As with an invalid address: all addresses of an endpoint are those of one Pod."""
    inside, half = Endpoint(("10.0.0.1", "10.0.0.2"), READY), Endpoint(("10.0.0.3", "9.9.9.9"))
    found = snapshot_of(limited(remote_slice(endpoints=[inside, half])))
    assert addresses_after(found) == [("10.0.0.1", "10.0.0.2")]
    (finding,) = plan(found, NOW).findings
    assert finding.details == ("9.9.9.9 (outside allowedCIDRs)",)


def test_report_stays_small_where_a_whole_slice_is_outside() -> None:
    """The first few addresses are named, and the others are counted."""
    found = snapshot_of(limited(remote_slice(None, *[f"10.0.1.{host}" for host in range(250)])))
    (finding,) = plan(found, NOW).findings
    assert finding.details == ("10.0.1.0, 10.0.1.1, 10.0.1.10 and 247 more (outside allowedCIDRs)",)


def test_addresses_that_are_cut_off_do_not_count() -> None:
    """What is not mirrored anyway cannot be outside."""
    many = Endpoint(("10.0.0.1",) * MAX_ADDRESSES + ("9.9.9.9",), READY)
    found = snapshot_of(limited(remote_slice(endpoints=[many])))
    assert addresses_after(found) == [("10.0.0.1",)]


def test_addresses_are_compared_in_canonical_form() -> None:
    """`010.0.0.1` is what it is mirrored as."""
    found = snapshot_of(limited(remote_slice(None, "010.0.0.1", "010.0.1.1")))
    assert addresses_after(found) == [("10.0.0.1",)]


def test_invalid_endpoint_is_reported_as_such() -> None:
    """An endpoint that is both is reported once, as invalid."""
    (finding,) = plan(snapshot_of(limited(remote_slice(None, "127.0.0.1"))), NOW).findings
    assert finding.details == ("127.0.0.1",)


def test_service_without_allowed_endpoints_says_why() -> None:
    """Nothing is mirrored, by the operator's word."""
    decision = decision_of(plan(snapshot_of(limited(remote_slice(None, "10.0.1.1"))), NOW))
    assert (decision.outcome, decision.reason) == (Outcome.SKIPPED, Reason.OUTSIDE_ALLOWED_CIDRS)
    assert decision.reason.caused_by is Side.OPERATOR


@pytest.mark.parametrize(
    ("mirror", "reason"),
    [("10.0.1.1", Reason.OUTSIDE_ALLOWED_CIDRS), ("10.0.0.1", Reason.NO_ENDPOINTS)],
)
def test_only_endpoints_that_the_cluster_moved_wait_for_the_guard(
    mirror: str, reason: Reason
) -> None:
    """A mirror with no allowed address was made before the list was narrowed."""
    remote = limited(remote_slice(None, "10.0.1.1"))
    found = snapshot_of(remote, slices=[mirrored_slice(None, mirror)])
    (change,) = plan(found, NOW).changes
    assert isinstance(change, Delete)
    assert change.reason is reason
    guarded = evolve(found, remotes={"c1": evolve(remote, guard=Guard(is_armed=True))})
    assert bool(plan(guarded, NOW).changes) is (reason is Reason.OUTSIDE_ALLOWED_CIDRS)


def test_mirror_without_endpoints_says_nothing_about_the_list() -> None:
    """A TrafficPolicy can leave all endpoints out of a mirror, which the cluster then deletes."""
    found = snapshot_of(limited(), slices=[mirrored_slice(endpoints=())])
    (change,) = plan(found, NOW).changes
    assert change.reason is Reason.SOURCE_GONE


def test_planner_notices_another_list() -> None:
    """Endpoints that were examined under one list are examined again under another."""
    remembering = Planner()
    found = snapshot_of(limited(remote_slice(None, "10.0.0.1", "10.0.1.1"), allowed=()))
    for allowed in ((), TEN, ranges("10.0.0.0/16"), ranges("10.0.1.0/24"), ()):
        spec = ClusterLinkSpec(allowed_cidrs=allowed)
        found = with_link(found, "c1", spec)
        decided = remembering.plan(found, NOW)
        assert decided == plan(found, NOW)
        found = settled(found)


def test_planner_examines_nothing_again_under_the_same_list() -> None:
    """Planning again what has not changed costs as little as without a list."""
    found, remembering = settled(snapshot_of(limited(remote_slice()))), Planner()
    remembering.plan(found, NOW)
    before = dict(remembering._memories[WEB].clusters["c1"].normal_forms)
    remembering.plan(with_main(found), NOW)
    assert remembering._memories[WEB].clusters["c1"].normal_forms == before


# A list with an invalid entry


INVALID: Final = (*TEN, parse_cidr("10.0.0/8"))


@pytest.mark.parametrize("connection", [SYNCED, *AWAY])
def test_invalid_list_decides_nothing(connection: Connection) -> None:
    """Neither all endpoints nor those of the valid entries: mirrors stay as they are."""
    remote = limited(remote_slice(None, "10.0.0.7"), connection=connection, allowed=INVALID)
    found = snapshot_of(remote, slices=[mirrored_slice(None, "10.0.1.1", "10.0.0.1")])
    assert plan(found, NOW).changes == ()
    expected = Reason.INVALID_SPEC if connection == SYNCED else None
    assert expected in (decision_of(plan(found, NOW)).reason, None)


# Mirrors that are kept


@pytest.mark.parametrize("connection", AWAY)
def test_narrower_list_counts_while_the_cluster_is_away(connection: Connection) -> None:
    """Endpoints outside go from mirrors that are kept, and a mirror without any other goes."""
    mirrors = [
        mirrored_slice(None, "10.0.0.1", "10.0.1.1"),
        mirrored_slice("web-2", "10.0.1.2", source="web-2"),
    ]
    found = snapshot_of(limited(connection=connection), slices=mirrors)
    decided = plan(found, NOW)
    decision = decision_of(decided)
    assert (decision.outcome, decision.slices, decision.endpoints) == (Outcome.KEPT, 1, 1)
    assert {change.reason for change in decided.changes if isinstance(change, Delete)} == {
        Reason.OUTSIDE_ALLOWED_CIDRS
    }
    assert addresses_after(found) == [("10.0.0.1",)]


def test_wider_list_brings_nothing_back_while_the_cluster_is_away() -> None:
    """Mirrors are the only memory of a cluster that is away."""
    narrow = settled(
        snapshot_of(limited(connection=LOST), slices=[mirrored_slice(None, "10.0.0.1", "10.0.1.1")])
    )
    assert addresses_after(with_link(narrow, "c1", ClusterLinkSpec())) == [("10.0.0.1",)]


@pytest.mark.parametrize("enabled", [True, False])
def test_disabled_link_stays_as_it_is(enabled: bool) -> None:
    """A disabled link is frozen, so its list has no effect either."""
    spec = ClusterLinkSpec(enabled=enabled, allowed_cidrs=TEN)
    mirror = mirrored_slice(None, "10.0.1.1")
    found = snapshot_of(cluster(spec=spec, connection=LOST), slices=[mirror])
    assert bool(plan(found, NOW).changes) is enabled


def test_undecodable_main_service_stays_as_it_is() -> None:
    """Nothing is decided about a Service of which a part is unknown."""
    found = snapshot_of(limited(connection=LOST), slices=[mirrored_slice(None, "10.0.1.1")])
    unclear = evolve(found, main=evolve(found.main, undecodable=frozenset({WEB})))
    assert plan(unclear, NOW).changes == ()


LOCAL: Final = local_slice()


@pytest.mark.parametrize("action", ["NotReady", "Remove"])
def test_policy_of_a_lost_cluster_applies_to_what_is_allowed(action: str) -> None:
    """Endpoints outside go at once, the others as the policy says."""
    policy = UnreachablePolicy("NotReady" if action == "NotReady" else "Remove")
    mirrors = [
        mirrored_slice(None, "10.0.0.1", "10.0.1.1"),
        mirrored_slice("web-2", "10.0.1.2", source="web-2"),
    ]
    found = snapshot_of(limited(connection=LOST, policy=policy), slices=[*mirrors, LOCAL])
    after = settled(found)
    assert addresses_after(found) == ([("10.0.0.1",)] if action == "NotReady" else [])
    assert all(each.is_marked_not_ready for each in ours(after))
    reasons = {change.reason for change in plan(found, NOW).changes}
    assert Reason.OUTSIDE_ALLOWED_CIDRS in reasons


def test_what_is_outside_keeps_no_other_cluster_from_its_policy() -> None:
    """A mirror that goes is not what the Service is left with."""
    outside = mirrored_slice("web-c2", "10.0.1.2", cluster="c2")
    spec = ClusterLinkSpec(allowed_cidrs=TEN, unreachable=UnreachablePolicy("NotReady", 10_000))
    found = snapshot_of(
        limited(connection=LOST, policy=UnreachablePolicy("Remove"), allowed=()),
        cluster("c2", spec=spec, connection=PENDING),
        slices=[mirrored_slice(), outside],
    )
    assert addresses_after(found) == [("10.0.0.1",)]


def test_mark_goes_with_the_endpoints_that_it_is_about() -> None:
    """A mirror marked NotReady of which only broken endpoints are left is not marked any more."""
    broken = endpoint("10.0.0.1", conditions=evolve(READY, ready=False, serving=False))
    both = mirrored_slice(endpoints=[broken, endpoint("10.0.1.1")])
    policy = UnreachablePolicy("NotReady")
    marked = settled(
        snapshot_of(limited(connection=LOST, policy=policy, allowed=()), slices=[both, LOCAL])
    )
    spec = ClusterLinkSpec(allowed_cidrs=TEN, unreachable=policy)
    (after,) = ours(settled(with_link(marked, "c1", spec)))
    assert after.endpoints == (broken,)
    assert not after.is_marked_not_ready


def test_deletion_that_waits_holds_no_endpoint_outside() -> None:
    """A mirror that a guard keeps has only endpoints that are allowed; so has a leftover."""
    gone = evolve(limited(), guard=Guard(is_armed=True), services={})
    mirrors = [mirrored_slice(None, "10.0.0.1", "10.0.1.1"), leftover_slice(None, "10.0.1.9")]
    found = snapshot_of(gone, slices=mirrors)
    assert addresses_after(found) == [("10.0.0.1",)]
    assert len(main_slices(settled(found))) == 1


def test_change_that_settles_holds_no_endpoint_outside() -> None:
    """The same for a mirror whose remote Service and slices do not fit together yet."""
    remote = evolve(
        limited(remote_slice(ports=(EndpointPort("other", port=1),))), changed_at={WEB: NOW}
    )
    found = snapshot_of(remote, slices=[mirrored_slice(None, "10.0.0.1", "10.0.1.1")])
    (change,) = plan(found, NOW).changes
    assert isinstance(change, Update)
    assert [each.addresses for each in change.endpoint_slice.endpoints] == [("10.0.0.1",)]


def test_namespace_that_cannot_be_read_is_kept_within_the_list() -> None:
    """A namespace that is missing is away, like a whole cluster."""
    missing = Synced(frozenset({"default"}))
    found = snapshot_of(limited(connection=missing), slices=[mirrored_slice(None, "10.0.1.1")])
    assert addresses_after(found) == []
    assert plan(snapshot_of(limited(connection=missing), services=[service()]), NOW).changes == ()
