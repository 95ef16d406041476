"""Changes are performed in an order that loses no address, and what becomes of each is a value.

Real: the applier, the client, sockets and TLS. Substituted: the main API server, by one that refuses as it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
from aiohttp import web
from attrs import define, evolve, field
from structlog.testing import capture_logs

from svclink_controller.reconcile import applier as applier_module
from svclink_controller.reconcile.applier import MAX_IN_FLIGHT, Applier, WriteResult, WriteStatus
from svclink_controller.reconcile.write_pacing import REST_SECONDS, WritePace
from svclink_core import (
    Change,
    Create,
    CreateNamespace,
    CreateService,
    Delete,
    Endpoint,
    EndpointSlice,
    Namespace,
    NamespacedName,
    ObjectMeta,
    Precondition,
    Reason,
    Service,
    ServicePort,
    ServiceSpec,
    Update,
)
from svclink_core.codec import structure, unstructure
from svclink_core.well_known import LABEL_CLUSTER, LABEL_MANAGED_BY, LABEL_SERVICE_NAME, MANAGED_BY
from tests.unit.controller.servers import (
    Cluster,
    Request,
    Server,
    answer,
    connected,
    eventually,
    refusal,
    serving,
)

Override: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | None]]


def piece(
    name: str = "web-c1", cluster: str | None = "c1", address: str = "10.0.0.1"
) -> EndpointSlice:
    labels = {LABEL_MANAGED_BY: MANAGED_BY} | ({} if cluster is None else {LABEL_CLUSTER: cluster})
    metadata = ObjectMeta(name, "default", labels=tuple(sorted(labels.items())))
    return EndpointSlice(metadata, "IPv4", (Endpoint((address,)),))


def create(name: str = "web-c1", cluster: str | None = "c1") -> Create:
    return Create(piece(name, cluster), Reason.SOURCE_ADDED)


def precondition_of(stored: EndpointSlice) -> Precondition:
    return Precondition(stored.metadata.uid, stored.metadata.resource_version)


def update(stored: EndpointSlice, address: str = "10.0.0.9") -> Update:
    wanted = evolve(piece(stored.metadata.name, stored.cluster, address))
    return Update(wanted, precondition_of(stored), Reason.CONTENT_CHANGED)


def delete(stored: EndpointSlice) -> Delete:
    return Delete(stored, precondition_of(stored), Reason.SOURCE_GONE)


def main_slice(version: str = "1") -> EndpointSlice:
    return evolve(piece(), metadata=evolve(piece().metadata, uid="u", resource_version=version))


@define
class Main:
    """The main cluster, an applier for it, and the slices it told the store of: written, and found to be gone."""

    server: Server
    cluster: Cluster
    applier: Applier
    written: list[EndpointSlice | Service] = field(factory=list)
    gone: list[tuple[NamespacedName, str]] = field(factory=list)

    def add(self, item: EndpointSlice) -> EndpointSlice:
        """The slice as the cluster has stored it."""
        return structure(self.cluster.put(item), EndpointSlice)

    @property
    def slices(self) -> list[EndpointSlice]:
        """The slices that the API server returned from writes."""
        return [piece for piece in self.written if isinstance(piece, EndpointSlice)]

    @property
    def names(self) -> list[str]:
        return sorted(item["metadata"]["name"] for item in self.cluster.all("endpointslices"))

    @property
    def writes(self) -> list[Request]:
        return self.server.requests


@asynccontextmanager
async def main_cluster(override: Override | None = None) -> AsyncIterator[Main]:
    cluster = Cluster(override=override)
    written: list[EndpointSlice | Service] = []
    gone: list[tuple[NamespacedName, str]] = []
    async with serving(cluster) as server, connected(server.url) as client:
        applier = Applier(client, written.append, lambda key, uid: gone.append((key, uid)))
        yield Main(server, cluster, applier, written, gone)


def refusing(*refused: str, with_: Callable[[], web.Response] = lambda: refusal(500)) -> Override:
    """Refuses writes to slices of these names, in paths or bodies."""

    async def override(request: web.BaseRequest) -> web.StreamResponse | None:
        name = request.path.rpartition("/")[2]
        if request.method == "POST":
            name = (await request.json())["metadata"]["name"]
        return with_() if name in refused else None

    return override


def statuses(outcomes: list[WriteResult]) -> dict[str, WriteStatus]:
    return {
        f"{type(each.change).__name__} {each.change.key.name}": each.status for each in outcomes
    }


# What is sent


async def test_creation_makes_the_slice() -> None:
    """The whole slice is posted to its namespace, and the answer goes to the store."""
    async with main_cluster() as main:
        (outcome,) = await main.applier.apply([create()])
        (request,) = main.writes
        assert (request.method, request.path) == (
            "POST",
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        )
        assert request.json == unstructure(piece())
        assert outcome == WriteResult(create(), WriteStatus.APPLIED)
        assert [each.metadata.resource_version for each in main.written] == [
            str(main.cluster.revision)
        ]


async def test_update_sends_its_precondition() -> None:
    """A PUT names uid and resourceVersion of the very object the plan was made for."""
    async with main_cluster() as main:
        stored = main.add(piece())
        (outcome,) = await main.applier.apply([update(stored)])
        (request,) = main.writes
        sent = request.json
        assert request.method == "PUT"
        assert request.path == "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/web-c1"
        assert (sent["metadata"]["uid"], sent["metadata"]["resourceVersion"]) == (
            stored.metadata.uid,
            stored.metadata.resource_version,
        )
        assert sent["endpoints"][0]["addresses"] == ["10.0.0.9"]
        assert outcome.status is WriteStatus.APPLIED
        assert main.slices[0].endpoints[0].addresses == ("10.0.0.9",)


@pytest.mark.parametrize("is_new", [True, False], ids=["creation", "update"])
async def test_written_endpoints_are_held_once(*, is_new: bool) -> None:
    """A mirror shares the endpoints it was written with, which mostly are the remote slice's: they fill the memory."""
    async with main_cluster() as main:
        change = create() if is_new else update(main.add(piece()))
        await main.applier.apply([change])
        assert main.slices[0].endpoints is change.endpoint_slice.endpoints


