"""A remote connects to its cluster, follows it, and comes back to it after a loss.

Real: remote, session, reflectors, store, cluster claims, clients, sockets and TLS. Substituted: the
remote API servers, by small ones.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import yaml
from attrs import asdict, define, evolve, field
from structlog.testing import capture_logs

from svclink_controller import clock
from svclink_controller.backoff import Backoff
from svclink_controller.credentials.trust import Trust
from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_controller.remotes.remote import Remote
from svclink_controller.remotes.session import (
    Accepted,
    Admit,
    Heartbeat,
    OpenSession,
    Session,
    open_session,
)
from svclink_controller.state.changes import ClusterRead, LinkStatusChanged, StateChange
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_controller.wire.resources import Resource
from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    EndpointSlice,
    LinkReason,
    NamespacedName,
    Options,
    Unreachable,
    UnreachablePolicy,
)
from svclink_core.link_identity import Problem
from svclink_core.link_target import LINK_DISABLED, LinkTarget
from svclink_core.remote_lifecycle import Wanted
from svclink_core.snapshot import Connection
from svclink_core.unreachable_policy import policy_deadline
from tests.builders.keys import WEB
from tests.builders.values import link, remote_slice, service
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import (
    Fault,
    Garbage,
    Hang,
    Hold,
    Predicate,
    Refuse,
    Rule,
    any_request,
    ends_with,
    is_watch,
    starts_with,
)
from tests.unit.controller.http_server import OTHER_AUTHORITY, Request, Server, kubeconfig, serving
from tests.unit.controller.waiting import eventually

API = NamespacedName("default", "api")
ELSEWHERE = NamespacedName("elsewhere", "web")
IDENTITY = "/api/v1/namespaces/kube-system"
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


@define
class Running:
    """The API server of a cluster, and what it was asked."""

    server: Server
    cluster: FakeApiServer

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def kubeconfig(self) -> str:
        return kubeconfig(self.url)

    @property
    def object_lists(self) -> list[str]:
        """Paths of all lists of Services and EndpointSlices so far."""
        kinds = ("services", "endpointslices")
        return [each.path for each in self.server.lists if each.path.endswith(kinds)]

    def hold_back(self, gate: Hold, when: Predicate) -> Rule:
        """Answers again, but holds back some responses; forgets what it was asked."""
        self.cluster.heal()
        self.server.requests.clear()
        return self.cluster.fail(gate, when)

    def lose(self) -> None:
        """Breaks all connections, and refuses new ones."""
        self.cluster.fail(Refuse(503))
        self.cluster.hang_up()


@define
class World:
    """A store, and the running remotes of its links."""

    stack: AsyncExitStack
    past_connections: list[tuple[str, Connection]] = field(factory=list)
    reads: list[ClusterRead] = field(factory=list)
    store: Store = field(init=False)
    cluster_claims: ClusterClaims = field(factory=lambda: ClusterClaims(main_id="uid-of-main"))
    remotes: dict[str, tuple[Remote, asyncio.Task[None]]] = field(factory=dict)
    open_session: OpenSession = open_session
    longest_pause: float = 0.2

    def __attrs_post_init__(self) -> None:
        self.store = Store(Options(), self.note)

    def note(self, change: StateChange) -> None:
        """Records every state of every connection, and every read of what a link asks for."""
        if isinstance(change, ClusterRead):
            self.reads.append(change)
        if isinstance(change, LinkStatusChanged):
            connection = self.store.connections.get(change.name, PENDING)
            self.past_connections.append((change.name, connection))

    async def serve(
        self,
        uid: str = "uid-of-a-cluster",
        fault: Fault | None = None,
        when: Predicate = any_request,
    ) -> Running:
        """Starts another cluster, with a Service and a slice."""
        cluster = FakeApiServer(uid)
        if fault is not None:
            cluster.fail(fault, when)
        cluster.put(service())
        cluster.put(remote_slice())
        return Running(await self.stack.enter_async_context(serving(cluster)), cluster)

    def edit(
        self, wanted: str | Wanted, *namespaces: str, name: str = "c1", created: str = EARLY
    ) -> None:
        """Creates a link, or edits it."""
        spec = ClusterLinkSpec(kubeconfig=wanted if isinstance(wanted, str) else None)
        self.store.put_link(link(name, spec, created=created))
        self.start(name).edit(target(wanted, *namespaces))

    def start(self, name: str) -> Remote:
        """The remote of a link, which is started if it does not run."""
        if name not in self.remotes:
            backoff = Backoff(base=min(0.05, self.longest_pause), cap=self.longest_pause)
            remote = Remote(
                name,
                f"uid-of-{name}",
                self.store,
                self.cluster_claims,
                backoff=backoff,
                open_session=self.open_session,
            )
            self.remotes[name] = remote, asyncio.create_task(remote.run())
        return self.remotes[name][0]

    async def delete(self, name: str) -> None:
        """Deletes a link."""
        _, task = self.remotes.pop(name)
        self.store.remove_link(name)
        task.cancel()
        await asyncio.wait({task})

    def services(self, name: str = "c1") -> set[NamespacedName]:
        return set(self.store.snapshot().remotes[name].services)

    def observation(self, name: str = "c1") -> Observation:
        return self.store.observations.get(name, Observation())

    def reason(self, name: str = "c1") -> LinkReason | None:
        problem = self.observation(name).problem
        return None if problem is None else problem.reason

    async def is_synced(self, name: str = "c1") -> None:
        await eventually(lambda: self.store.connections.get(name) == SYNCED)

    async def is_unreachable(self, name: str = "c1") -> None:
        await eventually(lambda: isinstance(self.store.connections.get(name), Unreachable))

    async def has_problem(self, reason: LinkReason | None, name: str = "c1") -> None:
        await eventually(lambda: self.reason(name) is reason)


def target(wanted: str | Wanted, *namespaces: str) -> Wanted:
    return LinkTarget(wanted, namespaces) if isinstance(wanted, str) else wanted


def is_closed(session: Session) -> bool:
    pool = session.client._transport.pool_manager
    return pool is not None and pool.closed


@asynccontextmanager
async def worlds() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = World(stack)
        try:
            yield made
        finally:
            for name in list(made.remotes):
                await made.delete(name)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with worlds() as made:
        yield made


# Connecting


async def test_cluster_is_listed_and_followed(world: World) -> None:
    """A synced cluster has all its objects in the store, and changes follow."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    assert world.services() == {WEB}
    assert set(world.store.snapshot().remotes["c1"].endpoint_slices) == {WEB}
    remote.cluster.put(service(API))
    remote.cluster.remove(service())
    await eventually(lambda: world.services() == {API})


