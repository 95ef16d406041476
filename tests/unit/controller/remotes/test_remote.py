"""A linked cluster is connected, followed, lost and found again; what worked stays in use until something better does.

Real: remote, session, reflectors, store, cluster claims, clients, sockets and TLS. Substituted: the remote API
servers, by small ones.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeAlias

import pytest
import yaml
from aiohttp import web
from attrs import define, evolve, field

from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.backoff import Backoff
from svclink_controller.credentials.kubeconfig import KubeconfigError
from svclink_controller.credentials.trust import Trust
from svclink_controller.remotes import remote as remote_module
from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_controller.remotes.remote import ConnectError, Remote, problem_of
from svclink_controller.remotes.session import RefusedError, Session, open_session
from svclink_controller.state.changes import LinkStatusChanged, StateChange
from svclink_controller.state.store import Observation, Store
from svclink_controller.wire.messages import Status, WireError
from svclink_controller.wire.resources import Resource
from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    EndpointSlice,
    LinkReason,
    NamespacedName,
    ObjectMeta,
    Options,
    Service,
    Unreachable,
)
from svclink_core.link_identity import Problem
from svclink_core.link_target import LinkTarget
from svclink_core.snapshot import Connection
from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.unit.controller.servers import (
    OTHER_AUTHORITY,
    Cluster,
    Server,
    eventually,
    kubeconfig,
    refusal,
    serving,
)

Override: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | None]]

WEB, API = NamespacedName("default", "web"), NamespacedName("default", "api")
ELSEWHERE = NamespacedName("elsewhere", "web")
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def service(key: NamespacedName = WEB) -> Service:
    return Service(ObjectMeta(key.name, key.namespace))


def piece(key: NamespacedName = WEB) -> EndpointSlice:
    return EndpointSlice(
        ObjectMeta(f"{key.name}-1", key.namespace, labels=((LABEL_SERVICE_NAME, key.name),)), "IPv4"
    )


def refusing(code: int, *paths: str) -> Override:
    """Refuses what is under these paths, everything if there are none."""

    async def refuse(request: web.BaseRequest) -> web.StreamResponse | None:
        return refusal(code) if not paths or request.path.startswith(paths) else None

    return refuse


@define
class Running:
    """A cluster's API server, and what it was asked."""

    server: Server
    cluster: Cluster

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def kubeconfig(self) -> str:
        return kubeconfig(self.url)


@define
class World:
    """A store, and the remotes of its links at work."""

    stack: AsyncExitStack
    connections_told: list[tuple[str, Connection]] = field(factory=list)
    store: Store = field(init=False)
    cluster_claims: ClusterClaims = field(factory=lambda: ClusterClaims(main_id="uid-of-main"))
    remotes: dict[str, tuple[Remote, asyncio.Task[None]]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.store = Store(Options(), self.note)

    def note(self, change: StateChange) -> None:
        """Records every connection that a link ever had."""
        if isinstance(change, LinkStatusChanged):
            connection = self.store.connections.get(change.name, PENDING)
            self.connections_told.append((change.name, connection))

    async def serve(
        self, uid: str = "uid-of-a-cluster", override: Override | None = None
    ) -> Running:
        """One more cluster, with a Service and a slice."""
        cluster = Cluster(uid, override)
        cluster.put(service())
        cluster.put(piece())
        return Running(await self.stack.enter_async_context(serving(cluster)), cluster)

    def edit(
        self, wanted: str | Problem | None, *namespaces: str, name: str = "c1", created: str = EARLY
    ) -> None:
        """A link is made or edited: it has a kubeconfig, or none that can be used, or is disabled."""
        self.store.put_link(
            ClusterLink(ObjectMeta(name, uid=f"uid-of-{name}", creation_timestamp=created))
        )
        if name not in self.remotes:
            remote = Remote(
                name, self.store, self.cluster_claims, backoff=Backoff(base=0.05, cap=0.2)
            )
            self.remotes[name] = remote, asyncio.create_task(remote.run())
        self.remotes[name][0].configure(
            LinkTarget(wanted, namespaces) if isinstance(wanted, str) else wanted
        )

    async def end(self, name: str) -> None:
        """A link is deleted."""
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

    async def has_problem(self, reason: LinkReason | None, name: str = "c1") -> None:
        await eventually(lambda: self.reason(name) is reason)


@asynccontextmanager
async def worlds() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = World(stack)
        try:
            yield made
        finally:
            for name in list(made.remotes):
                await made.end(name)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with worlds() as made:
        yield made


# What errors mean


def status(code: int) -> ApiError:
    return ApiError(Status(code, "Reason", "message"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KubeconfigError("InvalidKubeconfig", "users[0]", "is bad"), LinkReason.INVALID_KUBECONFIG),
        (
            KubeconfigError("InsecureKubeconfig", "users[0]", "is bad"),
            LinkReason.INSECURE_KUBECONFIG,
        ),
        (status(401), LinkReason.UNAUTHORIZED),
        (status(403), LinkReason.FORBIDDEN),
        (status(404), LinkReason.UNREACHABLE),
        (status(500), LinkReason.UNREACHABLE),
        (TransportError("no route"), LinkReason.UNREACHABLE),
        (TransportError("bad CA", is_certificate=True), LinkReason.CERTIFICATE_INVALID),
        (WireError("HTML"), LinkReason.UNREACHABLE),
    ],
)
def test_error_becomes_a_reason_and_what_to_do(error: ConnectError, reason: LinkReason) -> None:
    """The message says what happened, and what to do about it."""
    assert problem_of(error) == Problem(reason, f"{error}: {reason.sentence}")


