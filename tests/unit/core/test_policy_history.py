"""Law L15 for lost clusters: how often a policy was edited, or other endpoints went, is forgotten.

The mirrors in the main cluster are the only memory of a cluster that is away. They must tell what
it had, whatever its policy did to them meanwhile, across restarts of svclink too.

Real: the whole core. Substituted: the main API server, by the one in `world`.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn, SearchStrategy

from svclink_core import (
    PENDING,
    ClusterLinkSpec,
    Endpoint,
    EndpointSlice,
    NamespacedName,
    Options,
    Planner,
    Snapshot,
    UnreachablePolicy,
    plan,
)
from svclink_core.cidrs import CIDRs
from svclink_core.discovery_v1 import CONDITIONS
from svclink_core.snapshot import Connection
from svclink_core.unreachable_policy import NOT_SERVING, READY
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.builders.values import HTTP_8080, endpoint, foreign_slice
from tests.unit.core.strategies.endpoint_slices import remote_endpoint_slices
from tests.unit.core.strategies.initial_snapshots import healthy_snapshot
from tests.unit.core.strategies.links import LOST, LOST_TODAY, allowed_cidrs
from tests.unit.core.strategies.names import Universe, universes
from tests.unit.core.world import (
    NOW,
    applied,
    main_slices,
    ours,
    remote_slices,
    settled,
    with_link,
    with_main,
    with_remote,
    without_history,
)

# A large counterexample must not hide behind a warning about its size.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

REVERSIBLE: Final = (
    UnreachablePolicy("Keep"),
    UnreachablePolicy("NotReady", 0),
    UnreachablePolicy("NotReady", 0, force=True),
    UnreachablePolicy("NotReady", 1_000_000_000),
)
FINAL: Final = (
    *REVERSIBLE,
    UnreachablePolicy("Remove", 0),
    UnreachablePolicy("Remove", 0, force=True),
)
KNOWN: Final[tuple[Connection, ...]] = (LOST, LOST, evolve(LOST, is_lost=False))
"""Connections of which svclink knows since when the cluster is lost, or that it is not."""

PASSING: Final[tuple[Connection, ...]] = (
    *KNOWN,
    PENDING,
    evolve(LOST_TODAY, never_reached=True),
)
"""The same, and those just after a start of svclink."""


@st.composite
def losses(draw: DrawFn, universe: Universe) -> Snapshot:
    """Everything is mirrored, and then some clusters are lost."""
    found = evolve(healthy_snapshot(universe), options=Options())
    for name, remote in found.remotes.items():
        more = draw(st.lists(remote_endpoint_slices(universe), max_size=3))
        slices = {each.metadata.key: each for each in (*remote_slices(remote), *more)}
        found = with_remote(found, name, slices=slices.values())
    found = settled(found)
    for name in draw(st.sets(st.sampled_from(universe.clusters), min_size=1)):
        found = with_link(found, name, ClusterLinkSpec(), LOST)
    return found


def local_slices(universe: Universe) -> SearchStrategy[list[EndpointSlice]]:
    """The local endpoints of Services: none, some of one IP family, and some that are not ready."""
    return st.lists(
        st.builds(
            local_slice,
            st.sampled_from(universe.keys),
            st.sampled_from(("IPv4", "IPv6")),
            is_ready=st.sampled_from((True, True, False)),
        ),
        max_size=3,
        unique_by=lambda each: each.metadata.key,
    )


def local_slice(key: NamespacedName, family: str, *, is_ready: bool) -> EndpointSlice:
    address = "10.99.0.1" if family == "IPv4" else "fd00:99::1"
    made = foreign_slice(f"local-{family}-{key.name}"[:63].rstrip("-").lower(), key=key)
    labels = ((LABEL_SERVICE_NAME, key.name),)
    return EndpointSlice(
        evolve(made.metadata, labels=labels, uid=f"{made.metadata.uid}-{key}"),
        family,
        (endpoint(address, conditions=CONDITIONS[is_ready, is_ready, False]),),
        (HTTP_8080,),
    )


def changed(
    found: Snapshot,
    policy: UnreachablePolicy,
    connection: Connection,
    local: list[EndpointSlice],
    allowed: CIDRs,
) -> Snapshot:
    """The snapshot with these facts about all lost clusters, and these local endpoints."""
    spec = ClusterLinkSpec(unreachable=policy, allowed_cidrs=allowed)
    for name in lost(found):
        found = with_link(found, name, spec, connection)
    return with_main(found, slices=[*ours(found), *local])


def lost(found: Snapshot) -> list[str]:
    """The clusters that are not synced, which are lost or about to be found lost."""
    known = found.remotes.items()
    return [name for name, each in known if isinstance(each.connection, type(LOST) | type(PENDING))]


def as_far_as_remembered(each: EndpointSlice) -> EndpointSlice:
    """The slice without what NotReady forgets: it makes no difference to kube-proxy."""

    def remembered(endpoint: Endpoint) -> Endpoint:
        conditions = endpoint.conditions
        if each.is_marked_not_ready:
            return endpoint
        if conditions.ready:
            return evolve(endpoint, conditions=READY)
        return evolve(endpoint, conditions=NOT_SERVING) if conditions.terminating else endpoint

    return evolve(without_history(each), endpoints=tuple(map(remembered, each.endpoints)))


def state_of(found: Snapshot) -> Counter[EndpointSlice]:
    return Counter(map(as_far_as_remembered, ours(found)))


@given(st.data())
def test_l15_what_a_policy_did_leaves_no_trace(data: DataObject) -> None:
    """Policies are edited, other endpoints go, svclink restarts: only the last facts count.

    Ranges are only narrowed: what a mirror has lost comes back with its cluster only.
    """
    universe, allowed = data.draw(universes), data.draw(allowed_cidrs)
    found = data.draw(losses(universe))
    walked, remembering = found, Planner()
    for _ in range(data.draw(st.integers(1, 4))):
        policy = data.draw(st.sampled_from(REVERSIBLE))
        connection = data.draw(st.sampled_from(PASSING))
        local, some = data.draw(local_slices(universe)), data.draw(st.sampled_from(((), allowed)))
        walked = changed(walked, policy, connection, local, some)
        changes = remembering.plan(walked, NOW).changes
        walked = applied(walked, changes[: data.draw(st.integers(0, len(changes)))])
    facts = (
        data.draw(st.sampled_from(FINAL)),
        data.draw(st.sampled_from(KNOWN)),
        data.draw(local_slices(universe)),
        allowed,
    )
    walked, direct = settled(changed(walked, *facts)), settled(changed(found, *facts))
    assert plan(walked, NOW).changes == ()
    assert state_of(walked) == state_of(direct)
    others = {each.metadata.key for each in main_slices(walked)} - {
        each.metadata.key for each in ours(walked)
    }
    assert others == {each.metadata.key for each in facts[2]}