async def test_endpoints_that_were_changed_on_the_way_are_known_as_they_are() -> None:
    """Where an admission webhook writes other endpoints than were sent, these are what the store is told of."""

    async def override(request: web.BaseRequest) -> web.StreamResponse | None:
        return answer(await request.json() | {"endpoints": [{"addresses": ["10.0.0.7"]}]}, 201)

    async with main_cluster(override) as main:
        await main.applier.apply([create()])
        assert main.slices[0].endpoints == (Endpoint(("10.0.0.7",)),)


async def test_deletion_sends_its_precondition() -> None:
    """A DELETE names uid and resourceVersion of the very object the plan was made for."""
    async with main_cluster() as main:
        stored = main.add(piece())
        (outcome,) = await main.applier.apply([delete(stored)])
        (request,) = main.writes
        assert request.method == "DELETE"
        assert request.json["preconditions"] == {
            "uid": stored.metadata.uid,
            "resourceVersion": stored.metadata.resource_version,
        }
        assert (outcome.status, main.names, main.written) == (WriteStatus.APPLIED, [], [])


async def test_nothing_to_do_asks_nobody() -> None:
    """A plan without changes sends no request."""
    async with main_cluster() as main:
        assert await main.applier.apply([]) == []
        assert main.writes == []


async def test_object_that_changed_meanwhile_is_left_alone() -> None:
    """With another version than the plan was made for, neither update nor deletion happens."""
    async with main_cluster() as main:
        stored = main.add(piece())
        main.add(piece(address="10.0.0.7"))
        outcomes = await main.applier.apply([update(stored)])
        main.applier.write_pace = WritePace()
        outcomes += await main.applier.apply([delete(stored)])
        assert {each.status for each in outcomes} == {WriteStatus.SUPERSEDED}
        assert main.cluster.all("endpointslices")[0]["endpoints"][0]["addresses"] == ["10.0.0.7"]


# The order


async def test_deletions_come_after_everything_else() -> None:
    """No address goes before all that replaces it is there, however the changes are ordered."""
    async with main_cluster() as main:
        old, changed = main.add(piece("old")), main.add(piece("changed"))
        await main.applier.apply([delete(old), create("new"), update(changed), create("newer")])
        methods = [request.method for request in main.writes]
        assert (sorted(methods[:3]), methods[3:]) == (["POST", "POST", "PUT"], ["DELETE"])
        assert main.names == ["changed", "new", "newer"]