def test_refused_link_shows_the_refusal() -> None:
    """The rules over cluster claims word their problem themselves."""
    problem = Problem(LinkReason.SELF_LINK, "it is the main cluster")
    assert problem_of(RefusedError(problem)) == problem


# Connecting


async def test_cluster_is_listed_and_followed(world: World) -> None:
    """What a cluster has is in the store when it counts as synced, and what it gets comes in."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    assert world.services() == {WEB}
    assert set(world.store.snapshot().remotes["c1"].endpoint_slices) == {WEB}
    remote.cluster.put(service(API))
    remote.cluster.remove(service())
    await eventually(lambda: world.services() == {API})


async def test_connection_is_observed(world: World) -> None:
    """Version, identity and time of the connection are known, and no problem."""
    world.edit((await world.serve()).kubeconfig)
    await eventually(lambda: world.observation().version == "v1.36.0")
    assert world.observation().cluster_id == "uid-of-a-cluster"
    assert world.observation().last_connected is not None
    assert world.observation().problem is None


async def test_only_the_namespaces_asked_for_are_read(world: World) -> None:
    """Where namespaces are listed, namespaced Roles suffice: nothing is asked of the whole cluster."""
    remote = await world.serve()
    remote.cluster.put(service(ELSEWHERE))
    world.edit(remote.kubeconfig, "default", "empty")
    await world.is_synced()
    assert world.services() == {WEB}
    asked = {path for path in remote.server.paths if path.endswith(("services", "endpointslices"))}
    assert len(asked) == 4
    assert all("/namespaces/" in path for path in asked)


async def test_identity_may_stay_unknown(world: World) -> None:
    """Credentials that may not read kube-system connect all the same."""
    remote = await world.serve(override=refusing(403, "/api/v1/namespaces/kube-system"))
    world.edit(remote.kubeconfig)
    await world.is_synced()
    assert world.observation().cluster_id is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [(401, LinkReason.UNAUTHORIZED), (403, LinkReason.FORBIDDEN), (500, LinkReason.UNREACHABLE)],
)
@pytest.mark.parametrize(
    "path", ["/version", "/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"]
)
async def test_refusal_is_shown_and_nothing_is_known(
    world: World, code: int, reason: LinkReason, path: str
) -> None:
    """A cluster of which not everything could be listed is unreachable from then on, and holds nothing."""
    remote = await world.serve(override=refusing(code, path))
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
    """A bad kubeconfig is a problem of its link, and the remote goes on waiting for a better one."""
    world.edit(text)
    await world.has_problem(reason)
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    await world.has_problem(None)


async def test_server_of_another_authority_is_shown(world: World) -> None:
    """A wrong CA is told apart from a server that is away."""
    remote = await world.serve()
    world.edit(kubeconfig(remote.url, OTHER_AUTHORITY))
    await world.has_problem(LinkReason.CERTIFICATE_INVALID)


async def test_cluster_is_tried_until_it_answers(world: World) -> None:
    """A cluster that was away when its link was made is found when it comes."""
    remote = await world.serve(override=refusing(503))
    world.edit(remote.kubeconfig)
    await world.has_problem(LinkReason.UNREACHABLE)
    remote.cluster.override = None
    await world.is_synced()
    await world.has_problem(None)


# Losing and finding again


async def test_lost_cluster_keeps_what_was_known(world: World) -> None:
    """A cluster that cannot be reached any more is unreachable; nothing of it is forgotten."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    remote.cluster.override = refusing(503)
    remote.cluster.hang_up()
    await eventually(lambda: isinstance(world.store.connections["c1"], Unreachable))
    await world.has_problem(LinkReason.UNREACHABLE)
    assert world.services() == {WEB}


