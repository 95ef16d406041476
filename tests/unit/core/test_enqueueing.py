"""Which Services an event concerns: one fact a test."""

from __future__ import annotations

import pytest

from svclink_core import (
    ClusterChanged,
    EndpointSliceChanged,
    GuardChanged,
    NamespaceChanged,
    NamespacedName,
    Options,
    Service,
    ServiceChanged,
    requests_for,
)
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    foreign_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
)

A = NamespacedName("default", "a")
A_B = NamespacedName("default", "a-b")
OTHER = NamespacedName("default", "other")


@pytest.mark.parametrize(
    ("old", "new"), [(None, service()), (service(), None), (service(), service())]
)
def test_a_service_concerns_itself(old: Service | None, new: Service | None) -> None:
    """A Service that comes, goes or changes concerns its own name."""
    assert requests_for(ServiceChanged(old, new), snapshot_of()) == {WEB}


def test_nothing_concerns_nobody() -> None:
    """News of an object nobody knew concerns no Service."""
    assert requests_for(ServiceChanged(None, None), snapshot_of()) == set()
    assert requests_for(EndpointSliceChanged(None, None, in_main=True), snapshot_of()) == set()


@pytest.mark.parametrize("in_main", [True, False])
def test_a_slice_concerns_its_service(in_main: bool) -> None:
    """A slice concerns the Service of its label."""
    assert requests_for(EndpointSliceChanged(None, remote_slice(), in_main), snapshot_of()) == {WEB}


@pytest.mark.parametrize("in_main", [True, False])
def test_a_slice_that_changes_hands_concerns_both(in_main: bool) -> None:
    """A slice that was given to another Service concerns both."""
    event = EndpointSliceChanged(remote_slice(), remote_slice(key=OTHER), in_main)
    assert requests_for(event, snapshot_of()) == {WEB, OTHER}


def test_a_mirrored_slice_that_lost_its_label_concerns_its_owner() -> None:
    """A slice of ours without Service label is found by its owner."""
    piece = mirrored_slice(labels={LABEL_SERVICE_NAME: None})
    assert requests_for(EndpointSliceChanged(None, piece, in_main=True), snapshot_of()) == {WEB}


def test_a_mirrored_slice_of_nobody_concerns_the_service_without_name() -> None:
    """A slice of ours that lost label and owner is not forgotten."""
    piece = mirrored_slice(owner_uid=None, labels={LABEL_SERVICE_NAME: None})
    event = EndpointSliceChanged(None, piece, in_main=True)
    assert requests_for(event, snapshot_of()) == {NamespacedName("default", "")}


def test_a_slice_of_no_service_concerns_nobody() -> None:
    """A slice of somebody else without label is no news."""
    event = EndpointSliceChanged(None, foreign_slice("anything"), in_main=True)
    assert requests_for(event, snapshot_of(cluster("c1"))) == set()


@pytest.mark.parametrize("comes", [True, False])
def test_a_name_that_is_given_or_freed_concerns_who_wants_it(comes: bool) -> None:
    """Services that would be mirrored under the name of a slice that comes or goes are looked at again."""
    found = snapshot_of(
        cluster("c"), cluster("b-c"), services=[service(A), service(A_B), service()]
    )
    piece = foreign_slice("a-b-c")
    old, new = (None, piece) if comes else (piece, None)
    event = EndpointSliceChanged(old, new, in_main=True)
    assert requests_for(event, found) == {A, A_B}


def test_a_name_that_stays_concerns_nobody_else() -> None:
    """A slice that changes keeps its name."""
    found = snapshot_of(cluster("c1"))
    event = EndpointSliceChanged(foreign_slice("web-c1"), foreign_slice("web-c1"), in_main=True)
    assert requests_for(event, found) == set()


def test_names_matter_in_the_main_cluster_only() -> None:
    """What slices of a remote cluster are called concerns nobody."""
    event = EndpointSliceChanged(None, remote_slice("web-c1", key=OTHER), in_main=False)
    assert requests_for(event, snapshot_of(cluster("c1"))) == {OTHER}


def test_names_matter_in_their_namespace_only() -> None:
    """A name of another namespace concerns nobody here, and a Service that does not exist wants no name."""
    elsewhere = foreign_slice("web-c1", key="prod/x")
    assert (
        requests_for(
            EndpointSliceChanged(None, elsewhere, in_main=True), snapshot_of(cluster("c1"))
        )
        == set()
    )


def test_a_link_concerns_everything() -> None:
    """A link or a connection that changes concerns every Service there is anything to say about."""
    mirrored = mirrored_slice(key=A, cluster="gone")
    local = foreign_slice("local", labels={LABEL_SERVICE_NAME: "nobody"})
    found = snapshot_of(cluster("c1", services=[service(OTHER)]), slices=[mirrored, local])
    assert requests_for(ClusterChanged("c1"), found) == {WEB, A, OTHER}


def test_a_namespace_concerns_services_that_wait_for_it() -> None:
    """Where Services are made, a Namespace concerns those of its name that the main cluster lacks; else nobody."""
    remote = cluster(
        "c1", services=[service(), service(A), service(NamespacedName("other", "web"))]
    )
    for both, expected in ((True, {A}), (False, set())):
        found = snapshot_of(remote, options=Options(sync_services=both))
        assert requests_for(NamespaceChanged("default"), found) == expected


def test_a_guard_concerns_what_it_holds() -> None:
    """A guard concerns the Services of which something is doomed."""
    assert requests_for(GuardChanged(frozenset({A})), snapshot_of()) == {A}