async def test_lists_are_reported_with_the_generation_that_asked(world: World) -> None:
    """Every list for what a link asks is reported, and sessions that an edit leaves in use."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    reads = world.reads
    await eventually(lambda: ClusterRead("c1", 0, is_new=True) in reads)
    world.start("c1").edit(LinkTarget(remote.kubeconfig), 7)
    await eventually(lambda: ClusterRead("c1", 7, is_new=False) in reads)
    reads.clear()
    world.start("c1").edit(LinkTarget(remote.kubeconfig, ("default",)), 8)
    await eventually(lambda: reads[:1] == [ClusterRead("c1", 8, is_new=True)])


async def test_list_for_an_earlier_target_is_not_reported(world: World) -> None:
    """A cluster that is read as before, because the edited link does not work, is not reported."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    world.start("c1").edit(LinkTarget(kubeconfig("https://127.0.0.1:1")), 2)
    await world.has_problem(LinkReason.UNREACHABLE)
    world.reads.clear()
    remote.lose()
    await world.is_unreachable()
    remote.cluster.heal()
    await world.is_synced()
    assert world.reads == []


async def test_connection_is_observed(world: World) -> None:
    """Version and identity are recorded, without a problem."""
    world.edit((await world.serve()).kubeconfig)
    await eventually(lambda: world.observation().version == "v1.36.0")
    assert world.observation().cluster_id == "uid-of-a-cluster"
    assert world.observation().problem is None


async def test_only_the_wanted_namespaces_are_read(world: World) -> None:
    """A link that names namespaces sends no cluster-wide request, so namespaced Roles suffice."""
    remote = await world.serve()
    remote.cluster.put(service(ELSEWHERE))
    world.edit(remote.kubeconfig, "default", "empty")
    await world.is_synced()
    assert world.services() == {WEB}
    assert len(set(remote.object_lists)) == 4
    assert all("/namespaces/" in path for path in remote.object_lists)


async def test_cluster_without_identity_is_connected(world: World) -> None:
    """Credentials that may not read kube-system connect all the same."""
    remote = await world.serve(fault=Refuse(403), when=starts_with(IDENTITY))
    world.edit(remote.kubeconfig)
    await world.is_synced()
    assert world.observation().cluster_id is None