async def test_found_cluster_is_listed_anew(world: World) -> None:
    """What happened while a cluster was lost is known when it is back, deletions too."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    remote.cluster.override = refusing(503)
    remote.cluster.hang_up()
    await eventually(lambda: isinstance(world.store.connections["c1"], Unreachable))
    remote.cluster.put(service(API))
    remote.cluster.remove(service())
    remote.cluster.override = None
    await world.is_synced()
    assert world.services() == {API}


async def test_found_cluster_takes_no_memory_for_what_was_known(world: World) -> None:
    """Slices that are as they were when a cluster was lost are held once, however often it comes back."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    (known,) = world.store.snapshot().remotes["c1"].endpoint_slices[WEB]
    remote.cluster.override = refusing(503)
    remote.cluster.hang_up()
    await eventually(lambda: isinstance(world.store.connections["c1"], Unreachable))
    remote.cluster.override = None
    await world.is_synced()
    (found,) = world.store.snapshot().remotes["c1"].endpoint_slices[WEB]
    assert found is known


async def test_unreachable_since_is_when_it_was_lost(world: World) -> None:
    """Failed tries to come back do not make the cluster look lost more recently."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    remote.cluster.override = refusing(503)
    remote.cluster.hang_up()
    await eventually(lambda: isinstance(world.store.connections["c1"], Unreachable))
    lost = world.store.connections["c1"]
    asked = len(remote.server.requests)
    await eventually(lambda: len(remote.server.requests) > asked + 3)
    assert world.store.connections["c1"] is lost


async def test_cluster_that_may_be_listed_but_not_watched_is_not_hammered(world: World) -> None:
    """Where every connection breaks at once, everything is not listed again and again without a pause."""

    async def refuse_watches(request: web.BaseRequest) -> web.StreamResponse | None:
        return refusal(403) if request.query.get("watch") == "true" else None

    remote = await world.serve(override=refuse_watches)
    slow = Remote("c1", world.store, world.cluster_claims)
    world.remotes["c1"] = slow, asyncio.create_task(slow.run())
    world.edit(remote.kubeconfig)
    await world.has_problem(LinkReason.FORBIDDEN)
    await asyncio.sleep(1)
    assert len(remote.server.requests) < 100


async def test_one_cluster_does_not_disturb_another(world: World) -> None:
    """A cluster that hangs, and one that refuses, leave the third one alone."""

    async def hang(_: web.BaseRequest) -> web.StreamResponse | None:
        await asyncio.Event().wait()
        return None

    hanging, refused = await world.serve("1", hang), await world.serve("2", refusing(500))
    good = await world.serve("3")
    world.edit(hanging.kubeconfig, name="hanging")
    world.edit(refused.kubeconfig, name="refused")
    world.edit(good.kubeconfig, name="good")
    await world.is_synced("good")
    assert world.services("good") == {WEB}


# New credentials: make before break


async def test_new_kubeconfig_takes_over_when_it_works(world: World) -> None:
    """The cluster of the new kubeconfig replaces what was known, and the old one is left."""
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
    """New credentials that do not work are shown; the cluster stays synced and followed with those that do."""
    old, new = await world.serve("old"), await world.serve("new", refusing(code))
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
    """Credentials that were put in before they were granted take over when they are."""
    old, new = await world.serve("old"), await world.serve("new", refusing(401))
    world.edit(old.kubeconfig)
    await world.is_synced()
    world.edit(new.kubeconfig)
    await world.has_problem(LinkReason.UNAUTHORIZED)
    new.cluster.override = None
    await eventually(lambda: world.observation().cluster_id == "new")
    assert world.reason() is None


async def test_edit_that_is_taken_back_leaves_no_problem(world: World) -> None:
    """With the working kubeconfig back in the link, all is well again without a new connection."""
    old = await world.serve()
    world.edit(old.kubeconfig)
    await world.is_synced()
    asked = len(old.server.lists)
    world.edit("%%%")
    await world.has_problem(LinkReason.INVALID_KUBECONFIG)
    world.edit(old.kubeconfig)
    await world.has_problem(None)
    assert world.store.connections["c1"] == SYNCED
    assert len(old.server.lists) == asked


async def test_old_kubeconfig_comes_back_into_use_after_a_loss(world: World) -> None:
    """Where the new credentials fail and the connection breaks, the cluster is found again with the old ones."""
    old, new = await world.serve("old"), await world.serve("new", refusing(401))
    world.edit(old.kubeconfig)
    await world.is_synced()
    world.edit(new.kubeconfig)
    await world.has_problem(LinkReason.UNAUTHORIZED)
    await eventually(lambda: len(old.cluster.watchers) == 2)
    old.cluster.hang_up()
    await eventually(lambda: isinstance(world.store.connections["c1"], Unreachable))
    old.cluster.put(service(API))
    await world.is_synced()
    assert world.services() == {WEB, API}
    assert world.reason() is LinkReason.UNAUTHORIZED


async def test_other_namespaces_put_what_is_known_in_doubt(world: World) -> None:
    """While the namespaces now asked for could not be listed, nothing is concluded from those that were."""
    remote = await world.serve()
    world.edit(remote.kubeconfig, "default")
    await world.is_synced()
    remote.cluster.override = refusing(403, "/api/v1/namespaces/elsewhere")
    world.edit(remote.kubeconfig, "elsewhere")
    await world.has_problem(LinkReason.FORBIDDEN)
    assert world.store.connections["c1"] == PENDING
    remote.cluster.override = None
    remote.cluster.put(service(ELSEWHERE))
    await world.is_synced()
    await eventually(lambda: world.services() == {ELSEWHERE})


async def test_kubeconfig_that_is_missing_is_shown(world: World) -> None:
    """A link that does not say how to connect shows why, and waits for a better one."""
    problem = Problem(LinkReason.INVALID_KUBECONFIG, "there is no Secret")
    world.edit(problem)
    await eventually(lambda: world.observation().problem == problem)
    world.edit((await world.serve()).kubeconfig)
    await world.is_synced()


async def test_kubeconfig_that_went_missing_stays_in_use(world: World) -> None:
    """Where the Secret of a link is gone, the connection it made goes on, and the problem is shown."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    world.edit(Problem(LinkReason.INVALID_KUBECONFIG, "there is no Secret"))
    await world.has_problem(LinkReason.INVALID_KUBECONFIG)
    remote.cluster.put(service(API))
    await eventually(lambda: world.services() == {WEB, API})
    assert world.store.connections["c1"] == SYNCED


