"""Plans for one Service and for all, one fact in each test."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from svclink_core import (
    PENDING,
    ClusterLinkSpec,
    Create,
    Decision,
    Delete,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    Finding,
    Guard,
    NamespacedName,
    Options,
    Outcome,
    Plan,
    Planner,
    Precondition,
    Reason,
    RemoteCluster,
    Service,
    Snapshot,
    Unreachable,
    Update,
    plan,
    plan_service,
)
from svclink_core.ownership import is_ours
from svclink_core.snapshot import Connection
from svclink_core.well_known import (
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    ZONE_OF_NO_NODE,
)
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    endpoint,
    foreign_slice,
    leftover_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
)
from tests.unit.core.world import (
    NOW,
    applied,
    collected,
    main_slices,
    settled,
    unseen,
    with_link,
    with_main,
)

LOST = Unreachable("2026-01-01T00:00:00Z", 1_767_225_600.0)


def names(decided: Plan) -> list[tuple[str, str]]:
    """Kind and name of every change, in order."""
    return [(type(change).__name__, change.key.name) for change in decided.changes]


def test_a_service_of_two_clusters() -> None:
    """A Service of the usual size has one slice for each cluster, named `{service}-{cluster}`."""
    found = snapshot_of(cluster("c1", remote_slice()), cluster("c2", remote_slice()))
    assert names(plan(found, NOW)) == [("Create", "web-c1"), ("Create", "web-c2")]


def test_the_mirror_of_a_slice() -> None:
    """The created slice equals `mirrored_slice`, apart from the fields that the server sets."""
    (endpoint_slice,) = main_slices(settled(snapshot_of(cluster("c1", remote_slice()))))
    expected = mirrored_slice()
    metadata = evolve(
        expected.metadata,
        uid=endpoint_slice.metadata.uid,
        resource_version=endpoint_slice.metadata.resource_version,
    )
    assert endpoint_slice == evolve(expected, metadata=evolve(metadata, generation=1))


def test_mirrored_service_needs_no_change() -> None:
    """A Service that is mirrored already gets no change, and a decision with the counts."""
    found = snapshot_of(cluster("c1", remote_slice()), slices=[mirrored_slice()])
    assert plan(found, NOW) == Plan(
        (), (Decision(WEB, "c1", Outcome.MIRRORED, Reason.MIRRORED, 1, 1),), ()
    )


def test_creations_and_updates_come_before_deletions() -> None:
    """The order of changes keeps the addresses of a Service available all the time."""
    found = snapshot_of(
        cluster("c1", remote_slice("web-new"), remote_slice("web-zzz", "10.0.0.5")),
        slices=[
            mirrored_slice("a", "fd00::1", source="web-old", address_type="IPv6"),
            mirrored_slice("zzz", source="web-zzz"),
        ],
    )
    assert names(plan(found, NOW)) == [("Create", "web-c1"), ("Update", "zzz"), ("Delete", "a")]


def test_slices_of_a_deleted_link_are_deleted() -> None:
    """Slices of a link that does not exist are found by label, with or without the Service."""
    for services in ([service()], []):
        (change,) = plan(
            snapshot_of(services=services, slices=[mirrored_slice(cluster="gone")]), NOW
        ).changes
        assert isinstance(change, Delete)
        assert change.reason is Reason.LINK_GONE


def test_slices_of_a_deleted_link_have_a_decision() -> None:
    """The decision of a deleted link has the reason LinkGone."""
    (decision,) = plan(snapshot_of(slices=[mirrored_slice(cluster="gone")]), NOW).decisions
    assert decision == Decision(WEB, "gone", Outcome.SKIPPED, Reason.LINK_GONE)


def test_slice_that_lost_its_cluster_label_is_not_changed() -> None:
    """Its mirror is created beside it, under another name."""
    lost = mirrored_slice(labels={LABEL_CLUSTER: None})
    found = snapshot_of(cluster("c1", remote_slice()), slices=[lost])
    (created,) = plan(found, NOW).changes
    assert isinstance(created, Create)
    assert lost in main_slices(settled(found))


@pytest.mark.parametrize("owner_uid", ["uid-of-web", None])
def test_a_slice_that_lost_its_service_is_replaced(owner_uid: str | None) -> None:
    """A slice without a Service label is found, with or without its owner, and replaced."""
    old = mirrored_slice(owner_uid=owner_uid, labels={LABEL_SERVICE_NAME: None})
    after = settled(snapshot_of(cluster("c1", remote_slice()), slices=[old]))
    assert [
        endpoint_slice.metadata.label(LABEL_SERVICE_NAME) for endpoint_slice in main_slices(after)
    ] == ["web"]


def test_a_slice_of_an_unknown_service_is_deleted() -> None:
    """A slice without an owner, of a Service that no cluster has, is deleted."""
    old = mirrored_slice(key=NamespacedName("default", "old"), owner_uid=None)
    assert names(plan(snapshot_of(cluster("c1"), slices=[old]), NOW)) == [("Delete", "old-c1")]


@pytest.mark.parametrize("connection", [PENDING, LOST])
def test_nothing_is_deleted_on_a_guess(connection: Connection) -> None:
    """Slices of a pending or unreachable cluster stay, and their decision gives the reason."""
    found = snapshot_of(
        cluster("c1", connection=connection, services=[]), slices=[mirrored_slice()]
    )
    (decision,) = plan(found, NOW).decisions
    assert plan(found, NOW).changes == ()
    assert (decision.outcome, decision.slices, decision.endpoints) == (Outcome.KEPT, 1, 1)
    assert decision.reason is (Reason.PENDING if connection == PENDING else Reason.UNREACHABLE)


@pytest.mark.parametrize("connection", [PENDING, LOST])
def test_slices_of_an_unreachable_cluster_follow_a_new_service(connection: Connection) -> None:
    """Slices follow a re-created Service, so that the garbage collector does not delete them."""
    old = mirrored_slice(owner_uid="uid-of-the-old-web")
    found = settled(snapshot_of(cluster("c1", connection=connection), slices=[old]))
    (endpoint_slice,) = main_slices(collected(found))
    assert endpoint_slice.metadata.owner_references == mirrored_slice().metadata.owner_references
    assert endpoint_slice.endpoints == old.endpoints


@pytest.mark.parametrize("connection", [PENDING, LOST])
def test_kept_slices_get_current_hints(connection: Connection) -> None:
    """One ready endpoint without a hint would end topology routing for the whole Service."""
    plain = mirrored_slice(endpoints=[endpoint(zone="zone-a"), endpoint("10.0.0.2")])
    hinted = mirrored_slice(
        endpoints=[
            endpoint(zone="zone-a", hints=EndpointHints(("zone-a",))),
            endpoint("10.0.0.2", hints=EndpointHints((ZONE_OF_NO_NODE,))),
        ]
    )
    remote, asking = (
        cluster("c1", connection=connection),
        service(traffic_distribution="PreferClose"),
    )
    for main, before, after in ((asking, plain, hinted), (service(), hinted, plain)):
        found = snapshot_of(remote, services=[main], slices=[before])
        (change,) = plan(found, NOW).changes
        assert isinstance(change, Update)
        assert change.endpoint_slice.endpoints == after.endpoints
        assert plan(settled(found), NOW).changes == ()


def test_slices_of_an_unreachable_cluster_do_not_follow_a_deleted_service() -> None:
    """The slices of a Service that is gone are left to the garbage collector."""
    old = mirrored_slice(owner_uid="uid-of-the-old-web")
    found = snapshot_of(cluster("c1", connection=LOST), services=[], slices=[old])
    assert plan(found, NOW).changes == ()


def test_slices_of_a_service_that_is_being_deleted_go_while_the_cluster_is_away() -> None:
    """What main says decides before it matters what the cluster says, but leftovers stay."""
    dying = service(deleted_at="2026-01-01T00:00:00Z")
    slices = [mirrored_slice(), leftover_slice()]
    found = snapshot_of(cluster("c1", connection=LOST), services=[dying], slices=slices)
    (change,) = plan(found, NOW).changes
    assert (change.key.name, change.reason) == ("web-c1", Reason.MAIN_DELETING)


@pytest.mark.parametrize("is_understood", [True, False])
@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ({"is_selected": False}, Reason.NOT_SELECTED),
        ({"spec": ClusterLinkSpec(enabled=False)}, Reason.FROZEN),
    ],
)
def test_slices_of_unselected_and_frozen_links_are_not_touched(
    link: dict[str, Any], reason: Reason, *, is_understood: bool
) -> None:
    """Not even the owner of such a slice changes, whatever happens to its Service."""
    old = mirrored_slice(owner_uid="uid-of-the-old-web", labels={LABEL_SERVICE_NAME: None})
    found = with_link(snapshot_of(cluster("c1", remote_slice("other")), slices=[old]), "c1", **link)
    if not is_understood:
        found = evolve(found, main=evolve(found.main, undecodable=[WEB]))
    assert plan(found, NOW) == Plan((), (Decision(WEB, "c1", Outcome.KEPT, reason, 1, 1),), ())


def test_name_of_an_unselected_link_is_not_used() -> None:
    """Names are chosen among all links, so that two controllers never choose the same one."""
    key = NamespacedName("default", "web-b")
    source = cluster("c", remote_slice("web-b-abc", key=key), services=[service(key)])
    both = snapshot_of(source, cluster("b-c", services=()), services=[service(key)])
    (change,) = plan(with_link(both, "b-c", is_selected=False), NOW).changes
    assert change.key.name.startswith("web-b-c-")


def test_slices_that_are_being_deleted_are_not_changed() -> None:
    """A slice that is being deleted is neither deleted again nor given another owner."""
    dying = mirrored_slice(owner_uid="old", deleted_at="2026-01-01T00:00:00Z")
    for remotes in (
        [],
        [cluster("c1", connection=LOST)],
        [cluster("c1", services=[])],
        [cluster("c1")],
    ):
        assert plan(snapshot_of(*remotes, slices=[dying]), NOW).changes == ()


@pytest.mark.parametrize(
    ("spec", "options", "reason"),
    [
        (ClusterLinkSpec(excluded_services=("default/web",)), Options(), Reason.SERVICE_EXCLUDED),
        (ClusterLinkSpec(), Options(frozenset({"prod"})), Reason.NAMESPACE_NOT_IN_FLAG),
    ],
)
def test_a_filtered_service_is_removed(
    spec: ClusterLinkSpec, options: Options, reason: Reason
) -> None:
    """A filter is enough proof to delete."""
    found = snapshot_of(
        cluster("c1", remote_slice(), spec=spec), slices=[mirrored_slice()], options=options
    )
    (change,) = plan(found, NOW).changes
    assert isinstance(change, Delete)
    assert change.reason is reason
    assert plan(found, NOW).decisions == (Decision(WEB, "c1", Outcome.SKIPPED, reason),)


def test_slices_of_a_deleted_main_service_are_left_to_the_garbage_collector() -> None:
    """The Service may be re-created first, and then the slices are kept."""
    found = snapshot_of(cluster("c1", remote_slice()), services=[], slices=[mirrored_slice()])
    assert plan(found, NOW).changes == ()
    assert main_slices(collected(found)) == []


def test_slice_without_owner_of_a_deleted_main_service_is_deleted() -> None:
    """The garbage collector ignores a slice without an owner, so svclink deletes it."""
    found = snapshot_of(
        cluster("c1", remote_slice()), services=[], slices=[mirrored_slice(owner_uid=None)]
    )
    assert names(plan(found, NOW)) == [("Delete", "web-c1")]


@pytest.mark.parametrize("remote", [cluster("c1"), cluster("c1", connection=LOST)])
def test_slice_that_was_labelled_for_a_missing_service_is_deleted(remote: RemoteCluster) -> None:
    """The garbage collector does not remove it, because its owner still exists."""
    moved = mirrored_slice(labels={LABEL_SERVICE_NAME: "other"})
    changes = plan(snapshot_of(remote, slices=[moved]), NOW).changes
    assert Delete(moved, Precondition(moved.metadata.uid, "7"), Reason.MAIN_SERVICE_MISSING) in (
        changes
    )


def test_recreated_main_service_keeps_its_slices() -> None:
    """Slices that the garbage collector has not deleted yet get the new owner."""
    gone = snapshot_of(cluster("c1", remote_slice()), services=[], slices=[mirrored_slice()])
    (change,) = plan(with_main(gone, services=[service(uid="new-uid")]), NOW).changes
    assert isinstance(change, Update)
    assert change.reason is Reason.OWNER_CHANGED


def test_a_foreign_slice_keeps_its_name() -> None:
    """A foreign slice that holds the readable name stays; the mirror gets another name."""
    foreign = foreign_slice("web-c1", labels={LABEL_SERVICE_NAME: "web"})
    after = settled(snapshot_of(cluster("c1", remote_slice()), slices=[foreign]))
    held = [endpoint_slice.metadata.name for endpoint_slice in main_slices(after)]
    assert foreign in main_slices(after)
    assert len(held) == 2
    assert plan(after, NOW).changes == ()


@pytest.mark.parametrize("labels", [{LABEL_CLUSTER: "c1"}, {LABEL_MANAGED_BY: "me"}])
def test_foreign_slices_are_ignored(labels: dict[str, str]) -> None:
    """A cluster label alone does not make a slice ours."""
    foreign = foreign_slice("web-x", labels={LABEL_SERVICE_NAME: "web", **labels})
    assert names(plan(snapshot_of(cluster("c1"), slices=[foreign]), NOW)) == []


def test_two_services_with_one_readable_name() -> None:
    """Service a-b of cluster c and Service a of cluster b-c are both mirrored."""
    keys = [NamespacedName("default", "a-b"), NamespacedName("default", "a")]
    services = [service(key, uid=f"uid-of-{key.name}") for key in keys]
    slices = [remote_slice(f"{key.name}-1", key=key) for key in keys]
    found = snapshot_of(
        cluster("c", *slices, services=services),
        cluster("b-c", *slices, services=services),
        services=services,
    )
    created = [change.key.name for change in plan(found, NOW).changes]
    assert len(created) == len(set(created)) == 4
    assert {"a-c", "a-b-c", "a-b-b-c"} < set(created)


def test_findings() -> None:
    """Each reason for leaving something out is one finding, whatever slices it comes from."""
    admin = EndpointPort("admin", port=9000)
    found = snapshot_of(
        cluster(
            "c1",
            remote_slice("web-1", "10.0.0.1", "127.0.0.1"),
            remote_slice("web-2", "127.0.0.1", "0.0.0.0", "127.0.0.9", "127.0.0.3", "169.254.0.1"),
            remote_slice("web-3", ports=(admin,)),
            remote_slice("web-4", labels={LABEL_CLUSTER: "c9"}),
            remote_slice("web-5", address_type="FQDN", endpoints=[endpoint("web.example.com")]),
            remote_slice("web-6", endpoints=[]),
        )
    )
    assert plan(found, NOW).findings == (
        Finding(WEB, "c1", Reason.ADDRESS_TYPE, ("web-5",)),
        Finding(
            WEB,
            "c1",
            Reason.INVALID_ENDPOINTS,
            ("0.0.0.0", "127.0.0.1", "127.0.0.3", "127.0.0.9", "169.254.0.1"),
        ),
        Finding(WEB, "c1", Reason.LOOP, ("web-4",)),
        Finding(WEB, "c1", Reason.PORT_MISMATCH, ("admin 9000/TCP",)),
    )
    assert plan(found, NOW).decisions == (
        Decision(WEB, "c1", Outcome.MIRRORED, Reason.MIRRORED, 1, 1),
    )


@pytest.mark.parametrize(
    "slices", [[], [remote_slice(endpoints=[])], [remote_slice("web-1", "127.0.0.1")]]
)
def test_a_service_without_endpoints_is_skipped(slices: list[object]) -> None:
    """An imported Service without usable endpoints has a reason, and its mirrors are deleted."""
    found = snapshot_of(cluster("c1", *slices), slices=[mirrored_slice()])  # type: ignore[arg-type]
    assert plan(found, NOW).decisions == (
        Decision(WEB, "c1", Outcome.SKIPPED, Reason.NO_ENDPOINTS, deletions=1),
    )
    assert names(plan(found, NOW)) == [("Delete", "web-c1")]


def test_remote_slices_without_service_label_are_not_mirrored() -> None:
    """A remote slice belongs to the Service in its label, as for kube-proxy, not to its owner."""
    unlabelled = remote_slice()
    metadata = evolve(
        unlabelled.metadata, labels=(), owner_references=mirrored_slice().metadata.owner_references
    )
    assert (
        plan(snapshot_of(cluster("c1", evolve(unlabelled, metadata=metadata))), NOW).changes == ()
    )


def test_plan_is_in_order_of_services() -> None:
    """Decisions are sorted by Service and then by cluster."""
    keys = [
        NamespacedName("prod", "a"),
        NamespacedName("default", "b"),
        NamespacedName("default", "a"),
    ]
    found = snapshot_of(
        cluster("c2", services=[]),
        cluster("c1", services=[]),
        services=[service(key) for key in keys],
    )
    assert [(str(each.service), each.cluster) for each in plan(found, NOW).decisions] == [
        ("default/a", "c1"), ("default/a", "c2"), ("default/b", "c1"), ("default/b", "c2"),
        ("prod/a", "c1"), ("prod/a", "c2"),
    ]  # fmt: skip


def test_plan_of_an_unknown_service_is_empty() -> None:
    """The plan for a Service that no cluster has contains only the reason."""
    unknown = NamespacedName("default", "unknown")
    decided = plan_service(snapshot_of(cluster("c1")), unknown, NOW)
    assert decided == Plan(
        (), (Decision(unknown, "c1", Outcome.SKIPPED, Reason.MAIN_SERVICE_MISSING),), ()
    )


def test_leftover_is_deleted_after_its_replacement_exists() -> None:
    """The first plan creates the mirror under another name; the next one deletes the leftover."""
    found = snapshot_of(cluster("c1", remote_slice()), slices=[leftover_slice("web-c1")])
    (created,) = plan(found, NOW).changes
    assert isinstance(created, Create)
    (deleted,) = plan(applied(found, [created]), NOW).changes
    assert isinstance(deleted, Delete)
    assert (deleted.key.name, deleted.reason) == ("web-c1", Reason.LEFTOVER_REPLACED)
    assert [is_ours(endpoint_slice) for endpoint_slice in main_slices(settled(found))] == [True]


def test_leftover_stays_while_a_mirror_is_missing() -> None:
    """While a mirror must be created or changed, the leftover's addresses are still needed."""
    one, two = remote_slice("web-abc"), remote_slice("web-two", "10.0.0.2")
    found = snapshot_of(cluster("c1", one, two), slices=[mirrored_slice("ours"), leftover_slice()])
    assert [type(change) for change in plan(found, NOW).changes] == [Create]


