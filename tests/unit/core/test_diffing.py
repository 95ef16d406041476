"""Desired slices against observed ones, one fact in each test."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from attrs import evolve

from svclink_core import (
    Create,
    Delete,
    EndpointHints,
    EndpointSlice,
    NamespacedName,
    ObjectMeta,
    OwnerReference,
    Precondition,
    ProgrammerError,
    Reason,
    SliceChange,
    Update,
)
from svclink_core.diffing import delete, diff, update_to
from svclink_core.meta_v1 import Additions
from svclink_core.naming import Names, hashed_name
from svclink_core.well_known import (
    ANNOTATION_SHARD,
    LABEL_CLUSTER,
    LABEL_HEADLESS,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
)
from tests.builders.keys import WEB
from tests.builders.values import endpoint, mirrored_slice


def wanted(*addresses: str, source: str = "web-abc", address_type: str = "IPv4") -> EndpointSlice:
    """A desired slice, without name, uid and resourceVersion."""
    endpoint_slice = mirrored_slice("x", *addresses, source=source, address_type=address_type)
    return evolve(
        endpoint_slice,
        metadata=evolve(endpoint_slice.metadata, name="", uid="", resource_version=""),
    )


def changes(
    desired: Iterable[EndpointSlice], observed: Iterable[EndpointSlice], taken: Iterable[str] = ()
) -> list[SliceChange]:
    observed = list(observed)
    held = {endpoint_slice.metadata.key for endpoint_slice in observed} | {
        NamespacedName(WEB.namespace, name) for name in taken
    }
    return diff(WEB, "c1", desired, observed, Names(WEB.namespace, ["c1"], held))


def test_matching_slice_is_not_changed() -> None:
    """A slice that matches the desired one causes no change."""
    assert changes([wanted()], [mirrored_slice()]) == []


def test_a_missing_slice_is_created() -> None:
    """A desired slice that does not exist is created under its readable name."""
    (change,) = changes([wanted()], [])
    assert change == Create(
        evolve(wanted(), metadata=evolve(wanted().metadata, name="web-c1")), Reason.SOURCE_ADDED
    )
    assert change.key == NamespacedName("default", "web-c1")


def test_a_second_slice_gets_another_name() -> None:
    """Of two slices created together, the first by source gets the readable name."""
    first, second = changes([wanted(source="web-b"), wanted(source="web-a")], [])
    assert (first.key.name, first.endpoint_slice.source) == ("web-c1", "web-a")
    assert second.key.name.startswith("web-c1-")


def test_a_taken_name_is_not_used() -> None:
    """A name that another object holds is not used."""
    (change,) = changes([wanted()], [], taken=["web-c1"])
    assert change.key.name.startswith("web-c1-")


def test_a_changed_slice_is_updated() -> None:
    """A slice with other content is replaced, with the observed version as precondition."""
    (change,) = changes([wanted("10.0.0.2")], [mirrored_slice("other-name", "10.0.0.1")])
    assert isinstance(change, Update)
    assert change.reason is Reason.CONTENT_CHANGED
    assert change.key == NamespacedName("default", "other-name")
    assert change.precondition == Precondition("uid-of-other-name", "7")
    assert change.endpoint_slice.endpoints == (endpoint("10.0.0.2"),)


def test_a_slice_whose_source_is_gone_is_deleted() -> None:
    """A slice that is not desired is deleted, with the observed version as precondition."""
    old = mirrored_slice()
    assert changes([], [old]) == [
        Delete(old, Precondition("uid-of-web-c1", "7"), Reason.SOURCE_GONE)
    ]


def test_a_new_source_takes_over_the_mirror_of_one_that_is_gone() -> None:
    """The mirror of a re-created Service keeps its name, and its addresses change in one write."""
    (update,) = changes([wanted("10.0.0.2", source="web-new")], [mirrored_slice()])
    assert isinstance(update, Update)
    assert (update.key.name, update.endpoint_slice.source) == ("web-c1", "web-new")
    assert update.endpoint_slice.endpoints == (endpoint("10.0.0.2"),)


def test_the_readable_name_is_taken_over_first() -> None:
    """Of several mirrors without a source, the one with the readable name stays in use."""
    old = [mirrored_slice(name, source=name) for name in ("a", "web-c1", "z")]
    update, *deleted = changes([wanted(source="web-new")], old)
    assert isinstance(update, Update)
    assert update.key.name == "web-c1"
    assert [(type(each), each.key.name) for each in deleted] == [(Delete, "a"), (Delete, "z")]


def test_more_new_sources_than_mirrors() -> None:
    """The first new source takes over the mirror, and the others get mirrors of their own."""
    update, created = changes([wanted(source="web-2"), wanted(source="web-1")], [mirrored_slice()])
    assert isinstance(update, Update)
    assert update.endpoint_slice.source == "web-1"
    assert isinstance(created, Create)
    assert created.endpoint_slice.source == "web-2"


def test_a_slice_that_looks_like_a_shard_is_told_apart() -> None:
    """A mirror with both in one annotation, as earlier versions wrote it, is that of the shard."""
    shard = wanted()
    annotations = (*shard.metadata.annotations, (ANNOTATION_SHARD, "1"))
    shard = evolve(shard, metadata=evolve(shard.metadata, annotations=annotations))
    assert shard.source == "web-abc/1"
    assert changes([shard], [mirrored_slice(source="web-abc/1")]) == []


def test_another_address_type_is_another_slice() -> None:
    """The address type is immutable, so a change of it is a creation and a deletion."""
    created, deleted = changes([wanted("fd00::1", address_type="IPv6")], [mirrored_slice()])
    assert isinstance(created, Create)
    assert isinstance(deleted, Delete)


def test_one_of_two_with_the_same_source_is_deleted() -> None:
    """Of two slices with the same source, the first by name is kept."""
    old = mirrored_slice("web-c1-0123456789")
    assert changes([wanted()], [old, mirrored_slice()]) == [
        Delete(old, Precondition("uid-of-web-c1-0123456789", "7"), Reason.DUPLICATE)
    ]


def test_slice_that_is_being_deleted_only_holds_its_name() -> None:
    """A slice that waits for finalizers is not changed, and its name stays taken."""
    (change,) = changes([wanted()], [mirrored_slice(deleted_at="2026-01-01T00:00:00Z")])
    assert isinstance(change, Create)
    assert change.key.name != "web-c1"


def test_slice_that_is_being_deleted_does_not_hide_its_successor() -> None:
    """A slice that waits for finalizers does not hide the slice that replaced it."""
    dying = mirrored_slice("a", deleted_at="2026-01-01T00:00:00Z")
    assert changes([wanted()], [dying, mirrored_slice("b")]) == []


@pytest.mark.parametrize("label", [None, "", "other"])
def test_lost_service_label_is_not_fixed_in_place(label: str | None) -> None:
    """kube-proxy leaks endpoints if the Service label changes, so the slice is replaced."""
    created, deleted = changes([wanted()], [mirrored_slice(labels={LABEL_SERVICE_NAME: label})])
    assert isinstance(created, Create)
    assert isinstance(deleted, Delete)
    assert deleted.reason is Reason.DUPLICATE


@pytest.mark.parametrize(
    "edited",
    [
        mirrored_slice(labels={LABEL_HEADLESS: ""}),
        mirrored_slice(labels={LABEL_CLUSTER: "c2"}),
        evolve(mirrored_slice(), ports=()),
        evolve(mirrored_slice(), endpoints=()),
        evolve(mirrored_slice(), endpoints=(endpoint(node_name="worker-0"),)),
        evolve(mirrored_slice(), endpoints=(endpoint(hints=EndpointHints(("zone-a",))),)),
    ],
)
def test_a_slice_edited_by_hand_is_repaired(edited: EndpointSlice) -> None:
    """Edited labels, ports and endpoints are restored."""
    update = update_to(wanted(), edited)
    assert update is not None
    assert update.reason is Reason.CONTENT_CHANGED


OTHER_OWNER = OwnerReference(
    "v1", "Service", "web", "uid-of-the-old-web", controller=True, block_owner_deletion=False
)


@pytest.mark.parametrize(
    "owners",
    [(), (OTHER_OWNER,), (*mirrored_slice().metadata.owner_references, OTHER_OWNER)],
)
def test_the_owner_is_replaced_in_place(owners: tuple[OwnerReference, ...]) -> None:
    """A slice gets the uid of a re-created Service before the garbage collector can delete it."""
    old = evolve(
        mirrored_slice(), metadata=evolve(mirrored_slice().metadata, owner_references=owners)
    )
    update = update_to(wanted(), old)
    assert update is not None
    assert update.reason is Reason.OWNER_CHANGED
    assert update.endpoint_slice.metadata.owner_references == wanted().metadata.owner_references


def noisy(metadata: ObjectMeta) -> ObjectMeta:
    annotations = (*metadata.annotations, ("service.kubernetes.io/topology-mode", "Auto"))
    return evolve(
        metadata, generation=9, creation_timestamp="2026-01-01T00:00:00Z", annotations=annotations
    )


@pytest.mark.parametrize("other", [wanted(source="web-xyz"), wanted(address_type="IPv6")])
def test_another_identity_is_another_content(other: EndpointSlice) -> None:
    """Another source or address type is other content, even with the same endpoints."""
    update = update_to(other, mirrored_slice())
    assert update is not None
    assert update.reason is Reason.CONTENT_CHANGED


def test_fields_of_others_are_not_a_difference() -> None:
    """Fields that the API server or others set cause no write."""
    old = mirrored_slice()
    assert update_to(wanted(), evolve(old, metadata=noisy(old.metadata))) is None


def test_additions_of_others_stay_at_an_update() -> None:
    """Labels, annotations and finalizers of others are no difference, and are written again."""
    additions = Additions((("team", "a"),), (("note", "x"),), ("example.com/hold",))
    old = mirrored_slice()
    added = evolve(old, metadata=evolve(old.metadata, additions=additions))
    assert update_to(wanted(), added) is None
    update = update_to(wanted("10.0.0.2"), added)
    assert update is not None
    assert update.endpoint_slice.metadata.additions == additions


@pytest.mark.parametrize("managed_by", [None, "", "endpointslice-controller.k8s.io"])
def test_slices_of_others_are_never_touched(managed_by: str | None) -> None:
    """A change to a slice that is not ours is a ProgrammerError."""
    foreign = mirrored_slice(labels={LABEL_MANAGED_BY: managed_by})
    with pytest.raises(ProgrammerError, match="default/web-c1 is not managed by svclink"):
        delete(foreign, Reason.SOURCE_GONE)
    with pytest.raises(ProgrammerError, match="default/web-c1 is not managed by svclink"):
        update_to(wanted(), foreign)


def test_keys_of_changes() -> None:
    """Every change has the namespace and name of its slice."""
    old = mirrored_slice("web-c1", "10.0.0.9")
    update, deletion = update_to(wanted(), old), delete(old, Reason.LINK_GONE)
    assert update is not None
    assert update.key == deletion.key == NamespacedName("default", "web-c1")


def test_what_was_equal_stays_equal() -> None:
    """A slice that had the desired endpoints once still has them when compared again."""
    observed = mirrored_slice("web-c1", "10.0.0.1", "10.0.0.2")
    desired, other = wanted("10.0.0.1", "10.0.0.2"), wanted("10.0.0.1", "10.0.0.3")
    for _ in range(2):
        assert update_to(desired, observed) is None
        assert update_to(other, observed) is not None
    assert update_to(wanted("10.0.0.1", "10.0.0.2"), observed) is None


def test_a_hash_tells_slices_apart_by_their_source() -> None:
    """A second slice is named after its source, so it gets the same name in every plan."""
    names = [
        change.key.name for change in changes([wanted(source="web-1"), wanted(source="web-2")], [])
    ]
    assert names == ["web-c1", hashed_name(WEB, "c1", "web-2", 0)]