@pytest.mark.parametrize(
    ("code", "reason", "path"),
    [
        (code, reason, path)
        for code, reason in (
            (401, LinkReason.UNAUTHORIZED),
            (403, LinkReason.FORBIDDEN),
            (404, LinkReason.UNREACHABLE),
            (500, LinkReason.UNREACHABLE),
        )
        for path in ("/version", "/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices")
        if (code, path) != (403, "/version")  # The version is only shown.
    ],
)
async def test_cluster_that_cannot_be_listed_is_unreachable(
    world: World, code: int, reason: LinkReason, path: str
) -> None:
    """A cluster that could be listed only in part is unreachable, and the store has none of it."""
    remote = await world.serve(fault=Refuse(code), when=starts_with(path))
    world.edit(remote.kubeconfig)
    await world.has_problem(reason)
    assert isinstance(world.store.connections["c1"], Unreachable)
    assert world.services() == set()


def exec_kubeconfig() -> str:
    content = yaml.safe_load(base64.b64decode(kubeconfig("https://127.0.0.1:1")))
    content["users"][0]["user"] = {"exec": {"command": "touch"}}
    return base64.b64encode(yaml.safe_dump(content).encode()).decode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("%%%", LinkReason.INVALID_KUBECONFIG),
        (base64.b64encode(b"a: [").decode(), LinkReason.INVALID_KUBECONFIG),
        (exec_kubeconfig(), LinkReason.INSECURE_KUBECONFIG),
        (kubeconfig("https://127.0.0.1:1"), LinkReason.UNREACHABLE),
    ],
)
async def test_kubeconfig_that_cannot_work_is_shown(
    world: World, text: str, reason: LinkReason
) -> None:
    """An invalid kubeconfig is a problem of its link; once it is fixed, it is used."""
    world.edit(text)
    await world.has_problem(reason)
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    await world.has_problem(None)


async def test_certificate_of_another_authority_is_shown(world: World) -> None:
    """A wrong CA and a server that does not respond are different problems."""
    remote = await world.serve()
    world.edit(kubeconfig(remote.url, OTHER_AUTHORITY))
    await world.has_problem(LinkReason.CERTIFICATE_INVALID)


async def test_cluster_is_tried_until_it_answers(world: World) -> None:
    """A cluster that was unreachable when its link was created is connected once it responds."""
    remote = await world.serve(fault=Refuse(503))
    world.edit(remote.kubeconfig)
    await world.has_problem(LinkReason.UNREACHABLE)
    remote.cluster.heal()
    await world.is_synced()
    await world.has_problem(None)


# Losing a cluster and coming back


async def test_lost_cluster_keeps_its_objects(world: World) -> None:
    """A cluster that can no longer be reached is unreachable, and its objects stay."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    remote.lose()
    await world.is_unreachable()
    await world.has_problem(LinkReason.UNREACHABLE)
    assert world.services() == {WEB}


@pytest.mark.parametrize(
    ("code", "is_lost"), [(401, False), (403, False), (503, True)], ids=["401", "403", "503"]
)
async def test_401_and_403_are_not_a_loss(world: World, code: int, *, is_lost: bool) -> None:
    """A token that was revoked starts no unreachable policy; the cluster may be in good health."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    remote.cluster.fail(Refuse(code))
    remote.cluster.hang_up()
    await world.is_unreachable()
    policy = ClusterLinkSpec(unreachable=UnreachablePolicy("Remove", 0))
    lost = evolve(world.store.snapshot().remotes["c1"], link=link(spec=policy))
    assert (policy_deadline(lost) is not None) is is_lost
    assert world.services() == {WEB}


async def test_time_of_a_loss_does_not_depend_on_the_wall_clock(world: World) -> None:
    """The status shows wall time; deadlines count from the monotonic clock of plans."""
    before = clock.elapsed()
    world.edit(kubeconfig("https://127.0.0.1:1"))
    await world.is_unreachable()
    lost = world.store.connections["c1"]
    assert isinstance(lost, Unreachable)
    assert before <= lost.at <= clock.elapsed()
    assert lost.never_reached


@pytest.mark.parametrize("text", ["%%%", base64.b64encode(b"a: [").decode()])
async def test_invalid_kubeconfig_is_no_loss(world: World, text: str) -> None:
    """It is a mistake of the operator, like a missing Secret, and says nothing of the cluster."""
    world.edit(text)
    await world.has_problem(LinkReason.INVALID_KUBECONFIG)
    assert world.store.connections.get("c1", PENDING) == PENDING


