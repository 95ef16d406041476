"""Which Services an event concerns, one fact in each test."""

from __future__ import annotations

import pytest

from svclink_core import (
    ClusterChanged,
    EndpointSliceChanged,
    GuardChanged,
    NamespaceChanged,
    NamespacedName,
    Options,
    RemoteNamespaceChanged,
    Service,
    ServiceChanged,
    TrafficPolicyChanged,
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
    traffic_policy,
)

A = NamespacedName("default", "a")
A_B = NamespacedName("default", "a-b")
OTHER = NamespacedName("default", "other")


@pytest.mark.parametrize(
    ("old", "new"), [(None, service()), (service(), None), (service(), service())]
)
def test_a_service_concerns_itself(old: Service | None, new: Service | None) -> None:
    """An added, changed or deleted Service concerns its own key."""
    assert requests_for(ServiceChanged(old, new), snapshot_of()) == {WEB}


def test_unknown_object_concerns_no_service() -> None:
    """The deletion of an object that was never seen concerns no Service."""
    assert requests_for(ServiceChanged(None, None), snapshot_of()) == set()
    assert requests_for(EndpointSliceChanged(None, None, in_main=True), snapshot_of()) == set()


@pytest.mark.parametrize("in_main", [True, False])
def test_a_slice_concerns_its_service(in_main: bool) -> None:
    """A slice concerns the Service in its label."""
    assert requests_for(EndpointSliceChanged(None, remote_slice(), in_main), snapshot_of()) == {WEB}


@pytest.mark.parametrize("in_main", [True, False])
def test_relabelled_slice_concerns_both_services(in_main: bool) -> None:
    """A slice that moves to another Service concerns the old and the new one."""
    event = EndpointSliceChanged(remote_slice(), remote_slice(key=OTHER), in_main)
    assert requests_for(event, snapshot_of()) == {WEB, OTHER}


def test_a_mirrored_slice_that_lost_its_label_concerns_its_owner() -> None:
    """A mirror without a Service label concerns the Service that owns it."""
    endpoint_slice = mirrored_slice(labels={LABEL_SERVICE_NAME: None})
    assert requests_for(
        EndpointSliceChanged(None, endpoint_slice, in_main=True), snapshot_of()
    ) == {WEB}


def test_mirror_without_label_and_owner_concerns_the_empty_name() -> None:
    """A mirror without label and owner is planned under the empty name."""
    endpoint_slice = mirrored_slice(owner_uid=None, labels={LABEL_SERVICE_NAME: None})
    event = EndpointSliceChanged(None, endpoint_slice, in_main=True)
    assert requests_for(event, snapshot_of()) == {NamespacedName("default", "")}


def test_foreign_slice_without_label_concerns_no_service() -> None:
    """A foreign slice without a Service label concerns no Service."""
    event = EndpointSliceChanged(None, foreign_slice("anything"), in_main=True)
    assert requests_for(event, snapshot_of(cluster("c1"))) == set()


@pytest.mark.parametrize("comes", [True, False])
def test_name_of_a_slice_concerns_services_that_could_want_it(comes: bool) -> None:
    """A created or deleted slice concerns the Services whose mirror could have its name."""
    found = snapshot_of(
        cluster("c"), cluster("b-c"), services=[service(A), service(A_B), service()]
    )
    endpoint_slice = foreign_slice("a-b-c")
    old, new = (None, endpoint_slice) if comes else (endpoint_slice, None)
    event = EndpointSliceChanged(old, new, in_main=True)
    assert requests_for(event, found) == {A, A_B}


def test_changed_slice_concerns_no_other_service() -> None:
    """A changed slice keeps its name, so it concerns no other Service."""
    found = snapshot_of(cluster("c1"))
    event = EndpointSliceChanged(foreign_slice("web-c1"), foreign_slice("web-c1"), in_main=True)
    assert requests_for(event, found) == set()


def test_names_matter_in_the_main_cluster_only() -> None:
    """The name of a remote slice concerns no other Service."""
    event = EndpointSliceChanged(None, remote_slice("web-c1", key=OTHER), in_main=False)
    assert requests_for(event, snapshot_of(cluster("c1"))) == {OTHER}


def test_names_matter_in_their_namespace_only() -> None:
    """A name concerns only existing Services of its own namespace."""
    elsewhere = foreign_slice("web-c1", key="prod/x")
    assert (
        requests_for(
            EndpointSliceChanged(None, elsewhere, in_main=True), snapshot_of(cluster("c1"))
        )
        == set()
    )


def test_a_link_concerns_everything() -> None:
    """A changed link or connection concerns every Service."""
    mirrored = mirrored_slice(key=A, cluster="gone")
    local = foreign_slice("local", labels={LABEL_SERVICE_NAME: "unknown"})
    found = snapshot_of(cluster("c1", services=[service(OTHER)]), slices=[mirrored, local])
    assert requests_for(ClusterChanged("c1"), found) == {WEB, A, OTHER}


def test_a_namespace_concerns_services_that_wait_for_it() -> None:
    """If Services are created, a Namespace concerns those in it that the main cluster lacks."""
    remote = cluster(
        "c1", services=[service(), service(A), service(NamespacedName("other", "web"))]
    )
    for both, expected in ((True, {A}), (False, set())):
        found = snapshot_of(remote, options=Options(sync_services=both))
        assert requests_for(NamespaceChanged("default"), found) == expected


def test_a_guard_concerns_what_it_holds() -> None:
    """A guard concerns the Services whose slices it holds."""
    assert requests_for(GuardChanged(frozenset({A})), snapshot_of()) == {A}


def test_a_traffic_policy_concerns_its_service() -> None:
    """A policy concerns the Service that it names, and the one that it named before."""
    old, new = traffic_policy(key=A), traffic_policy(key=OTHER)
    assert requests_for(TrafficPolicyChanged(None, new), snapshot_of()) == {OTHER}
    assert requests_for(TrafficPolicyChanged(old, new), snapshot_of()) == {A, OTHER}
    assert requests_for(TrafficPolicyChanged(old, None), snapshot_of()) == {A}


def test_a_remote_namespace_concerns_its_services() -> None:
    """Those of the main cluster, and those that only remote clusters have."""
    there, elsewhere = NamespacedName("shop", "web"), NamespacedName("shop", "api")
    found = snapshot_of(
        cluster(services=[service(elsewhere)]), services=[service(), service(there)]
    )
    assert requests_for(RemoteNamespaceChanged("shop"), found) == {there, elsewhere}