@pytest.mark.parametrize("code", [409, 422, 500])
async def test_deletion_waits_where_its_replacement_failed(code: int) -> None:
    """Where a creation of a cluster failed, no slice of that cluster goes: it may be all there is of an address."""
    async with main_cluster(refusing("new", with_=lambda: refusal(code))) as main:
        old = main.add(piece("old"))
        outcomes = await main.applier.apply([create("new"), create("other"), delete(old)])
        assert statuses(outcomes)["Delete old"] is WriteStatus.POSTPONED
        assert main.names == ["old", "other"]


async def test_deletion_waits_where_an_update_failed() -> None:
    """An update that failed holds deletions back as a creation does: an address may be moving into that slice."""
    async with main_cluster(refusing("changed")) as main:
        old, changed = main.add(piece("old")), main.add(piece("changed"))
        outcomes = await main.applier.apply([update(changed), delete(old)])
        assert statuses(outcomes)["Delete old"] is WriteStatus.POSTPONED
        assert main.names == ["changed", "old"]


async def test_deletion_of_another_cluster_does_not_wait() -> None:
    """What fails for one cluster holds up no other one."""
    async with main_cluster(refusing("new")) as main:
        first, second = main.add(piece("first", "c1")), main.add(piece("second", "c2"))
        outcomes = await main.applier.apply([create("new", "c1"), delete(first), delete(second)])
        assert statuses(outcomes) == {
            "Create new": WriteStatus.FAILED,
            "Delete first": WriteStatus.POSTPONED,
            "Delete second": WriteStatus.APPLIED,
        }
        assert main.names == ["first"]


async def test_slices_that_lost_their_cluster_label_count_as_one_cluster() -> None:
    """A slice of no known cluster is not held up by the trouble of a cluster."""
    async with main_cluster(refusing("new")) as main:
        lost = main.add(piece("lost", None))
        await main.applier.apply([create("new", "c1"), delete(lost)])
        assert main.names == []


async def test_every_change_has_its_outcome() -> None:
    """What was applied, what failed and what waits add up to what was asked for."""
    async with main_cluster(refusing("new")) as main:
        old = main.add(piece("old"))
        changes: list[Change] = [delete(old), create("new"), create("fine", "c2")]
        outcomes = await main.applier.apply(changes)
    assert {each.change.key.name for each in outcomes} == {"old", "new", "fine"}


# What refusals mean


@pytest.mark.parametrize(
    ("give", "status"),
    [
        (lambda: refusal(400, "BadRequest"), WriteStatus.FAILED),
        (lambda: refusal(401, "Unauthorized"), WriteStatus.FAILED),
        (lambda: refusal(403, "Forbidden"), WriteStatus.FAILED),
        (lambda: refusal(403, "Forbidden", cause="NamespaceTerminating"), WriteStatus.SUPERSEDED),
        (lambda: refusal(404, "NotFound"), WriteStatus.SUPERSEDED),
        (lambda: refusal(409, "AlreadyExists"), WriteStatus.SUPERSEDED),
        (lambda: refusal(409, "Conflict"), WriteStatus.SUPERSEDED),
        (lambda: refusal(413, "RequestEntityTooLarge"), WriteStatus.REFUSED),
        (lambda: refusal(422, "Invalid"), WriteStatus.REFUSED),
        (lambda: refusal(429, "TooManyRequests"), WriteStatus.FAILED),
        (lambda: refusal(500, "InternalError"), WriteStatus.FAILED),
        (lambda: web.Response(status=503, text="<html>\nsorry</html>"), WriteStatus.FAILED),
        (lambda: web.Response(text="<html>Sign in</html>"), WriteStatus.FAILED),
        (lambda: answer({"metadata": {}}), WriteStatus.FAILED),
    ],
)
async def test_refusal_of_a_write_is_a_verdict(
    give: Callable[[], web.Response], status: WriteStatus
) -> None:
    """Every way of saying no to a creation or update is a value that says whether, and when, to try again."""
    async with main_cluster(refusing("web-c1", with_=give)) as main:
        stored = main.add(piece())
        outcomes = await main.applier.apply([create()])
        main.applier.write_pace = WritePace()
        outcomes += await main.applier.apply([update(stored)])
        assert [each.status for each in outcomes] == [status, status]
        assert all(each.message for each in outcomes)
        assert main.written == []


async def test_deletion_of_what_is_gone_is_done() -> None:
    """A slice that somebody else deleted first needs no further try."""
    async with main_cluster() as main:
        gone = evolve(piece(), metadata=evolve(piece().metadata, uid="u", resource_version="1"))
        (outcome,) = await main.applier.apply([delete(gone)])
    assert outcome == WriteResult(delete(gone), WriteStatus.APPLIED)