async def test_cluster_that_comes_back_is_listed_again(world: World) -> None:
    """Changes and deletions during the loss are in the store when the cluster is synced again."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    remote.lose()
    await world.is_unreachable()
    remote.cluster.put(service(API))
    remote.cluster.remove(service())
    remote.cluster.heal()
    await world.is_synced()
    assert world.services() == {API}


async def test_cluster_that_comes_back_shares_memory_with_what_was_held(world: World) -> None:
    """Slices that did not change are held once, however often the cluster comes back."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    (held,) = world.store.snapshot().remotes["c1"].endpoint_slices[WEB]
    remote.lose()
    await world.is_unreachable()
    remote.cluster.heal()
    await world.is_synced()
    (listed,) = world.store.snapshot().remotes["c1"].endpoint_slices[WEB]
    assert listed is held


async def test_cluster_is_unreachable_since_it_was_lost(world: World) -> None:
    """Failed attempts to connect do not move the time of the loss."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    remote.lose()
    await world.is_unreachable()
    lost = world.store.connections["c1"]
    asked = len(remote.server.requests)
    await eventually(lambda: len(remote.server.requests) > asked + 3)
    assert world.store.connections["c1"] is lost


async def test_clusters_that_come_back_together_are_each_listed_once(world: World) -> None:
    """After an outage of all clusters, a link that connects does not make the others start over."""
    names = [f"c{number}" for number in range(10)]
    remotes = {name: await world.serve(f"uid-of-{name}") for name in names}
    for name, remote in remotes.items():
        world.edit(remote.kubeconfig, name=name)
    for name in names:
        await world.is_synced(name)
    for name, remote in remotes.items():
        remote.lose()
        await world.is_unreachable(name)
    gates = {name: Hold() for name in names}
    held = [
        remote.hold_back(gates[name], ends_with("/endpointslices"))
        for name, remote in remotes.items()
    ]
    await eventually(lambda: all(rule.hits for rule in held))
    for name in names:
        gates[name].released.set()
        await world.is_synced(name)
    assert [len(remote.object_lists) for remote in remotes.values()] == [2] * 10


async def test_clusters_that_flap_restart_no_other_list(world: World) -> None:
    """A list in progress goes on while other links connect and lose their clusters."""
    gate, flapping = Hold(), [await world.serve(f"uid-of-{number}") for number in range(3)]
    slow = await world.serve("slow", gate, ends_with("/endpointslices"))
    world.edit(slow.kubeconfig, name="slow")
    await eventually(lambda: len(slow.object_lists) == 2)
    for number, remote in enumerate(flapping):
        world.edit(remote.kubeconfig, name=f"c{number}")
    for _ in range(3):
        for number, remote in enumerate(flapping):
            await world.is_synced(f"c{number}")
            remote.lose()
            await world.is_unreachable(f"c{number}")
            remote.cluster.heal()
    gate.released.set()
    await world.is_synced("slow")
    assert len(slow.object_lists) == 2


async def test_edit_of_a_filter_restarts_no_list(world: World) -> None:
    """An edit that asks for the same cluster and namespaces waits for the list in progress."""
    gate = Hold()
    remote = await world.serve(fault=gate, when=ends_with("/endpointslices"))
    world.edit(remote.kubeconfig)
    await eventually(lambda: len(remote.object_lists) == 2)
    world.start("c1").edit(LinkTarget(remote.kubeconfig), generation=2)
    await asyncio.sleep(0)
    gate.released.set()
    await world.is_synced()
    assert len(remote.object_lists) == 2


async def test_cluster_that_is_back_soon_is_connected_soon(world: World) -> None:
    """Failed attempts do not make the pauses long while nothing answers."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    world.longest_pause = 1_000
    backoff = world.remotes["c1"][0].backoff
    backoff.cap = 1_000
    remote.lose()
    asked = len(remote.server.requests)
    await eventually(lambda: len(remote.server.requests) > asked + 30)
    assert backoff.failures <= 2
    remote.cluster.heal()
    await world.is_synced()


async def test_session_that_breaks_at_once_is_followed_by_a_pause(world: World) -> None:
    """A cluster that allows lists but no watches is listed again only after a pause."""
    world.longest_pause = 1_000
    remote = await world.serve(fault=Refuse(403), when=is_watch)
    world.edit(remote.kubeconfig)
    backoff = world.remotes["c1"][0].backoff
    await eventually(lambda: backoff.failures >= 3)
    assert world.reason() is LinkReason.FORBIDDEN
    assert len(remote.object_lists) <= 2 * backoff.failures


