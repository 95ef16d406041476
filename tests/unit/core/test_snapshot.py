"""Snapshots from plain lists, one fact in each test."""

from __future__ import annotations

from attrs import evolve

from svclink_core import (
    PENDING,
    SYNCED,
    EndpointSlice,
    NamespacedName,
    Options,
    OwnerReference,
    main_cluster,
    remote_cluster,
    snapshot,
)
from svclink_core.ownership import service_of
from svclink_core.snapshot import all_keys, group_by_service
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    foreign_slice,
    link,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
)

OTHER = NamespacedName("default", "other")


def test_slices_are_grouped_by_service() -> None:
    """Slices are grouped by Service key; slices without a Service are left out."""
    slices = [
        remote_slice("a"),
        remote_slice("b", key=OTHER),
        remote_slice("c"),
        foreign_slice("d"),
    ]
    assert group_by_service(slices) == {WEB: [slices[0], slices[2]], OTHER: [slices[1]]}


def test_the_main_cluster_knows_every_name() -> None:
    """Every slice name is in the snapshot, even that of a slice without a Service."""
    endpoint_slice = foreign_slice("d")
    main = main_cluster([service()], [endpoint_slice])
    assert main.names == {NamespacedName("default", "d"): endpoint_slice}
    assert main.endpoint_slices == {}
    assert main.services == {WEB: service()}


def test_remote_cluster_is_synced_by_default() -> None:
    """Plain lists are complete lists."""
    assert remote_cluster(link()).connection == SYNCED
    assert remote_cluster(link(), connection=PENDING).connection == PENDING


def test_a_snapshot_has_remotes_by_name() -> None:
    """A remote cluster has the name of its link."""
    options = Options(frozenset({"default"}))
    found = snapshot(main_cluster([], []), [cluster("c1"), cluster("c2")], options)
    assert list(found.remotes) == ["c1", "c2"]
    assert found.options == options


def test_all_keys() -> None:
    """The keys are the Services of all clusters, and those of mirrors without a Service."""
    keys = [NamespacedName("default", name) for name in "abc"]
    local = foreign_slice("local", labels={LABEL_SERVICE_NAME: "unknown"})
    found = snapshot_of(
        cluster("c1", services=[service(keys[0])]),
        services=[service(keys[1])],
        slices=[mirrored_slice(key=keys[2]), local],
    )
    assert all_keys(found) == set(keys)


def test_the_service_of_a_slice() -> None:
    """The label gives the Service; a mirror falls back to its owner, then to the empty name."""
    ours, foreign = mirrored_slice(), foreign_slice("local")
    owners = ours.metadata.owner_references
    lost = mirrored_slice(labels={LABEL_SERVICE_NAME: None})
    pod = evolve(owners[0], kind="Pod", name="a-pod")
    assert service_of(ours) == service_of(lost) == WEB
    assert service_of(with_owners(foreign, owners)) is None
    assert service_of(with_owners(lost, (pod, *owners))) == WEB
    assert service_of(with_owners(lost, (pod,))) == NamespacedName("default", "")


def with_owners(endpoint_slice: EndpointSlice, owners: tuple[OwnerReference, ...]) -> EndpointSlice:
    metadata = evolve(endpoint_slice.metadata, owner_references=owners)
    return evolve(endpoint_slice, metadata=metadata)