async def test_delay_the_server_asks_for_is_handed_on() -> None:
    """Whoever plans again learns how long the API server wants to be left alone."""
    async with main_cluster(refusing("web-c1", with_=lambda: refusal(429, retry_after=7))) as main:
        (outcome,) = await main.applier.apply([create()])
    assert (outcome.status, outcome.retry_after) == (WriteStatus.FAILED, 7)


async def test_lost_connection_is_a_verdict() -> None:
    """A connection that breaks may work later; whether the write happened, the next plan sees."""

    async def break_off(request: web.BaseRequest) -> web.StreamResponse | None:
        assert request.transport is not None
        request.transport.abort()
        return None

    async with main_cluster(break_off) as main:
        (outcome,) = await main.applier.apply([create()])
    assert outcome.status is WriteStatus.FAILED


async def test_server_that_is_away_is_a_verdict() -> None:
    """Where nobody listens every change fails, and deletions after them wait."""
    async with main_cluster() as main:
        url = main.server.url
    async with connected(url) as client:
        outcomes = await Applier(client, lambda _: None, lambda _, __: None).apply(
            [create(), delete(piece("old"))]
        )
    assert statuses(outcomes) == {
        "Create web-c1": WriteStatus.FAILED,
        "Delete old": WriteStatus.POSTPONED,
    }


@pytest.mark.parametrize(
    "make", [create, lambda: update(main_slice()), lambda: delete(main_slice())]
)
async def test_missing_permission_is_named(make: Callable[[], Change]) -> None:
    """A 403 says which verb on what, and where, has to be granted."""
    async with main_cluster(refusing("web-c1", with_=lambda: refusal(403, "Forbidden"))) as main:
        (outcome,) = await main.applier.apply([make()])
    verb = type(outcome.change).__name__.lower()
    assert (
        outcome.message
        == f"grant svclink {verb} on endpointslices in namespace default (403 Forbidden: no)"
    )


# What is not sent again


@pytest.mark.parametrize("code", [413, 422])
async def test_what_is_invalid_is_not_sent_again(code: int) -> None:
    """A change the API server will never have is asked for once; its outcome stays, for the status."""
    async with main_cluster(
        refusing("web-c1", with_=lambda: refusal(code, "Invalid", "no such thing"))
    ) as main:
        first = await main.applier.apply([update(main_slice())])
        main.applier.write_pace = WritePace()
        assert await main.applier.apply([update(main_slice())]) == first
        assert [each.status for each in first] == [WriteStatus.REFUSED]
        assert len(main.writes) == 1


@pytest.mark.parametrize(
    "other", [update(main_slice(), "10.0.0.8"), update(main_slice("2")), create()]
)
async def test_what_differs_from_what_was_invalid_is_sent(other: Change) -> None:
    """Other content, or another version to replace, is another question."""
    async with main_cluster(refusing("web-c1", with_=lambda: refusal(422, "Invalid"))) as main:
        await main.applier.apply([update(main_slice())])
        main.applier.write_pace = WritePace()
        await main.applier.apply([other])
        main.applier.write_pace = WritePace()
        await main.applier.apply([update(main_slice())])
        assert len(main.writes) == 3