async def test_one_cluster_does_not_affect_another(world: World) -> None:
    """A cluster that hangs, and one that refuses requests, do not affect the third one."""
    hanging, refused = await world.serve("1", Hang()), await world.serve("2", Refuse(500))
    good = await world.serve("3")
    world.edit(hanging.kubeconfig, name="hanging")
    world.edit(refused.kubeconfig, name="refused")
    world.edit(good.kubeconfig, name="good")
    await world.is_synced("good")
    assert world.services("good") == {WEB}


# New credentials: make before break


async def test_new_kubeconfig_takes_over_when_it_works(world: World) -> None:
    """The cluster of the new kubeconfig replaces that of the old one, which is disconnected."""
    old, new = await world.serve("old"), await world.serve("new")
    new.cluster.put(service(API))
    world.edit(old.kubeconfig)
    await world.is_synced()
    world.edit(new.kubeconfig)
    await eventually(lambda: world.services() == {WEB, API})
    assert world.observation().cluster_id == "new"
    await eventually(lambda: not old.cluster.watchers)


@pytest.mark.parametrize("code", [401, 500])
async def test_old_kubeconfig_stays_in_use_while_the_new_one_fails(world: World, code: int) -> None:
    """New credentials that fail are shown; the cluster stays synced with the old ones."""
    old, new = await world.serve("old"), await world.serve("new", Refuse(code))
    world.edit(old.kubeconfig)
    await world.is_synced()
    world.edit(new.kubeconfig)
    await eventually(lambda: world.reason() is not None)
    problem = world.observation().problem
    assert problem is not None
    assert "the previous kubeconfig stays in use" in problem.message
    old.cluster.put(service(API))
    await eventually(lambda: world.services() == {WEB, API})
    assert world.store.connections["c1"] == SYNCED


async def test_new_kubeconfig_is_tried_until_it_works(world: World) -> None:
    """Credentials that become valid later take over as soon as they work."""
    old, new = await world.serve("old"), await world.serve("new", Refuse(401))
    world.edit(old.kubeconfig)
    await world.is_synced()
    world.edit(new.kubeconfig)
    await world.has_problem(LinkReason.UNAUTHORIZED)
    new.cluster.heal()
    await eventually(lambda: world.observation().cluster_id == "new")
    assert world.reason() is None


async def test_edit_that_is_undone_leaves_no_problem(world: World) -> None:
    """With the working kubeconfig back in the link, the open session has no problem."""
    old = await world.serve()
    world.edit(old.kubeconfig)
    await world.is_synced()
    listed = len(old.object_lists)
    world.edit("%%%")
    await world.has_problem(LinkReason.INVALID_KUBECONFIG)
    world.edit(old.kubeconfig)
    await world.has_problem(None)
    assert world.store.connections["c1"] == SYNCED
    assert len(old.object_lists) == listed


async def test_old_kubeconfig_is_used_again_after_a_loss(world: World) -> None:
    """If the new credentials fail and the session breaks, the old ones connect again."""
    old, new = await world.serve("old"), await world.serve("new", Refuse(401))
    world.edit(old.kubeconfig)
    await world.is_synced()
    world.edit(new.kubeconfig)
    await world.has_problem(LinkReason.UNAUTHORIZED)
    old.lose()
    await world.is_unreachable()
    old.cluster.put(service(API))
    old.cluster.heal()
    await world.is_synced()
    assert world.services() == {WEB, API}
    assert world.reason() is LinkReason.UNAUTHORIZED


async def test_cluster_is_unknown_until_new_namespaces_are_listed(world: World) -> None:
    """Until the namespaces wanted now are listed, nothing is concluded from the previous ones."""
    remote = await world.serve()
    world.edit(remote.kubeconfig, "default")
    await world.is_synced()
    remote.cluster.fail(Refuse(403), starts_with("/api/v1/namespaces/elsewhere"))
    world.edit(remote.kubeconfig, "elsewhere")
    await world.has_problem(LinkReason.FORBIDDEN)
    assert world.store.connections["c1"] == PENDING
    remote.cluster.heal()
    remote.cluster.put(service(ELSEWHERE))
    await world.is_synced()
    await eventually(lambda: world.services() == {ELSEWHERE})


async def test_missing_kubeconfig_is_shown(world: World) -> None:
    """A link that names no kubeconfig shows why, and connects once it does."""
    problem = Problem(LinkReason.INVALID_KUBECONFIG, "there is no Secret")
    world.edit(problem)
    await eventually(lambda: world.observation().problem == problem)
    world.edit((await world.serve()).kubeconfig)
    await world.is_synced()