async def test_disabled_link_is_left_and_comes_back(world: World) -> None:
    """A link that is switched off is not connected any more; switched on, it is listed anew."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    world.edit(None)
    await eventually(lambda: world.store.connections["c1"] == PENDING)
    assert world.services() == set()
    await eventually(lambda: not remote.cluster.watchers)
    world.edit(remote.kubeconfig)
    await world.is_synced()
    assert world.services() == {WEB}


async def test_edit_does_not_wait_for_a_server_that_hangs(world: World) -> None:
    """A better kubeconfig is used at once, though the try with the former one has not ended."""

    async def hang(_: web.BaseRequest) -> web.StreamResponse | None:
        await asyncio.Event().wait()
        return None

    hanging, good = await world.serve("1", hang), await world.serve("2")
    world.edit(hanging.kubeconfig)
    await eventually(lambda: bool(hanging.server.requests))
    world.edit(good.kubeconfig)
    await world.is_synced()


async def test_connection_that_opens_as_its_link_is_edited_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is ready when it is given up does not stay open beside the one that takes its place."""
    opened: list[Session] = []

    async def open_late(
        target: LinkTarget,
        admit: Callable[[str | None], Problem | None],
        trust: Trust,
        resource: Resource[EndpointSlice],
    ) -> Session:
        made = await open_session(target, admit, trust, resource)
        opened.append(made)
        if len(opened) == 1:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return made

    monkeypatch.setattr(remote_module, "open_session", open_late)
    first, second = await world.serve(), await world.serve()
    world.edit(first.kubeconfig)
    await eventually(lambda: len(opened) == 1)
    world.edit(second.kubeconfig)
    await world.is_synced()
    pools = [each.client._api.rest_client.pool_manager for each in opened]
    assert [pool is not None and pool.closed for pool in pools] == [True, False]


async def test_cluster_is_left_alone_as_long_as_it_asks(world: World) -> None:
    """After a 503 with Retry-After the next try is not before that time; an edit is an exception."""

    async def not_ready(_: web.BaseRequest) -> web.StreamResponse | None:
        return web.Response(status=503, text="not ready", headers={"Retry-After": "100"})

    remote, other = await world.serve(override=not_ready), await world.serve()
    world.edit(remote.kubeconfig)
    await world.has_problem(LinkReason.UNREACHABLE)
    await asyncio.sleep(0.5)
    assert len(remote.server.requests) == 1
    world.edit(other.kubeconfig)
    await world.is_synced()


