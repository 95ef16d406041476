"""Service and slices of a remote cluster that arrive one after the other, a fact in each test."""

from __future__ import annotations

from typing import Final

import pytest
from attrs import evolve

from svclink_core import (
    Delete,
    EndpointPort,
    EndpointSlice,
    Outcome,
    OwnerReference,
    Plan,
    Planner,
    Reason,
    RemoteCluster,
    Service,
    ServicePort,
    Snapshot,
    Update,
    plan,
)
from svclink_core.remote_consistency import (
    CONSISTENCY_TIMEOUT_SECONDS,
    current_slices,
    is_consistent,
    may_break_consistency,
    settles_at,
)
from svclink_core.well_known import LABEL_CLUSTER
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    leftover_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
)
from tests.unit.core.world import NOW, main_slices, settled

MAIN: Final = service(ports=(ServicePort(80, "main"), ServicePort(81, "admin")))
OLD: Final = service(ports=(ServicePort(80, "old"), ServicePort(81, "admin")))
NEW: Final = service(ports=(ServicePort(80, "new"), ServicePort(81, "admin")))
ADMIN: Final = EndpointPort("admin", port=9000)
OLD_PORTS: Final = (EndpointPort("old", port=8080), ADMIN)
NEW_PORTS: Final = (EndpointPort("new", port=8080), ADMIN)
MIRROR: Final = mirrored_slice(ports=(ADMIN, EndpointPort("main", port=8080)))


def changed(
    remote: Service | None, *slices: EndpointSlice, at: float = NOW, mirrors: int = 1
) -> Snapshot:
    """A mirrored Service whose remote Service or slices changed at this time."""
    services = [] if remote is None else [remote]
    changing = evolve(cluster("c1", *slices, services=services), changed_at={WEB: at})
    return snapshot_of(changing, services=[MAIN], slices=[MIRROR][:mirrors])


def owned(endpoint_slice: EndpointSlice, uid: str) -> EndpointSlice:
    """The slice of a Service with this uid."""
    owner = OwnerReference("v1", "Service", "web", uid, controller=True)
    metadata = evolve(endpoint_slice.metadata, owner_references=(owner,))
    return evolve(endpoint_slice, metadata=metadata)


def waits(decided: Plan) -> bool:
    """Whether the plan keeps what is mirrored and is made again after the time-out."""
    (decision,) = decided.decisions
    return (
        decided.changes == ()
        and decided.findings == ()
        and (decision.outcome, decision.reason) == (Outcome.KEPT, Reason.REMOTE_CHANGING)
        and decided.again_at == NOW + CONSISTENCY_TIMEOUT_SECONDS
    )


RENAMED: Final = [
    changed(NEW, remote_slice(ports=OLD_PORTS)),
    changed(OLD, remote_slice(ports=NEW_PORTS)),
]


@pytest.mark.parametrize("found", RENAMED)
def test_a_renamed_port_takes_nothing_away_at_first(found: Snapshot) -> None:
    """Whether the Service or its slices come first, the port of the mirror waits for the other."""
    assert waits(plan(found, NOW))
    assert waits(plan(found, NOW + CONSISTENCY_TIMEOUT_SECONDS - 0.01))


@pytest.mark.parametrize("found", RENAMED)
def test_a_port_that_stays_without_a_partner_goes_after_two_seconds(found: Snapshot) -> None:
    """Afterwards Service and slices count as they are, and the mismatch is reported."""
    decided = plan(found, NOW + CONSISTENCY_TIMEOUT_SECONDS)
    (change,) = decided.changes
    assert isinstance(change, Update)
    assert change.endpoint_slice.ports == (ADMIN,)
    assert [each.reason for each in decided.findings] == [Reason.PORT_MISMATCH]
    assert decided.again_at is None


def test_what_fits_together_waits_for_nothing() -> None:
    """Once the other one is there, the plan is what it would be without a change."""
    found = changed(NEW, remote_slice(ports=NEW_PORTS))
    assert plan(found, NOW).changes == ()
    assert plan(found, NOW).again_at is None
    assert [each.reason for each in plan(found, NOW).decisions] == [Reason.MIRRORED]


def test_a_slice_whose_only_port_is_renamed_stays() -> None:
    """The mirror is not deleted and made again."""
    found = changed(service(ports=(ServicePort(80, "new"),)), remote_slice(ports=OLD_PORTS[:1]))
    assert waits(plan(found, NOW))
    (change,) = plan(found, NOW + CONSISTENCY_TIMEOUT_SECONDS).changes
    assert isinstance(change, Delete)


def test_a_missing_service_waits_for_its_slices_to_go() -> None:
    """A Service that is deleted and created again keeps its mirrors, if that is quick."""
    assert waits(plan(changed(None, remote_slice()), NOW))
    for gone in (
        changed(None),
        changed(None, remote_slice(), at=NOW - CONSISTENCY_TIMEOUT_SECONDS),
    ):
        (change,) = plan(gone, NOW).changes
        assert isinstance(change, Delete)
        assert change.reason is Reason.REMOTE_SERVICE_MISSING


def test_slices_that_are_gone_wait_for_nothing() -> None:
    """A Service without slices is normal: its Pods are gone, and so are their addresses."""
    (change,) = plan(changed(OLD), NOW).changes
    assert isinstance(change, Delete)


def test_leftovers_wait_too() -> None:
    """A slice of the Go release is not deleted on a guess either."""
    found = changed(NEW, remote_slice(ports=OLD_PORTS[:1]), mirrors=0)
    found = snapshot_of(*found.remotes.values(), services=[MAIN], slices=[leftover_slice()])
    assert plan(found, NOW).changes == ()
    assert [type(change) for change in plan(found, NOW + CONSISTENCY_TIMEOUT_SECONDS).changes] == [
        Delete
    ]