async def test_kubeconfig_whose_secret_was_deleted_stays_in_use(world: World) -> None:
    """A session goes on without the Secret it was opened with, and the problem is shown."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    world.edit(Problem(LinkReason.INVALID_KUBECONFIG, "there is no Secret"))
    await world.has_problem(LinkReason.INVALID_KUBECONFIG)
    remote.cluster.put(service(API))
    await eventually(lambda: world.services() == {WEB, API})
    assert world.store.connections["c1"] == SYNCED


async def test_disabled_link_is_disconnected_and_comes_back(world: World) -> None:
    """A link that is disabled is disconnected; enabled again, its cluster is listed again."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    world.edit(LINK_DISABLED)
    await eventually(lambda: world.store.connections["c1"] == PENDING)
    assert world.services() == set()
    await eventually(lambda: not remote.cluster.watchers)
    world.edit(remote.kubeconfig)
    await world.is_synced()
    assert world.services() == {WEB}


async def test_edit_does_not_wait_for_a_server_that_hangs(world: World) -> None:
    """A new kubeconfig is used at once, though the attempt with the previous one goes on."""
    hanging, good = await world.serve("1", Hang()), await world.serve("2")
    world.edit(hanging.kubeconfig)
    await eventually(lambda: bool(hanging.server.requests))
    world.edit(good.kubeconfig)
    await world.is_synced()


async def test_new_credentials_do_not_wait_for_a_server_that_hangs(world: World) -> None:
    """A changed Secret interrupts an attempt, as an edit of the link does."""
    hanging, good = await world.serve("1", Hang()), await world.serve("2")
    world.edit(hanging.kubeconfig)
    await eventually(lambda: bool(hanging.server.requests))
    world.start("c1").change_credentials(LinkTarget(good.kubeconfig))
    await world.is_synced()


async def test_session_that_opens_while_its_link_is_edited_is_closed(world: World) -> None:
    """A session that opened after it was abandoned does not stay open beside its successor."""
    opened: list[Session] = []

    async def open_late(
        wanted: LinkTarget,
        admit: Admit,
        trust: Trust,
        resource: Resource[EndpointSlice],
        heartbeat: Heartbeat,
        accepted: Accepted,
    ) -> Session:
        made = await open_session(wanted, admit, trust, resource, heartbeat, accepted)
        opened.append(made)
        if len(opened) == 1:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return made

    world.open_session = open_late
    first, second = await world.serve(), await world.serve()
    world.edit(first.kubeconfig)
    await eventually(lambda: len(opened) == 1)
    world.edit(second.kubeconfig)
    await world.is_synced()
    assert [is_closed(each) for each in opened] == [True, False]


async def test_next_attempt_respects_retry_after(world: World) -> None:
    """After a 503 with Retry-After the next attempt waits, unless the link is edited."""

    busy = Garbage("not ready", 503, {"Retry-After": "100"})
    remote, other = await world.serve(fault=busy), await world.serve("other")
    refused = await world.serve("other", Refuse(503))
    world.edit(remote.kubeconfig)
    world.edit(refused.kubeconfig, name="c2")
    await world.has_problem(LinkReason.UNREACHABLE)
    tried = len(refused.server.requests)
    await eventually(lambda: len(refused.server.requests) > tried + 6)
    assert len(remote.server.requests) == 1
    world.edit(other.kubeconfig)
    await world.is_synced()


async def test_bug_does_not_end_the_remote(world: World) -> None:
    """An error that svclink does not expect is logged, and the cluster is tried again."""
    failures = [RuntimeError("a bug")]

    async def open_after_a_bug(
        wanted: LinkTarget,
        admit: Admit,
        trust: Trust,
        resource: Resource[EndpointSlice],
        heartbeat: Heartbeat,
        accepted: Accepted,
    ) -> Session:
        if failures:
            raise failures.pop()
        return await open_session(wanted, admit, trust, resource, heartbeat, accepted)

    world.open_session = open_after_a_bug
    with capture_logs() as logs:
        world.edit((await world.serve()).kubeconfig)
        await world.is_synced()
    assert "internal error" in [entry["event"] for entry in logs]