async def test_memory_of_refusals_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many slices are invalid, what is remembered of them does not fill the memory."""
    monkeypatch.setattr(applier_module, "MAX_REFUSED", 3)
    names = [f"web-{number}" for number in range(10)]
    async with main_cluster(refusing(*names, with_=lambda: refusal(422, "Invalid"))) as main:
        await main.applier.apply([create(name) for name in names])
        assert 0 < len(main.applier._refused) <= 3


# When something may be sent


async def test_second_write_of_a_slice_waits_a_little() -> None:
    """The first change of a slice is written at once, the next not before it rested; nothing is queued."""
    async with main_cluster() as main:
        await main.applier.apply([create()])
        stored = main.slices[-1]
        (outcome,) = await main.applier.apply([update(stored)])
        assert outcome.status is WriteStatus.POSTPONED
        assert outcome.retry_after is not None
        assert 0 < outcome.retry_after <= REST_SECONDS
        await eventually(lambda: main.applier.write_pace.delay_of(stored.metadata.key) == 0)
        (outcome,) = await main.applier.apply([update(stored)])
        assert outcome.status is WriteStatus.APPLIED
        await eventually(lambda: not main.applier.write_pace._resting_until)


async def test_a_slice_is_written_by_one_at_a_time() -> None:
    """While a write to a slice is under way, no other one is sent, whoever asks for it."""
    gate = Gate()
    async with main_cluster(gate) as main:
        first = asyncio.create_task(main.applier.apply([create()]))
        await eventually(lambda: gate.held == 1)
        (second,) = await main.applier.apply([create()])
        gate.opened.set()
        await first
        assert (second.status, len(main.writes)) == (WriteStatus.POSTPONED, 1)


async def test_deletion_waits_with_the_write_it_depends_on() -> None:
    """What replaces a slice was written a moment ago and must be again: until then the slice stays."""
    async with main_cluster() as main:
        old = main.add(piece("old"))
        await main.applier.apply([create("new")])
        outcomes = await main.applier.apply([update(main.slices[-1]), delete(old)])
        assert [each.status for each in outcomes] == [WriteStatus.POSTPONED, WriteStatus.POSTPONED]
        assert main.names == ["new", "old"]


@pytest.mark.parametrize(
    "give",
    [
        lambda: refusal(429, "TooManyRequests", retry_after=100),
        lambda: web.Response(status=429, text="Too many requests", headers={"Retry-After": "100"}),
    ],
    ids=["Status", "plain text"],
)
async def test_overload_pauses_every_write(give: Callable[[], web.Response]) -> None:
    """While main wants to be left alone no slice is written, of whatever Service, and nobody waits in a queue."""
    async with main_cluster(refusing("web-c1", with_=give)) as main:
        await main.applier.apply([create()])
        (outcome,) = await main.applier.apply([create("other")])
        assert outcome.status is WriteStatus.POSTPONED
        assert outcome.retry_after is not None
        assert outcome.retry_after > 90
        assert len(main.writes) == 1


async def test_writes_keep_to_the_rate() -> None:
    """With a limit, so many writes take at least so long."""
    async with main_cluster() as main:
        main.applier.write_pace = WritePace(per_second=20)
        started = asyncio.get_running_loop().time()
        await main.applier.apply([create(f"web-{number}") for number in range(9)])
        assert len(main.names) == 9
        assert asyncio.get_running_loop().time() - started >= 8 / 20


# How many at once, and the end


@define
class Gate:
    """Holds every request until it is opened, and counts those that wait."""

    held: int = 0
    most: int = 0
    opened: asyncio.Event = field(factory=asyncio.Event)

    async def __call__(self, _: web.BaseRequest) -> web.StreamResponse | None:
        self.held += 1
        self.most = max(self.most, self.held)
        await self.opened.wait()
        self.held -= 1
        return None


async def test_no_more_requests_than_allowed_are_under_way() -> None:
    """However many changes there are, and of how many Services, the API server sees a bounded number at once."""
    gate = Gate()
    async with main_cluster(gate) as main:
        many = [
            asyncio.create_task(
                main.applier.apply(
                    [create(f"s{service}-{number}") for number in range(MAX_IN_FLIGHT)]
                )
            )
            for service in range(3)
        ]
        await eventually(lambda: gate.held == MAX_IN_FLIGHT)
        gate.opened.set()
        await asyncio.gather(*many)
        assert len(main.names) == 3 * MAX_IN_FLIGHT
    assert gate.most == MAX_IN_FLIGHT


async def test_drain_waits_for_what_is_under_way_and_starts_nothing_more() -> None:
    """Writes that were sent are seen through; those that waited for a place are not sent any more."""
    gate = Gate()
    async with main_cluster(gate) as main:
        changes = [create(f"web-{number:03}") for number in range(MAX_IN_FLIGHT + 10)]
        applying = asyncio.create_task(main.applier.apply(changes))
        await eventually(lambda: gate.held == MAX_IN_FLIGHT)
        draining = asyncio.create_task(main.applier.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        gate.opened.set()
        await draining
        applying.cancel()
        await asyncio.wait({applying})
        assert (len(main.writes), len(main.names), gate.held) == (MAX_IN_FLIGHT, MAX_IN_FLIGHT, 0)


async def test_after_drain_nothing_is_written() -> None:
    """A change that comes after the end waits for ever."""
    async with main_cluster() as main:
        await main.applier.drain()
        applying = asyncio.create_task(main.applier.apply([create()]))
        await asyncio.sleep(0.05)
        applying.cancel()
        await asyncio.wait({applying})
        assert main.writes == []


async def test_a_slice_that_is_gone_is_reported_as_gone() -> None:
    """A slice that the store still has and the API server does not must not be written to for ever."""
    async with main_cluster() as main:
        for change in (update, delete):
            stored = evolve(
                piece("web-c1"),
                metadata=evolve(piece("web-c1").metadata, uid="u", resource_version="1"),
            )
            await main.applier.apply([change(stored)])
            main.applier.write_pace = WritePace()

        assert main.gone == [(NamespacedName("default", "web-c1"), "u")] * 2


async def test_a_404_of_a_proxy_is_no_word_on_the_slice() -> None:
    """Only the API server's own NotFound says that an object does not exist."""
    async with main_cluster(
        refusing("web-c1", with_=lambda: web.Response(status=404, text="no backend"))
    ) as main:
        await main.applier.apply([delete(main.add(piece("web-c1")))])

        assert main.gone == []


