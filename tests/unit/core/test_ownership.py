"""Who owns an EndpointSlice, and what that means for it."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import (
    ClusterLinkSpec,
    Create,
    Delete,
    EndpointSlice,
    Foreign,
    Guard,
    Leftover,
    NamespacedName,
    Ours,
    Owner,
    OwnerReference,
    ProgrammerError,
    Reason,
    RemoteCluster,
    Unclear,
    owner_of,
    plan,
    service_of,
)
from svclink_core.diffing import delete
from svclink_core.ownership import cluster_of, is_collected_with, is_mirror, is_ours
from svclink_core.snapshot import PENDING
from svclink_core.well_known import (
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_MCS_SOURCE_CLUSTER,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    foreign_slice,
    leftover_slice,
    mirrored_slice,
    remote_slice,
    snapshot_of,
)
from tests.unit.core.world import NOW, main_slices, settled

MANAGED = {LABEL_MANAGED_BY: MANAGED_BY}


def labelled(labels: dict[str, str], name: str = "web-old") -> EndpointSlice:
    return foreign_slice(name, labels={LABEL_SERVICE_NAME: "web", **labels})


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, Foreign()),
        ({LABEL_MANAGED_BY: "endpointslice-controller.k8s.io"}, Foreign()),
        ({LABEL_CLUSTER: "c1"}, Foreign()),
        ({LABEL_CLUSTER: "c1", LABEL_MANAGED_BY: "another"}, Foreign()),
        (MANAGED, Unclear()),
        ({**MANAGED, LABEL_CLUSTER: ""}, Unclear()),
        ({**MANAGED, LABEL_CLUSTER: "c1"}, Ours("c1")),
        ({LABEL_GO_CLUSTER: "c1"}, Leftover("c1")),
        ({**MANAGED, LABEL_GO_CLUSTER: "c1"}, Leftover("c1")),
        ({**MANAGED, LABEL_CLUSTER: "c2", LABEL_GO_CLUSTER: "c1"}, Leftover("c1")),
    ],
)
def test_labels_say_who_owns_a_slice(labels: dict[str, str], expected: Owner) -> None:
    """The label of the Go release decides first, then ours with a cluster."""
    found = labelled(labels)
    assert owner_of(found) == expected
    assert is_ours(found) is isinstance(expected, Ours)
    named = expected.cluster if isinstance(expected, Ours | Leftover) else None
    assert cluster_of(found) == named


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, False),
        (MANAGED, True),
        ({LABEL_CLUSTER: "c1"}, True),
        ({LABEL_GO_CLUSTER: "c1"}, True),
        ({LABEL_MCS_SOURCE_CLUSTER: "c1"}, True),
    ],
)
def test_labels_say_whether_a_slice_is_a_mirror(labels: dict[str, str], *, expected: bool) -> None:
    """Any sign that a slice came from another cluster is enough not to mirror it again."""
    assert is_mirror(labelled(labels)) is expected


@pytest.mark.parametrize("labels", [{}, MANAGED, {LABEL_CLUSTER: "c1"}])
def test_only_ours_and_leftovers_can_be_deleted(labels: dict[str, str]) -> None:
    """Deleting any other slice is an error in the program."""
    with pytest.raises(ProgrammerError, match="default/web-old is not managed by svclink"):
        delete(labelled(labels), Reason.LINK_GONE)


def test_unclear_slice_is_never_deleted() -> None:
    """A slice of ours that lost its cluster label stays, whether or not any link exists."""
    unclear = mirrored_slice(labels={LABEL_CLUSTER: None})
    assert plan(snapshot_of(slices=[unclear]), NOW).changes == ()
    assert unclear in main_slices(
        settled(snapshot_of(cluster("c1", remote_slice()), slices=[unclear]))
    )


def test_slices_of_a_real_go_release_are_not_deleted_before_their_replacement_exists() -> None:
    """They carry our managed-by label and no cluster label of ours."""
    (change,) = plan(
        snapshot_of(cluster("c1", remote_slice()), slices=[leftover_slice()]), NOW
    ).changes
    assert isinstance(change, Create)


def test_slices_of_a_real_go_release_are_deleted_once_replaced() -> None:
    """The mirror has the readable name, because the Go release uses another."""
    after = settled(snapshot_of(cluster("c1", remote_slice()), slices=[leftover_slice()]))
    assert [each.metadata.name for each in main_slices(after)] == ["web-c1"]


def test_slice_that_the_go_release_took_over_is_replaced() -> None:
    """During a rollback, the Go release may have put its label on a slice of ours."""
    taken = mirrored_slice(labels={LABEL_GO_CLUSTER: "c1"})
    (remaining,) = main_slices(settled(snapshot_of(cluster("c1", remote_slice()), slices=[taken])))
    assert owner_of(remaining) == Ours("c1")
    assert remaining.metadata.name != taken.metadata.name


def test_leftover_beside_a_slice_without_service_label_goes() -> None:
    """The slice of ours that lost its label is replaced first; nothing raises an error."""
    lost = mirrored_slice("web-a", labels={LABEL_SERVICE_NAME: None})
    after = settled(snapshot_of(cluster("c1", remote_slice()), slices=[lost, leftover_slice()]))
    assert [each.metadata.name for each in main_slices(after)] == ["web-c1"]


@pytest.mark.parametrize(
    ("remote", "reason"),
    [
        (cluster("c1"), Reason.NO_ENDPOINTS),
        (cluster("c1", services=[]), Reason.REMOTE_SERVICE_MISSING),
        (
            cluster("c1", remote_slice(), spec=ClusterLinkSpec(excluded_service_names=("web",))),
            Reason.SERVICE_NAME_EXCLUDED,
        ),
    ],
)
def test_leftover_that_the_rules_do_not_replace_goes(remote: RemoteCluster, reason: Reason) -> None:
    """The Service is excluded, gone or without endpoints: nothing would ever replace the slice."""
    (change,) = plan(snapshot_of(remote, slices=[leftover_slice()]), NOW).changes
    assert isinstance(change, Delete)
    assert (change.key.name, change.cluster, change.reason) == ("web-svclink-c1", "c1", reason)


def test_leftover_of_a_service_that_main_lacks_goes() -> None:
    """It has no owner, so the garbage collector would keep it forever."""
    found = snapshot_of(cluster("c1", remote_slice()), services=[], slices=[leftover_slice()])
    (change,) = plan(found, NOW).changes
    assert (change.key, change.reason) == (
        NamespacedName("default", "web-svclink-c1"),
        Reason.MAIN_SERVICE_MISSING,
    )


@pytest.mark.parametrize(
    "remote",
    [
        cluster("c1", connection=PENDING),
        cluster("c1", remote_slice(), spec=ClusterLinkSpec(enabled=False)),
        cluster("c2", remote_slice()),
    ],
)
def test_leftover_stays_while_its_link_is_not_synced(remote: RemoteCluster) -> None:
    """Nothing is deleted while its cluster is unknown; without a link a leftover stays forever."""
    assert leftover_slice() in main_slices(settled(snapshot_of(remote, slices=[leftover_slice()])))


def test_leftover_waits_for_the_deletion_guard() -> None:
    """A deletion of leftovers rests on what the cluster says as well, and that may be wrong."""
    guarded = evolve(cluster("c1", services=[]), guard=Guard(is_armed=True))
    planned = plan(snapshot_of(guarded, slices=[leftover_slice()]), NOW)
    assert planned.changes == ()
    (decision,) = planned.decisions
    assert (decision.reason, decision.deletions) == (Reason.DELETION_SETTLING, 1)


@pytest.mark.parametrize(
    ("api_version", "expected"), [("v1", True), ("serving.knative.dev/v1", False)]
)
def test_owner_of_another_group_is_not_the_service(api_version: str, *, expected: bool) -> None:
    """Knative has a kind of the name Service too."""
    owner = OwnerReference(api_version, "Service", "web", "uid")
    mirror = mirrored_slice()
    labels = tuple(each for each in mirror.metadata.labels if each[0] != LABEL_SERVICE_NAME)
    metadata = evolve(mirror.metadata, labels=labels, owner_references=(owner,))
    unlabelled = evolve(mirror, metadata=metadata)
    assert is_collected_with(unlabelled, WEB) is expected
    assert service_of(unlabelled) == (WEB if expected else NamespacedName("default", ""))