def test_what_is_added_does_not_wait() -> None:
    """Only what takes a port or a slice away waits: new addresses are mirrored at once."""
    more = remote_slice("web-xyz", "10.0.0.9", ports=(ADMIN,))
    found = changed(NEW, remote_slice(ports=OLD_PORTS), more)
    (change,) = plan(found, NOW).changes
    assert change.reason is Reason.SOURCE_ADDED
    assert waits(plan(settled(found), NOW))


def test_a_cluster_that_was_just_listed_waits_too() -> None:
    """The two lists of a cluster are of different moments."""
    found = changed(NEW, remote_slice(ports=OLD_PORTS), at=NOW - CONSISTENCY_TIMEOUT_SECONDS)
    assert not waits(plan(found, NOW))
    just_synced: RemoteCluster = evolve(found.remotes["c1"], since=NOW)
    assert waits(plan(evolve(found, remotes={"c1": just_synced}), NOW))


def test_a_mirror_of_a_recreated_service_keeps_its_name() -> None:
    """Kubernetes writes the new slice before the old one goes: the mirror changes once."""
    again = service(uid="again")
    old = owned(remote_slice("web-old"), "uid-of-web")
    new = owned(remote_slice("web-new", "10.0.0.2"), "again")
    mirror = mirrored_slice(source="web-old")
    remote = evolve(cluster("c1", old, services=[again]), changed_at={WEB: NOW})
    assert plan(snapshot_of(remote, slices=[mirror]), NOW).changes == ()
    both = evolve(cluster("c1", old, new, services=[again]), changed_at={WEB: NOW})
    after = settled(snapshot_of(both, slices=[mirror]))
    assert [(each.metadata.name, each.source) for each in main_slices(after)] == [
        ("web-c1", "web-new")
    ]


def test_patience_is_not_remembered_beyond_its_end() -> None:
    """A Planner that saw the wait plans as an empty one does when it is over."""
    found, remembering = RENAMED[0], Planner()
    for now in (NOW, NOW + 1, NOW + CONSISTENCY_TIMEOUT_SECONDS):
        assert remembering.plan(found, now) == plan(found, now)


@pytest.mark.parametrize(
    ("remote", "slices", "expected"),
    [
        (OLD, [], True),
        (OLD, [remote_slice(ports=())], True),
        (OLD, [remote_slice(ports=OLD_PORTS[:1])], True),
        (OLD, [remote_slice(ports=(EndpointPort("old", "UDP", 8080),))], False),
        (OLD, [owned(remote_slice(ports=OLD_PORTS), "uid-of-web")], True),
        (OLD, [owned(remote_slice(ports=OLD_PORTS), "another")], False),
        (None, [], True),
        (None, [remote_slice()], False),
        (None, [remote_slice(labels={LABEL_CLUSTER: "c"})], True),
    ],
)
def test_consistency(
    remote: Service | None, slices: list[EndpointSlice], *, expected: bool
) -> None:
    """Slices need a Service that has their ports and owns them; a Service needs no slices."""
    assert is_consistent(remote, slices) is expected


def test_slices_of_an_earlier_service_count_while_there_are_no_others() -> None:
    """They are left out only once the Service has slices of its own."""
    old, new = owned(remote_slice("a"), "another"), owned(remote_slice("b"), "uid-of-web")
    assert list(current_slices(OLD, [old, new])) == [new]
    assert list(current_slices(OLD, [old])) == [old]


SLICE: Final = remote_slice(ports=OLD_PORTS)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, OLD, True),
        (OLD, None, True),
        (OLD, NEW, True),
        (OLD, evolve(OLD, metadata=evolve(OLD.metadata, uid="again")), True),
        (OLD, evolve(OLD, metadata=evolve(OLD.metadata, resource_version="2")), False),
        (None, SLICE, True),
        (SLICE, None, False),
        (SLICE, remote_slice(ports=NEW_PORTS), True),
        (SLICE, remote_slice(None, "10.0.0.9", ports=OLD_PORTS), False),
    ],
)
def test_changes_that_may_break_consistency(
    old: Service | EndpointSlice | None, new: Service | EndpointSlice | None, *, expected: bool
) -> None:
    """New ports or identities may; new addresses, which are frequent, and gone slices do not."""
    assert may_break_consistency(old, new) is expected


def test_a_cluster_settles_two_seconds_after_the_last_change() -> None:
    """The last of the lists and the changes counts."""
    remote = evolve(cluster("c1"), since=NOW, changed_at={WEB: NOW + 1})
    assert settles_at(remote, WEB) == NOW + 1 + CONSISTENCY_TIMEOUT_SECONDS
    assert settles_at(evolve(remote, changed_at={}), WEB) == NOW + CONSISTENCY_TIMEOUT_SECONDS


def test_mirror_in_a_remote_cluster_is_reported_at_any_time() -> None:
    """One that belongs to an earlier Service is no slice that the cluster is about to delete."""
    owner = OwnerReference("v1", "Service", "web", "uid-of-an-earlier-one", controller=True)
    mirror = remote_slice("loop", labels={LABEL_CLUSTER: "x"})
    mirror = evolve(mirror, metadata=evolve(mirror.metadata, owner_references=(owner,)))
    found = evolve(cluster("c1", remote_slice(), mirror), changed_at={WEB: NOW})
    findings = [plan(snapshot_of(found), now).findings for now in (NOW, NOW + 10)]
    assert [[each.reason for each in some] for some in findings] == [[Reason.LOOP], [Reason.LOOP]]