SPACE = CreateNamespace(Namespace(ObjectMeta("default")), "c1", Reason.NAMESPACE_CREATED)
MADE = CreateService(
    Service(ObjectMeta("web", "default"), ServiceSpec(ports=(ServicePort(80, "http"),))),
    "c1",
    Reason.SERVICE_CREATED,
)


def posts(main: Main) -> list[str]:
    return [request.path for request in main.writes if request.method == "POST"]


async def test_a_namespace_comes_before_its_service() -> None:
    """The namespace is made, then the Service in it, which the store learns of at once."""
    async with main_cluster() as main:
        outcomes = await main.applier.apply([SPACE, MADE])
        assert [each.status for each in outcomes] == [WriteStatus.APPLIED, WriteStatus.APPLIED]
        assert posts(main) == ["/api/v1/namespaces", "/api/v1/namespaces/default/services"]
        assert [each.metadata.key for each in main.written] == [MADE.key]


@pytest.mark.parametrize(
    ("code", "reason", "verdicts_given"),
    [
        (409, "AlreadyExists", [WriteStatus.APPLIED, WriteStatus.APPLIED]),
        (409, "Conflict", [WriteStatus.SUPERSEDED, WriteStatus.POSTPONED]),
        (403, "Forbidden", [WriteStatus.FAILED, WriteStatus.POSTPONED]),
    ],
)
async def test_a_service_waits_for_its_namespace(
    code: int, reason: str, verdicts_given: list[WriteStatus]
) -> None:
    """A namespace that is there already is as good as made; without it no Service is sent."""

    async def override(request: web.BaseRequest) -> web.StreamResponse | None:
        return refusal(code, reason) if request.path == "/api/v1/namespaces" else None

    async with main_cluster(override) as main:
        outcomes = await main.applier.apply([SPACE, MADE])
        assert [each.status for each in outcomes] == verdicts_given
        assert code != 403 or outcomes[0].message.startswith("grant svclink create on namespaces (")


async def test_slices_of_a_lost_cluster_wait_for_all_others() -> None:
    """While the slice that is to take over is not there, the policy of a lost cluster is not carried out."""
    async with main_cluster(refusing("web-c2")) as main:
        old = main.add(piece("web-c1"))
        policy = Delete(old, precondition_of(old), Reason.UNREACHABLE_REMOVED)
        outcomes = await main.applier.apply([create("web-c2", "c2"), policy])
        assert [each.status for each in outcomes] == [WriteStatus.FAILED, WriteStatus.POSTPONED]
        assert main.names == ["web-c1"]


async def test_change_is_one_line_that_says_of_what_and_why() -> None:
    """The log names the slice, its Service and cluster, what was done and the reason."""
    made = piece()
    labels = tuple(sorted((*made.metadata.labels, (LABEL_SERVICE_NAME, "web"))))
    change = Create(
        evolve(made, metadata=evolve(made.metadata, labels=labels)), Reason.SOURCE_ADDED
    )
    async with main_cluster() as main:
        with capture_logs() as logs:
            await main.applier.apply([change])
    (line,) = logs
    assert (line["event"], line["kind"], line["verb"]) == ("written", "EndpointSlice", "create")
    assert (line["name"], line["service"], line["cluster"]) == (
        "default/web-c1",
        "default/web",
        "c1",
    )
    assert line["reason"] == "SourceAdded"
