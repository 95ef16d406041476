"""Links that are deleted and created again keep the rule of one link for each cluster.

Real: supervisor, remotes, claims, store and the rules of the core. Substituted: sessions, by ones
that take their time to open and to close, and the clock.
"""

from __future__ import annotations

import asyncio
from typing import Final, TypeAlias, cast

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.api.client import Client
from svclink_controller.credentials.trust import Trust
from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_controller.remotes.namespace_reading import NamespaceReader
from svclink_controller.remotes.secret_kubeconfigs import SecretKubeconfigs
from svclink_controller.remotes.session import Accepted, Admit, Heartbeat, RefusedError, Session
from svclink_controller.remotes.supervisor import Supervisor
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_controller.wire.resources import Resource
from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    EndpointSlice,
    LinkReason,
    Options,
)
from svclink_core.controller_namespace import KnownNamespace
from svclink_core.link_target import LinkTarget
from tests.builders.values import link
from tests.unit.controller.virtual_time import VirtualTimeLoop

SETTLED_SECONDS: Final = 1000
"""Longer than every pause and every session takes."""

NO_CLIENT: Final = cast("Client", None)


class StandIn(Session):
    """A session of the cluster in its kubeconfig, `CLUSTER UID`, which holds no objects."""

    def __init__(self, target: LinkTarget, world: World) -> None:
        self.reader = NamespaceReader(NO_CLIENT, target)
        self.cluster_id, self.uid = target.kubeconfig.split()
        self.version = "v1.36.0"
        self.world = world

    def is_of_predecessor_of(self, other: StandIn) -> bool:
        """Whether both are of links with one name, which is the first part of a uid."""
        return self.uid != other.uid and self.uid[0] == other.uid[0]

    async def hand_over(self, _: Store, __: str) -> None:
        """There is nothing to hand over."""

    async def follow(self, _: Store, __: str) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        await asyncio.sleep(self.world.seconds_to_close)
        self.world.sessions.remove(self)


@define(eq=False)
class World:
    """The links of a main cluster, the sessions that are open, and those that overlapped."""

    seconds_to_open: float = 0
    seconds_to_close: float = 0
    sessions: list[StandIn] = field(factory=list)
    overlaps: list[str] = field(factory=list)
    store: Store = field(factory=lambda: Store(Options()))
    cluster_claims: ClusterClaims = field(factory=ClusterClaims)
    supervisor: Supervisor = field(init=False)
    created: int = 0

    def __attrs_post_init__(self) -> None:
        self.supervisor = Supervisor(
            store=self.store,
            secrets=SecretKubeconfigs(NO_CLIENT, KnownNamespace("svclink"), lambda _: None),
            cluster_claims=self.cluster_claims,
            link_left=lambda _: None,
            open_session_within=lambda _: self.open_session,
        )

    async def open_session(
        self,
        target: LinkTarget,
        admit: Admit,
        _trust: Trust,
        _resource: Resource[EndpointSlice],
        _heartbeat: Heartbeat,
        _accepted: Accepted,
    ) -> Session:
        session = StandIn(target, self)
        if (problem := admit(session.cluster_id)) is not None:
            raise RefusedError(problem, session.cluster_id)
        await asyncio.sleep(self.seconds_to_open)
        self.overlaps += [each.uid for each in self.sessions if each.is_of_predecessor_of(session)]
        self.sessions.append(session)
        return session

    def create(self, name: str, cluster: str) -> None:
        """Creates a link, or replaces it in one step, as a watch may report it."""
        self.created += 1
        uid = f"{name}-{self.created}"
        spec = ClusterLinkSpec(kubeconfig=f"{cluster} {uid}")
        created = f"2026-01-01T00:{self.created:02}:00Z"
        self.store.put_link(link(name, spec, uid=uid, created=created), listed=True)
        self.supervisor.link_changed(name)

    def delete(self, name: str) -> None:
        """Deletes a link, if it exists."""
        self.store.remove_link(name)
        self.supervisor.link_changed(name)

    def oldest(self) -> dict[str, str]:
        """The uid of the oldest link to each cluster."""
        found: dict[str, ClusterLink] = {}
        for each in self.store.links.values():
            cluster = (each.spec.kubeconfig or "").split()[0]
            older = found.setdefault(cluster, each)
            if (each.metadata.creation_timestamp or "") < (older.metadata.creation_timestamp or ""):
                found[cluster] = each
        return {cluster: each.metadata.uid for cluster, each in found.items()}

    def check(self) -> None:
        """The oldest link to each cluster is used, and every other one is refused."""
        assert self.overlaps == []
        oldest = self.oldest()
        assert {each.cluster_id: each.uid for each in self.sessions} == oldest
        assert len(self.sessions) == len(oldest)
        for name, each in self.store.links.items():
            kubeconfig = each.spec.kubeconfig or ""
            cluster = kubeconfig.split()[0]
            is_used = oldest[cluster] == each.metadata.uid
            problem = self.cluster_claims.refusal(each, kubeconfig, cluster)
            observed = self.store.observations.get(name, Observation()).problem
            assert (problem is None, observed is None) == (is_used, is_used)
            assert self.store.connections.get(name, PENDING) == (SYNCED if is_used else PENDING)
            if problem is not None:
                assert problem.reason is LinkReason.DUPLICATE_CLUSTER


Step: TypeAlias = tuple[str, str, str, float]

NAMES = st.sampled_from("abc")
CLUSTERS = st.sampled_from("xy")
PAUSES = st.sampled_from((0.0, 0.0, 0.1, 1.0, 2.5, 7.0))
STEPS = st.lists(
    st.tuples(st.sampled_from(("create", "replace", "delete")), NAMES, CLUSTERS, PAUSES),
    max_size=14,
)
SECONDS = st.sampled_from((0.0, 0.5, 3.0))


async def play(world: World, steps: list[Step]) -> None:
    for action, name, cluster, pause in steps:
        match action:
            case "create":
                world.create(name, cluster)
            case "replace":
                world.delete(name)
                world.create(name, cluster)
            case _:
                world.delete(name)
        await asyncio.sleep(pause)
    await asyncio.sleep(SETTLED_SECONDS)
    world.check()
    await world.supervisor.close()
    assert world.sessions == []


def run(steps: list[Step], *, opening: float = 0, closing: float = 0) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play(World(opening, closing), steps))


@given(STEPS, SECONDS, SECONDS)
def test_whatever_happens_the_oldest_link_to_each_cluster_is_used(
    steps: list[Step], opening: float, closing: float
) -> None:
    """However links and the ends of their connections interleave, no cluster has two links."""
    run(steps, opening=opening, closing=closing)


def test_link_that_was_replaced_keeps_its_cluster() -> None:
    """The old connection ends after the new one has begun; a second link is still refused."""
    run(
        [("create", "a", "x", 1), ("replace", "a", "x", 9), ("create", "b", "x", 9)],
        closing=3,
    )


def test_link_that_was_replaced_in_one_step_starts_anew() -> None:
    """A watch that missed the deletion reports only another uid."""
    run([("create", "a", "x", 1), ("create", "a", "y", 9), ("create", "b", "x", 9)], closing=3)


def test_link_that_was_replaced_twice_waits_for_both_predecessors() -> None:
    """The second predecessor ends at once, because it has not begun."""
    run(
        [("create", "a", "x", 1), ("replace", "a", "x", 0.1), ("replace", "a", "x", 9)],
        closing=3,
    )
