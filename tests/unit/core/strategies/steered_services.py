"""One Service in several clusters, in numbers that matter to the shares and tiers of its policy.

Addresses differ between clusters, as they do where Pod networks do not overlap.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from svclink_core import (
    SYNCED,
    ClusterLinkSpec,
    Endpoint,
    EndpointSlice,
    RemoteCluster,
    Snapshot,
    TrafficPolicy,
    UnreachablePolicy,
)
from svclink_core.discovery_v1 import CONDITIONS
from svclink_core.snapshot import Connection
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.builders.keys import WEB
from tests.builders.values import cluster, foreign_slice, remote_slice, snapshot_of
from tests.unit.core.strategies.drawing import mostly, seldom_true
from tests.unit.core.strategies.links import LOST, LOST_TODAY
from tests.unit.core.strategies.traffic_policies import traffic_policies

CLUSTERS: Final = ("b", "c", "d")
FAMILIES: Final = (("IPv4", "10.{}.0.{}"), ("IPv6", "fd00:{}::{}"))

_conditions = st.sampled_from(
    (
        *(CONDITIONS[True, True, False],) * 8,
        CONDITIONS[None, None, None],
        CONDITIONS[False, True, True],
        CONDITIONS[False, False, False],
    )
)
_numbers = {"IPv4": st.integers(0, 6), "IPv6": st.sampled_from((0, 0, 0, 1, 3))}
_connections: SearchStrategy[Connection] = st.sampled_from((*(SYNCED,) * 6, LOST, LOST_TODAY))
_specs = mostly(
    st.just(ClusterLinkSpec()),
    st.builds(
        ClusterLinkSpec,
        st.sampled_from((True, True, False)),
        drained=st.sampled_from((True, True, False)),
        unreachable=st.sampled_from(
            (UnreachablePolicy(), UnreachablePolicy("NotReady"), UnreachablePolicy("Remove"))
        ),
    ),
    odds=1,
)
web_policies: SearchStrategy[TrafficPolicy] = traffic_policies(WEB, CLUSTERS)


@st.composite
def _endpoints(draw: DrawFn, place: int, family: str, form: str) -> tuple[Endpoint, ...]:
    number = draw(_numbers[family])
    return tuple(
        Endpoint((form.format(place, each),), draw(_conditions)) for each in range(1, number + 1)
    )


@st.composite
def web_clusters(draw: DrawFn, name: str) -> RemoteCluster:
    """A cluster with some endpoints of each IP family; mostly synced, enabled and not drained."""
    place = CLUSTERS.index(name) + 1
    slices = [
        remote_slice(f"web-{family.lower()}", endpoints=endpoints, address_type=family)
        for family, form in FAMILIES
        if (endpoints := draw(_endpoints(place, family, form)))
    ]
    return cluster(name, *slices, spec=draw(_specs))


@st.composite
def local_slices(draw: DrawFn) -> list[EndpointSlice]:
    """The local endpoints of the Service."""
    return [
        evolve(
            foreign_slice(f"local-{family.lower()}", labels={LABEL_SERVICE_NAME: "web"}),
            address_type=family,
            endpoints=draw(_endpoints(9, family, form)),
        )
        for family, form in FAMILIES
    ]


@st.composite
def steered_services(draw: DrawFn) -> Snapshot:
    """A Service in up to three clusters, with or without a policy. No mirror exists yet."""
    remotes = [draw(web_clusters(name)) for name in CLUSTERS[: draw(st.integers(1, 3))]]
    found = snapshot_of(*remotes, slices=draw(local_slices()))
    policies = {} if draw(seldom_true) else {WEB: draw(web_policies)}
    return evolve(found, main=evolve(found.main, traffic_policies=policies))


@st.composite
def with_losses(draw: DrawFn, found: Snapshot) -> Snapshot:
    """The snapshot after some of its clusters were lost."""
    remotes = {
        name: evolve(remote, connection=draw(_connections))
        for name, remote in found.remotes.items()
    }
    return evolve(found, remotes=remotes)