@pytest.mark.parametrize("remote", [cluster("c1", connection=LOST), cluster("c2", remote_slice())])
def test_leftover_of_a_cluster_that_is_not_known_stays(remote: RemoteCluster) -> None:
    """Nothing can replace the slice as long as its cluster is lost, or has no link."""
    assert leftover_slice() in main_slices(settled(snapshot_of(remote, slices=[leftover_slice()])))


# What is remembered


SEEN = snapshot_of(cluster("c1", remote_slice()), slices=[mirrored_slice()])
WITHHELD = snapshot_of(evolve(cluster("c1"), guard=Guard(is_armed=True)), slices=[mirrored_slice()])


def with_c1(found: Snapshot, **changed: Any) -> Snapshot:
    """The snapshot with a difference in cluster c1."""
    return evolve(found, remotes={"c1": evolve(found.remotes["c1"], **changed)})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            SEEN,
            with_c1(
                SEEN, link=evolve(SEEN.remotes["c1"].link, spec=ClusterLinkSpec(enabled=False))
            ),
        ),
        (SEEN, with_c1(SEEN, connection=PENDING)),
        (SEEN, with_c1(SEEN, undecodable=frozenset({WEB}))),
        (SEEN, with_c1(SEEN, services={})),
        (SEEN, with_c1(SEEN, endpoint_slices={})),
        (SEEN, with_c1(SEEN, endpoint_slices={WEB: (remote_slice("web-abc", "10.0.0.9"),)})),
        (SEEN, with_main(SEEN, slices=[])),
        (SEEN, with_main(SEEN, services=[service(uid="another")])),
        (SEEN, evolve(SEEN, main=evolve(SEEN.main, undecodable=frozenset({WEB})))),
        (SEEN, evolve(SEEN, options=Options(included_namespaces=frozenset({"other"})))),
        (WITHHELD, with_c1(WITHHELD, guard=Guard(is_armed=True, released=frozenset({WEB})))),
    ],
)
def test_changed_facts_are_planned_again(before: Snapshot, after: Snapshot) -> None:
    """What a Planner remembers applies only to the facts that it was planned for."""
    planner = Planner()
    assert planner.plan(before, NOW) == planner.plan(before, NOW) == plan(before, NOW)
    assert planner.plan(before, NOW).changes == ()
    decided = planner.plan(after, NOW)
    assert decided != plan(before, NOW)
    assert decided == plan(unseen(after), NOW)