async def test_end_of_a_link_closes_its_connections(world: World) -> None:
    """A link that is deleted leaves no watch behind."""
    remote = await world.serve()
    world.edit(remote.kubeconfig)
    await world.is_synced()
    await eventually(lambda: len(remote.cluster.watchers) == 2)
    await world.end("c1")
    await eventually(lambda: not remote.cluster.watchers)


# Which cluster it is


async def test_link_to_the_main_cluster_is_refused(world: World) -> None:
    """A link to the main cluster itself is never read."""
    remote = await world.serve("uid-of-main")
    world.edit(remote.kubeconfig)
    await world.has_problem(LinkReason.SELF_LINK)
    assert world.services() == set()
    assert [
        path for path in remote.server.paths if path.endswith(("services", "endpointslices"))
    ] == []


async def test_younger_of_two_links_to_a_cluster_is_refused(world: World) -> None:
    """Of two links to one cluster the older is used; when it goes, the younger takes its place."""
    remote = await world.serve()
    world.edit(remote.kubeconfig, name="old", created=EARLY)
    await world.is_synced("old")
    world.edit(remote.kubeconfig, name="young", created=LATE)
    await world.has_problem(LinkReason.DUPLICATE_CLUSTER, "young")
    assert world.services("young") == set()
    await world.end("old")
    await world.is_synced("young")


async def test_older_link_takes_a_cluster_from_a_younger_one(world: World) -> None:
    """Where the younger link was there first, it gives way."""
    remote = await world.serve()
    world.edit(remote.kubeconfig, name="young", created=LATE)
    await world.is_synced("young")
    world.edit(remote.kubeconfig, name="old", created=EARLY)
    await world.is_synced("old")
    await world.has_problem(LinkReason.DUPLICATE_CLUSTER, "young")
    assert world.store.connections["young"] != SYNCED


async def test_links_to_one_cluster_that_start_together_settle(world: World) -> None:
    """However the tries of two links interleave, one is used and the other refused."""
    remote = await world.serve()
    world.edit(remote.kubeconfig, name="young", created=LATE)
    world.edit(remote.kubeconfig, name="old", created=EARLY)
    await world.is_synced("old")
    await world.has_problem(LinkReason.DUPLICATE_CLUSTER, "young")
    assert world.store.connections.get("young", PENDING) != SYNCED


async def test_younger_link_that_listed_meanwhile_is_refused_before_it_counts(world: World) -> None:
    """A link that was admitted before the older one connected hands nothing over: nothing would be mirrored twice."""
    listing, gate = asyncio.Event(), asyncio.Event()

    async def hold_the_younger(request: web.BaseRequest) -> web.StreamResponse | None:
        if request.headers["Authorization"] == "Bearer young" and request.path.endswith(
            "/endpointslices"
        ):
            listing.set()
            await gate.wait()
        return None

    remote = await world.serve(override=hold_the_younger)
    world.edit(kubeconfig(remote.url, token="young"), name="young", created=LATE)  # noqa: S106 - of nobody
    await listing.wait()
    world.edit(remote.kubeconfig, name="old", created=EARLY)
    await world.is_synced("old")
    told = world.connections_told
    gate.set()
    await world.has_problem(LinkReason.DUPLICATE_CLUSTER, "young")
    assert ("young", SYNCED) not in told


async def test_refused_edit_leaves_the_old_connection_alone(world: World) -> None:
    """A kubeconfig of the main cluster is refused, and what worked before stays connected without a break."""
    good, main = await world.serve(), await world.serve("uid-of-main")
    world.edit(good.kubeconfig)
    await world.is_synced()
    asked = len(good.server.requests)
    world.edit(main.kubeconfig)
    await world.has_problem(LinkReason.SELF_LINK)
    tried = len(main.server.requests)
    await eventually(lambda: len(main.server.requests) > tried + 6)
    assert world.store.connections["c1"] == SYNCED
    assert len(good.server.requests) <= asked + 2


async def test_a_pinned_cluster_is_held_as_soon_as_the_link_says_so(world: World) -> None:
    """An edit that pins another cluster ends the connection, and what was mirrored is kept; one that lifts it mends."""
    remote = await world.serve("uid-of-a-cluster")
    world.edit(remote.kubeconfig)
    await world.is_synced()
    for generation, pinned in enumerate(("another", "uid-of-a-cluster"), start=1):
        link = world.store.links["c1"]
        world.store.put_link(evolve(link, spec=ClusterLinkSpec(cluster_id=pinned)), listed=True)
        world.remotes["c1"][0].configure(LinkTarget(remote.kubeconfig), generation)
        if pinned == "another":
            await world.has_problem(LinkReason.CLUSTER_CHANGED)
            assert world.store.connections["c1"] == PENDING
    await world.is_synced()
    assert world.reason() is None