async def test_session_that_could_not_be_used_is_closed(world: World) -> None:
    """A session that was opened and could not be used does not stay open."""
    opened: list[Session] = []

    @define
    class Unusable(Session):
        async def hand_over(self, store: Store, cluster: str) -> None:
            raise RuntimeError(f"a bug, with {cluster} in {type(store)}")

    async def open_unusable(
        wanted: LinkTarget,
        admit: Admit,
        trust: Trust,
        resource: Resource[EndpointSlice],
        heartbeat: Heartbeat,
        accepted: Accepted,
    ) -> Session:
        made = await open_session(wanted, admit, trust, resource, heartbeat, accepted)
        is_first = not opened
        opened.append(Unusable(**asdict(made, recurse=False)) if is_first else made)
        return opened[-1]

    world.open_session = open_unusable
    with capture_logs():
        world.edit((await world.serve()).kubeconfig)
        await world.is_synced()
    assert [is_closed(each) for each in opened] == [True, False]


async def test_deleted_link_closes_its_connections(world: World) -> None:
    """A link that is deleted leaves no watch open."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    await eventually(lambda: len(remote.cluster.watchers) == 2)
    await world.delete("c1")
    await eventually(lambda: not remote.cluster.watchers)


# When its credentials expire


def token(days: float) -> str:
    """A token that expires in this many days."""
    payload = json.dumps({"exp": int(clock.seconds() + days * 86_400)}).encode()
    return f"e30.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.c2lnbmF0dXJl"


def days_left(world: World) -> int | None:
    """Whole days until the token of c1 expires; None if nothing is known of its credentials."""
    expiries = world.observation().expiries
    known = {each.credential: each.at for each in expiries or ()}
    return round((known["the token"] - clock.seconds()) / 86_400) if known else None


async def test_expiry_of_credentials_is_observed(world: World) -> None:
    """It is that of the credentials in use, and is not known any more once nothing is used."""
    remote = await world.serve()
    world.edit(kubeconfig(remote.url, token=token(3)))
    await world.is_synced()
    assert days_left(world) == 3
    world.start("c1").change_credentials(LinkTarget(kubeconfig(remote.url, token=token(30))))
    await eventually(lambda: days_left(world) == 30)
    world.edit(LINK_DISABLED)
    await eventually(lambda: days_left(world) is None)


async def test_expiry_is_that_of_the_credentials_in_use(world: World) -> None:
    """New credentials that do not work do not hide when those expire that stay in use."""
    old, new = await world.serve("old"), await world.serve("old", Refuse(401))
    world.edit(kubeconfig(old.url, token=token(3)))
    await world.is_synced()
    world.edit(kubeconfig(new.url, token=token(-1)))
    await world.has_problem(LinkReason.UNAUTHORIZED)
    problem = world.observation().problem
    assert problem is not None
    assert problem.expired.startswith("the token expired at ")
    assert days_left(world) == 3
    world.edit("%%%")
    await world.has_problem(LinkReason.INVALID_KUBECONFIG)
    assert days_left(world) == 3


async def test_rejected_credentials_that_expired_are_named(world: World) -> None:
    """The message begins with the cause; the token is in no message and in no log."""
    text = token(-1)
    remote = await world.serve(fault=Refuse(401))
    with capture_logs() as logs:
        world.edit(kubeconfig(remote.url, token=text))
        await world.has_problem(LinkReason.UNAUTHORIZED)
    problem = world.observation().problem
    assert problem is not None
    assert problem.message.startswith(f"{problem.expired}: 401 ")
    assert problem.message in [entry.get("problem") for entry in logs]
    assert text not in f"{logs}{world.observation()}"
    assert days_left(world) == -1


async def test_token_that_expires_while_it_is_used_is_named(world: World) -> None:
    """A 401 that ends a session is explained by the credentials of that session."""
    remote = await world.serve()
    world.edit(kubeconfig(remote.url, token=token(-1)))
    await world.is_synced()
    assert world.observation().problem is None
    remote.cluster.fail(Refuse(401))
    remote.cluster.hang_up()
    await world.has_problem(LinkReason.UNAUTHORIZED)
    problem = world.observation().problem
    assert problem is not None
    assert problem.expired.startswith("the token expired at ")


async def test_refused_kubeconfig_has_no_known_expiry(world: World) -> None:
    """Nothing is said of the credentials in a kubeconfig that svclink does not use."""
    remote = await world.serve(fault=Refuse(401))
    world.edit(kubeconfig(remote.url, token=token(3)))
    await eventually(lambda: days_left(world) == 3)
    world.edit("%%%")
    await eventually(lambda: days_left(world) is None)


# Which cluster it is


async def test_link_to_the_main_cluster_is_refused(world: World) -> None:
    """A link to the main cluster itself is never listed."""
    remote = await world.serve("uid-of-main")
    world.edit(remote.kubeconfig)
    await world.has_problem(LinkReason.SELF_LINK)
    assert world.services() == set()
    assert remote.object_lists == []


async def test_younger_of_two_links_to_a_cluster_is_refused(world: World) -> None:
    """Of two links to one cluster the older is used; when it is deleted, the younger one is."""
    remote = await world.serve()
    world.edit(remote.kubeconfig, name="old", created=EARLY)
    await world.is_synced("old")
    world.edit(remote.kubeconfig, name="young", created=LATE)
    await world.has_problem(LinkReason.DUPLICATE_CLUSTER, "young")
    assert world.services("young") == set()
    await world.delete("old")
    await world.is_synced("young")


async def test_refused_link_does_not_wait_for_a_pause(world: World) -> None:
    """A refused link connects as soon as the older link releases the cluster."""
    world.longest_pause = 1_000
    remote = await world.serve()
    world.edit(remote.kubeconfig, name="old", created=EARLY)
    await world.is_synced("old")
    world.edit(remote.kubeconfig, name="young", created=LATE)
    await world.has_problem(LinkReason.DUPLICATE_CLUSTER, "young")
    world.remotes["young"][0].backoff.failures = 30
    world.edit(LINK_DISABLED, name="old")
    await world.is_synced("young")


async def test_older_link_takes_a_cluster_from_a_younger_one(world: World) -> None:
    """A younger link that was connected first gives way."""
    remote = await world.serve()
    world.edit(remote.kubeconfig, name="young", created=LATE)
    await world.is_synced("young")
    world.edit(remote.kubeconfig, name="old", created=EARLY)
    await world.is_synced("old")
    await world.has_problem(LinkReason.DUPLICATE_CLUSTER, "young")
    assert world.store.connections["young"] != SYNCED


async def test_links_to_one_cluster_that_start_together_settle(world: World) -> None:
    """However the attempts of two links interleave, one is used and the other refused."""
    remote = await world.serve()
    world.edit(remote.kubeconfig, name="young", created=LATE)
    world.edit(remote.kubeconfig, name="old", created=EARLY)
    await world.is_synced("old")
    await world.has_problem(LinkReason.DUPLICATE_CLUSTER, "young")
    assert world.store.connections.get("young", PENDING) != SYNCED


async def test_younger_link_that_is_listing_is_refused_before_it_counts(world: World) -> None:
    """A link that was admitted before the older one connected hands nothing to the store."""
    gate = Hold()

    def is_list_of_the_younger(request: Request) -> bool:
        is_young = request.headers["Authorization"] == "Bearer young"
        return is_young and request.path.endswith("/endpointslices")

    remote = await world.serve()
    rule = remote.cluster.fail(gate, is_list_of_the_younger)
    world.edit(kubeconfig(remote.url, token="young"), name="young", created=LATE)  # noqa: S106 - a test value
    await eventually(lambda: rule.hits > 0)
    world.edit(remote.kubeconfig, name="old", created=EARLY)
    await world.is_synced("old")
    gate.released.set()
    await world.has_problem(LinkReason.DUPLICATE_CLUSTER, "young")
    assert ("young", SYNCED) not in world.past_connections


async def test_refused_edit_leaves_the_old_connection_alone(world: World) -> None:
    """A kubeconfig of the main cluster is refused, and the open session stays connected."""
    good, main = await world.serve(), await world.serve("uid-of-main")
    world.edit(good.kubeconfig)
    await world.is_synced()
    await eventually(lambda: len(good.cluster.watchers) == 2)
    asked = len(good.server.requests)
    world.edit(main.kubeconfig)
    await world.has_problem(LinkReason.SELF_LINK)
    tried = len(main.server.requests)
    await eventually(lambda: len(main.server.requests) > tried + 6)
    assert world.store.connections["c1"] == SYNCED
    assert len(good.server.requests) == asked


async def test_pinned_cluster_is_checked_when_the_link_is_edited(world: World) -> None:
    """Pinning another cluster closes the session, and mirrors stay; pinning this one reconnects."""
    remote = await world.serve("uid-of-a-cluster")
    world.edit(remote.kubeconfig)
    await world.is_synced()
    for generation, pinned in enumerate(("another", "uid-of-a-cluster"), start=1):
        edited = evolve(world.store.links["c1"], spec=ClusterLinkSpec(cluster_id=pinned))
        world.store.put_link(edited, listed=True)
        world.start("c1").edit(LinkTarget(remote.kubeconfig), generation)
        if pinned == "another":
            await world.has_problem(LinkReason.CLUSTER_CHANGED)
            assert world.store.connections["c1"] == PENDING
    await world.is_synced()
    assert world.reason() is None