def test_slices_that_are_being_deleted_do_not_count_as_mirrored() -> None:
    """A slice that is being deleted does not hold its addresses, in a repeated plan either."""
    going = mirrored_slice("old", "10.0.0.7", deleted_at="2026-01-01T00:00:00Z")
    clusters = (cluster("c1", remote_slice()), cluster("c2", remote_slice("web-abc", "10.0.0.7")))
    found = snapshot_of(
        *clusters,
        slices=[mirrored_slice(), going, mirrored_slice("web-c2", "10.0.0.7", cluster="c2")],
    )
    planner = Planner()
    for _ in range(2):
        assert planner.plan(found, NOW).findings == ()


@pytest.mark.parametrize(
    ("services", "slices", "is_concerned"),
    [([service()], [], True), ([], [mirrored_slice()], True), ([], [], False)],
)
def test_undecodable_object_of_main_is_a_finding_of_each_link_concerned(
    services: list[Service], slices: list[EndpointSlice], *, is_concerned: bool
) -> None:
    """A link is concerned if its cluster has the Service, or something of it is mirrored."""
    found = snapshot_of(cluster("c1", services=services), slices=slices)
    found = evolve(found, main=evolve(found.main, undecodable=frozenset({WEB})))
    expected = [Finding(WEB, "c1", Reason.MAIN_UNDECODABLE, ())] if is_concerned else []
    assert list(plan(found, NOW).findings) == expected


def test_undecodable_object_of_a_remote_cluster_is_a_finding_of_its_link() -> None:
    """The link whose cluster has the object shows it; other links do not."""
    odd = evolve(cluster("c1", services=[]), undecodable=frozenset({WEB}))
    found = snapshot_of(odd, cluster("c2", remote_slice()))
    assert plan(found, NOW).findings == (Finding(WEB, "c1", Reason.UNDECODABLE, ()),)
