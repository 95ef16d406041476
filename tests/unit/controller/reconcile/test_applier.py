"""Changes are performed in an order that loses no address, and each result is a value.

Real: the applier, the client, sockets and TLS. Substituted: the main API server, by a fake one.
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

from svclink_controller.reconcile.applier import (
    MAX_IN_FLIGHT,
    MAX_IN_FLIGHT_OF_PLAN,
    Applier,
)
from svclink_controller.reconcile.write_pacing import WritePace
from svclink_controller.reconcile.write_results import UPGRADE_SECONDS, WriteResult, WriteStatus
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
from svclink_core.diffing import update_to
from svclink_core.meta_v1 import Additions
from svclink_core.ownership import cluster_of
from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from svclink_core.write_retries import FIXED_BY_OTHERS, NO_ANSWER, RetryPauses
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Refuse, method
from tests.unit.controller.http_server import Request, Server, connected, serving
from tests.unit.controller.responses import answer, refusal
from tests.unit.controller.waiting import eventually

Override: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | None]]


def slice_of(
    name: str = "web-c1", cluster: str | None = "c1", address: str = "10.0.0.1"
) -> EndpointSlice:
    labels = {LABEL_MANAGED_BY: MANAGED_BY} | ({} if cluster is None else {LABEL_CLUSTER: cluster})
    metadata = ObjectMeta(name, "default", labels=tuple(sorted(labels.items())))
    return EndpointSlice(metadata, "IPv4", (Endpoint((address,)),))


def create(name: str = "web-c1", cluster: str | None = "c1") -> Create:
    return Create(slice_of(name, cluster), Reason.SOURCE_ADDED)


def precondition_of(stored: EndpointSlice) -> Precondition:
    return Precondition(stored.metadata.uid, stored.metadata.resource_version)


def update(stored: EndpointSlice, address: str = "10.0.0.9") -> Update:
    wanted = evolve(slice_of(stored.metadata.name, cluster_of(stored), address))
    return Update(wanted, precondition_of(stored), Reason.CONTENT_CHANGED)


def delete(stored: EndpointSlice) -> Delete:
    return Delete(stored, precondition_of(stored), Reason.SOURCE_GONE)


def main_slice(version: str = "1") -> EndpointSlice:
    return evolve(
        slice_of(), metadata=evolve(slice_of().metadata, uid="u", resource_version=version)
    )


@define
class Main:
    """A fake main cluster, an applier for it, and what the applier reported to the store."""

    server: Server
    cluster: FakeApiServer
    applier: Applier
    written: list[EndpointSlice | Service] = field(factory=list)
    gone: list[tuple[NamespacedName, str]] = field(factory=list)
    planned: list[EndpointSlice | Service] = field(factory=list)

    def add(self, item: EndpointSlice) -> EndpointSlice:
        """The slice as the cluster has stored it."""
        return structure(self.cluster.put(item), EndpointSlice)

    @property
    def slices(self) -> list[EndpointSlice]:
        """The slices that the API server returned from writes."""
        return [item for item in self.written if isinstance(item, EndpointSlice)]

    @property
    def names(self) -> list[str]:
        return sorted(item["metadata"]["name"] for item in self.cluster.all("endpointslices"))

    @property
    def writes(self) -> list[Request]:
        return self.server.requests


@asynccontextmanager
async def main_cluster(override: Override | None = None) -> AsyncIterator[Main]:
    cluster = FakeApiServer(override=override)
    written: list[EndpointSlice | Service] = []
    planned: list[EndpointSlice | Service] = []
    gone: list[tuple[NamespacedName, str]] = []
    async with serving(cluster) as server, connected(server.url) as client:

        def take(item: EndpointSlice | Service, /, *, is_as_planned: bool = False) -> None:
            written.append(item)
            if is_as_planned:
                planned.append(item)

        applier = Applier(client, take, lambda key, uid: gone.append((key, uid)))
        yield Main(server, cluster, applier, written, gone, planned)


def refusing(*refused: str, with_: Callable[[], web.Response] = lambda: refusal(500)) -> Override:
    """Rejects writes to slices of these names, in paths or bodies."""

    async def override(request: web.BaseRequest) -> web.StreamResponse | None:
        name = request.path.rpartition("/")[2]
        if request.method == "POST":
            name = (await request.json())["metadata"]["name"]
        return with_() if name in refused else None

    return override


def statuses(results: list[WriteResult]) -> dict[str, WriteStatus]:
    return {f"{type(each.change).__name__} {each.change.key.name}": each.status for each in results}


# Requests


async def test_creation_posts_the_slice() -> None:
    """The whole slice is posted to its namespace, and the response goes to the store."""
    async with main_cluster() as main:
        (result,) = await main.applier.apply([create()])
        (request,) = main.writes
        assert (request.method, request.path) == (
            "POST",
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        )
        assert request.json == unstructure(slice_of())
        assert result == WriteResult(create(), WriteStatus.APPLIED)
        assert [each.metadata.resource_version for each in main.written] == [
            str(main.cluster.revision)
        ]


@pytest.mark.parametrize("webhook", [None, "labels", "annotations", "endpoints"])
async def test_response_is_as_planned_unless_an_admission_webhook_changed_it(
    webhook: str | None,
) -> None:
    """Its Service is not planned again if there is nothing left to change."""

    async def change(request: web.BaseRequest) -> web.StreamResponse | None:
        content = await request.json()
        content["metadata"] |= {"uid": "u", "resourceVersion": "7"}
        if webhook == "endpoints":
            content["endpoints"] = []
        elif webhook is not None:
            content["metadata"][webhook] = {}
        return web.json_response(content, status=201)

    async with main_cluster(change) as main:
        mirror = slice_of()
        metadata = evolve(mirror.metadata, annotations=((ANNOTATION_SOURCE_SLICE, "web-1"),))
        await main.applier.apply([Create(evolve(mirror, metadata=metadata), Reason.SOURCE_ADDED)])
        assert len(main.written) == 1
        assert main.planned == (main.written if webhook is None else [])


async def test_update_sends_its_precondition() -> None:
    """A PUT carries uid and resourceVersion of the object that was planned for."""
    async with main_cluster() as main:
        stored = main.add(slice_of())
        (result,) = await main.applier.apply([update(stored)])
        (request,) = main.writes
        sent = request.json
        assert request.method == "PUT"
        assert request.path == "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/web-c1"
        assert (sent["metadata"]["uid"], sent["metadata"]["resourceVersion"]) == (
            stored.metadata.uid,
            stored.metadata.resource_version,
        )
        assert sent["endpoints"][0]["addresses"] == ["10.0.0.9"]
        assert result.status is WriteStatus.APPLIED
        assert main.slices[0].endpoints[0].addresses == ("10.0.0.9",)


async def test_update_keeps_what_others_added() -> None:
    """Labels, annotations and finalizers that others put on a mirror stay when it changes."""
    async with main_cluster() as main:
        additions = Additions((("team", "a"),), (("note", "x"),), ("example.com/hold",))
        metadata = evolve(slice_of().metadata, additions=additions)
        stored = main.add(evolve(slice_of(), metadata=metadata))
        change = update_to(slice_of(address="10.0.0.9"), stored)
        assert change is not None
        (result,) = await main.applier.apply([change])
        (after,) = main.cluster.all("endpointslices")
        assert result.status is WriteStatus.APPLIED
        assert after["endpoints"][0]["addresses"] == ["10.0.0.9"]
        assert after["metadata"]["labels"]["team"] == "a"
        assert after["metadata"]["annotations"] == {"note": "x"}
        assert after["metadata"]["finalizers"] == ["example.com/hold"]


@pytest.mark.parametrize("is_new", [True, False], ids=["creation", "update"])
async def test_mirror_shares_the_endpoints_it_was_written_with(*, is_new: bool) -> None:
    """A mirror and its source slice share their endpoints, which take up most of the memory."""
    async with main_cluster() as main:
        change = create() if is_new else update(main.add(slice_of()))
        await main.applier.apply([change])
        assert main.slices[0].endpoints is change.endpoint_slice.endpoints


async def test_endpoints_changed_by_a_webhook_reach_the_store() -> None:
    """If an admission webhook changes the endpoints, the store gets the changed ones."""

    async def override(request: web.BaseRequest) -> web.StreamResponse | None:
        return answer(await request.json() | {"endpoints": [{"addresses": ["10.0.0.7"]}]}, 201)

    async with main_cluster(override) as main:
        await main.applier.apply([create()])
        assert main.slices[0].endpoints == (Endpoint(("10.0.0.7",)),)


async def test_deletion_sends_its_precondition() -> None:
    """A DELETE carries uid and resourceVersion of the object that was planned for."""
    async with main_cluster() as main:
        stored = main.add(slice_of())
        (result,) = await main.applier.apply([delete(stored)])
        (request,) = main.writes
        assert request.method == "DELETE"
        assert request.json["preconditions"] == {
            "uid": stored.metadata.uid,
            "resourceVersion": stored.metadata.resource_version,
        }
        assert (result.status, main.names, main.written) == (WriteStatus.APPLIED, [], [])


async def test_empty_plan_sends_no_request() -> None:
    """A plan without changes sends no request."""
    async with main_cluster() as main:
        assert await main.applier.apply([]) == []
        assert main.writes == []


async def test_object_that_changed_since_the_plan_stays() -> None:
    """If the object has another version than planned for, it is neither updated nor deleted."""
    async with main_cluster() as main:
        stored = main.add(slice_of())
        main.add(slice_of(address="10.0.0.7"))
        results = await main.applier.apply([update(stored)])
        main.applier.write_pace = WritePace()
        results += await main.applier.apply([delete(stored)])
        assert {each.status for each in results} == {WriteStatus.SUPERSEDED}
        assert main.cluster.all("endpointslices")[0]["endpoints"][0]["addresses"] == ["10.0.0.7"]


# Order


async def test_deletions_come_last() -> None:
    """No address goes before its replacement is written, whatever the order of the changes."""
    async with main_cluster() as main:
        old, changed = main.add(slice_of("old")), main.add(slice_of("changed"))
        await main.applier.apply([delete(old), create("new"), update(changed), create("newer")])
        methods = [request.method for request in main.writes]
        assert (sorted(methods[:3]), methods[3:]) == (["POST", "POST", "PUT"], ["DELETE"])
        assert main.names == ["changed", "new", "newer"]


@pytest.mark.parametrize("code", [409, 422, 500])
async def test_deletion_waits_if_its_replacement_failed(code: int) -> None:
    """After a failed creation no slice of its cluster is deleted: it may hold the only endpoint."""
    async with main_cluster(refusing("new", with_=lambda: refusal(code))) as main:
        old = main.add(slice_of("old"))
        results = await main.applier.apply([create("new"), create("other"), delete(old)])
        assert statuses(results)["Delete old"] is WriteStatus.POSTPONED
        assert main.names == ["old", "other"]


async def test_deletion_waits_if_an_update_failed() -> None:
    """A failed update delays deletions too: an address may be moving into that slice."""
    async with main_cluster(refusing("changed")) as main:
        old, changed = main.add(slice_of("old")), main.add(slice_of("changed"))
        results = await main.applier.apply([update(changed), delete(old)])
        assert statuses(results)["Delete old"] is WriteStatus.POSTPONED
        assert main.names == ["changed", "old"]


async def test_deletion_of_another_cluster_does_not_wait() -> None:
    """A failed write for one cluster does not delay the others."""
    async with main_cluster(refusing("new")) as main:
        first, second = main.add(slice_of("first", "c1")), main.add(slice_of("second", "c2"))
        results = await main.applier.apply([create("new", "c1"), delete(first), delete(second)])
        assert statuses(results) == {
            "Create new": WriteStatus.FAILED,
            "Delete first": WriteStatus.POSTPONED,
            "Delete second": WriteStatus.APPLIED,
        }
        assert main.names == ["first"]


async def test_deletion_without_a_cluster_label_does_not_wait() -> None:
    """A slice of no known cluster is not delayed by a failed write for a cluster."""
    async with main_cluster(refusing("new")) as main:
        lost = main.add(slice_of("lost", None))
        await main.applier.apply([create("new", "c1"), delete(lost)])
        assert main.names == []


async def test_every_change_has_a_result() -> None:
    """Applied, failed and postponed changes add up to those that were asked for."""
    async with main_cluster(refusing("new")) as main:
        old = main.add(slice_of("old"))
        changes: list[Change] = [delete(old), create("new"), create("fine", "c2")]
        results = await main.applier.apply(changes)
    assert {each.change.key.name for each in results} == {"old", "new", "fine"}


# Rejections


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
async def test_rejected_write_has_a_status(
    give: Callable[[], web.Response], status: WriteStatus
) -> None:
    """Every rejection of a creation or update becomes a status, with a message."""
    async with main_cluster(refusing("web-c1", with_=give)) as main:
        stored = main.add(slice_of())
        results = await main.applier.apply([create()])
        main.applier.write_pace = WritePace()
        results += await main.applier.apply([update(stored)])
        assert [each.status for each in results] == [status, status]
        assert all(each.message for each in results)
        assert main.written == []


async def test_deletion_of_a_missing_slice_is_applied() -> None:
    """A slice that something else deleted first needs no further attempt."""
    async with main_cluster() as main:
        gone = evolve(
            slice_of(), metadata=evolve(slice_of().metadata, uid="u", resource_version="1")
        )
        (result,) = await main.applier.apply([delete(gone)])
    assert result == WriteResult(delete(gone), WriteStatus.APPLIED)


async def test_result_carries_the_delay_the_server_asks_for() -> None:
    """The result says how long the API server wants no further requests."""
    async with main_cluster(refusing("web-c1", with_=lambda: refusal(429, retry_after=7))) as main:
        (result,) = await main.applier.apply([create()])
    assert (result.status, result.retry_after) == (WriteStatus.FAILED, 7)


async def test_lost_connection_is_a_failure() -> None:
    """A later attempt may succeed; the next plan sees whether the write happened."""

    async def break_off(request: web.BaseRequest) -> web.StreamResponse | None:
        assert request.transport is not None
        request.transport.abort()
        return None

    async with main_cluster(break_off) as main:
        (result,) = await main.applier.apply([create()])
    assert result.status is WriteStatus.FAILED


async def test_unreachable_server_is_a_failure() -> None:
    """If nothing listens, every change fails, and the deletions after them wait."""
    async with main_cluster() as main:
        url = main.server.url
    async with connected(url) as client:
        results = await Applier(client, lambda _, **__: None, lambda _, __: None).apply(
            [create(), delete(slice_of("old"))]
        )
    assert statuses(results) == {
        "Create web-c1": WriteStatus.FAILED,
        "Delete old": WriteStatus.POSTPONED,
    }


@pytest.mark.parametrize(
    "make", [create, lambda: update(main_slice()), lambda: delete(main_slice())]
)
async def test_missing_permission_is_named(make: Callable[[], Change]) -> None:
    """The message of RBAC's 403 names the verb, resource and namespace to grant."""
    text = 'endpointslices is forbidden: User "svclink" cannot write'
    async with main_cluster(
        refusing("web-c1", with_=lambda: refusal(403, "Forbidden", text))
    ) as main:
        (result,) = await main.applier.apply([make()])
    verb = type(result.change).__name__.lower()
    assert (
        result.message == f"grant svclink permission to {verb} endpointslices in namespace default"
        f" (403 Forbidden: {text})"
    )


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (403, "ValidatingAdmissionPolicy 'calm' with binding 'calm' denied request: no"),
        (400, 'admission webhook "calm" denied the request: no'),
    ],
)
async def test_denied_content_counts_as_refused(code: int, text: str) -> None:
    """Whatever code a policy or a webhook chooses, other content may be accepted."""
    async with main_cluster(refusing("web-c1", with_=lambda: refusal(code, "", text))) as main:
        (result,) = await main.applier.apply([create()])
    assert (result.status, "an admission" in result.message) == (WriteStatus.REFUSED, True)


# Retries


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 413, 422, 429, 500, 503])
async def test_failed_write_is_held_back(code: int) -> None:
    """Whatever the code, the same change is not sent again before its pause is over."""
    async with main_cluster(
        refusing("web-c1", with_=lambda: refusal(code, retry_after=60))
    ) as main:
        (first,) = await main.applier.apply([create()])
        main.applier.write_pace = WritePace()
        (second,) = await main.applier.apply([create()])
        assert (second.status, len(main.writes)) == (WriteStatus.POSTPONED, 1)
        assert first.retry_after == 60
        assert second.retry_after is not None
        assert 0 < second.retry_after <= 60


@pytest.mark.parametrize(("code", "pauses"), [(503, NO_ANSWER), (500, FIXED_BY_OTHERS)])
async def test_load_balancer_without_a_server_refuses_nothing(
    code: int, pauses: RetryPauses
) -> None:
    """An hour of 503 does not keep writes waiting for minutes once main is back."""
    async with main_cluster(refusing("web-c1", with_=lambda: refusal(code))) as main:
        (result,) = await main.applier.apply([create()])
    assert result.pauses == pauses


async def test_postponed_write_says_why_it_failed_before() -> None:
    """The status of the link shows the failure until the write succeeds."""
    async with main_cluster(refusing("web-c1", with_=lambda: refusal(500, "Full", "no"))) as main:
        main.applier.write_pace = WritePace(rest_seconds=60)
        results = [*await main.applier.apply([create()]), *await main.applier.apply([create()])]
        assert [each.status for each in results] == [WriteStatus.FAILED, WriteStatus.POSTPONED]
        assert [each.message for each in results] == ["500 Full: no"] * 2
        assert all(each.is_failure for each in results)


async def test_success_ends_the_growing_pauses() -> None:
    """A write that succeeds is forgotten, and the next failure is a first one."""
    async with main_cluster() as main:
        rule = main.cluster.fail(Refuse(500), times=1)
        main.applier.write_pace = WritePace(rest_seconds=0)
        await main.applier.apply([create()])
        assert len(main.applier.retries._failed) == rule.hits == 1
        main.applier.retries.forget_all()
        (result,) = await main.applier.apply([create()])
        assert result.status is WriteStatus.APPLIED
        assert main.applier.retries._failed == {}


async def test_other_verb_has_its_own_pauses() -> None:
    """A missing permission to create does not hold back a deletion."""
    async with main_cluster() as main:
        stored = main.add(slice_of())
        main.cluster.fail(Refuse(403, retry_after=60), method("PUT"))
        main.applier.write_pace = WritePace(rest_seconds=0)
        results = await main.applier.apply([update(stored)])
        results += await main.applier.apply([delete(stored)])
        assert [each.status for each in results] == [WriteStatus.FAILED, WriteStatus.APPLIED]


# Pace


async def test_second_write_of_a_slice_is_postponed() -> None:
    """The first write is sent at once, the next after a rest; it is postponed, not queued."""
    async with main_cluster() as main:
        main.applier.write_pace = WritePace(rest_seconds=60)
        await main.applier.apply([create()])
        stored = main.slices[-1]
        (result,) = await main.applier.apply([update(stored)])
        assert result.status is WriteStatus.POSTPONED
        assert result.retry_after is not None
        assert 0 < result.retry_after <= 60
        main.applier.write_pace = WritePace(rest_seconds=0.05)
        (result,) = await main.applier.apply([update(stored)])
        assert result.status is WriteStatus.APPLIED
        await eventually(lambda: not main.applier.write_pace._resting_until)


async def test_slice_has_one_write_at_a_time() -> None:
    """While a write of a slice is in flight, no other write of it is sent."""
    gate = Gate()
    async with main_cluster(gate) as main:
        first = asyncio.create_task(main.applier.apply([create()]))
        await eventually(lambda: gate.held == 1)
        (second,) = await main.applier.apply([create()])
        gate.opened.set()
        await first
        assert (second.status, len(main.writes)) == (WriteStatus.POSTPONED, 1)


async def test_deletion_waits_with_the_write_it_depends_on() -> None:
    """If the replacement of a slice is postponed, the slice stays."""
    async with main_cluster() as main:
        main.applier.write_pace = WritePace(rest_seconds=60)
        old = main.add(slice_of("old"))
        await main.applier.apply([create("new")])
        results = await main.applier.apply([update(main.slices[-1]), delete(old)])
        assert [each.status for each in results] == [WriteStatus.POSTPONED, WriteStatus.POSTPONED]
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
    """After a 429, no slice of any Service is written until the delay is over."""
    async with main_cluster(refusing("web-c1", with_=give)) as main:
        await main.applier.apply([create()])
        (result,) = await main.applier.apply([create("other")])
        assert result.status is WriteStatus.POSTPONED
        assert result.retry_after is not None
        assert result.retry_after > 90
        assert len(main.writes) == 1


async def test_every_write_takes_a_turn() -> None:
    """The rate limit counts every write once."""
    async with main_cluster() as main:
        pace = CountingPace()
        main.applier.write_pace = pace
        await main.applier.apply([create(f"web-{number}") for number in range(9)])
        assert len(main.names) == 9
        assert pace.turns == 9


# Concurrency and drain


@define
class CountingPace(WritePace):
    """Allows every write, and counts them."""

    turns: int = 0

    async def take_turn(self) -> None:
        self.turns += 1


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


async def test_concurrent_requests_are_limited() -> None:
    """The API server sees a limited number of requests, for any number of changes and Services."""
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


async def test_one_plan_leaves_room_for_others() -> None:
    """A Service with many slices takes half of the requests, so that others need not wait."""
    gate = Gate()
    async with main_cluster(gate) as main:
        changes = [create(f"web-{number:03}") for number in range(3 * MAX_IN_FLIGHT)]
        large = asyncio.create_task(main.applier.apply(changes))
        await eventually(lambda: gate.held == MAX_IN_FLIGHT_OF_PLAN)
        small = asyncio.create_task(main.applier.apply([create("small")]))
        await eventually(lambda: gate.held == MAX_IN_FLIGHT_OF_PLAN + 1)
        gate.opened.set()
        await asyncio.gather(large, small)
        assert len(main.names) == 3 * MAX_IN_FLIGHT + 1
    assert gate.most == MAX_IN_FLIGHT_OF_PLAN + 1


async def test_drain_finishes_writes_in_flight_and_sends_no_more() -> None:
    """Writes that were sent are completed; those that wait for a slot are not sent."""
    gate = Gate()
    async with main_cluster(gate) as main:
        changes = [create(f"web-{number:03}") for number in range(MAX_IN_FLIGHT + 10)]
        halves = changes[::2], changes[1::2]
        applying = asyncio.gather(*map(main.applier.apply, halves))
        await eventually(lambda: gate.held == MAX_IN_FLIGHT)
        draining = asyncio.create_task(main.applier.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        gate.opened.set()
        await draining
        applying.cancel()
        await asyncio.wait({applying})
        assert (len(main.writes), len(main.names), gate.held) == (MAX_IN_FLIGHT, MAX_IN_FLIGHT, 0)


async def test_no_write_is_sent_after_drain() -> None:
    """A change after the drain waits for a slot forever."""
    async with main_cluster() as main:
        await main.applier.drain()
        applying = asyncio.create_task(main.applier.apply([create()]))
        await eventually(lambda: bool(main.applier._slots._waiters))
        applying.cancel()
        await asyncio.wait({applying})
        assert main.writes == []


async def test_missing_slice_is_reported_to_the_store() -> None:
    """The store drops a slice that the API server does not have, so that writes to it end."""
    async with main_cluster() as main:
        for change in (update, delete):
            stored = evolve(
                slice_of("web-c1"),
                metadata=evolve(slice_of("web-c1").metadata, uid="u", resource_version="1"),
            )
            await main.applier.apply([change(stored)])
            main.applier.write_pace = WritePace()

        assert main.gone == [(NamespacedName("default", "web-c1"), "u")] * 2


async def test_404_of_a_proxy_does_not_count_as_missing() -> None:
    """Only the NotFound of the API server itself says that an object does not exist."""
    async with main_cluster(
        refusing("web-c1", with_=lambda: web.Response(status=404, text="no backend"))
    ) as main:
        await main.applier.apply([delete(main.add(slice_of("web-c1")))])

        assert main.gone == []


SPACE = CreateNamespace(Namespace(ObjectMeta("default")), "c1", Reason.NAMESPACE_CREATED)
MADE = CreateService(
    Service(ObjectMeta("web", "default"), ServiceSpec(ports=(ServicePort(80, "http"),))),
    "c1",
    Reason.SERVICE_CREATED,
)


def posts(main: Main) -> list[str]:
    return [request.path for request in main.writes if request.method == "POST"]


async def test_namespace_is_created_before_its_service() -> None:
    """The Namespace is created, then the Service in it, which goes to the store at once."""
    async with main_cluster() as main:
        results = await main.applier.apply([SPACE, MADE])
        assert [each.status for each in results] == [WriteStatus.APPLIED, WriteStatus.APPLIED]
        assert posts(main) == ["/api/v1/namespaces", "/api/v1/namespaces/default/services"]
        assert [each.metadata.key for each in main.written] == [MADE.key]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"PreferSameZone", "PreferClose", None}, ["PreferSameZone"]),
        ({"PreferClose", None}, ["PreferSameZone", "PreferClose"]),
        ({None}, ["PreferSameZone", "PreferClose", None]),
    ],
)
async def test_older_main_gets_a_traffic_distribution_that_it_knows(
    known: set[str | None], expected: list[str | None]
) -> None:
    """A main that refuses `trafficDistribution` gets `PreferClose` in the same turn, then none."""

    async def older(request: web.BaseRequest) -> web.StreamResponse | None:
        value = (await request.json())["spec"].get("trafficDistribution")
        message = (
            f'Service "web" is invalid: spec.trafficDistribution: Unsupported value: "{value}"'
        )
        return None if value in known else refusal(422, "Invalid", message)

    async with main_cluster(older) as main:
        spec = evolve(MADE.service.spec, traffic_distribution="PreferSameZone")
        made = evolve(MADE, service=evolve(MADE.service, spec=spec))
        (result,) = await main.applier.apply([made])
        assert result.status is WriteStatus.APPLIED
        sent = [request.json["spec"].get("trafficDistribution") for request in main.writes]
        assert sent == expected
        (stored,) = main.cluster.all("services")
        assert stored["spec"].get("trafficDistribution") == expected[-1]


async def test_name_that_an_older_main_refuses_is_seldom_sent_again() -> None:
    """The message names the cause, and only an upgrade of the main cluster helps."""

    async def older(_: web.BaseRequest) -> web.StreamResponse | None:
        message = 'metadata.name: Invalid value: "1st": a DNS-1035 label must start with a letter'
        return refusal(422, "Invalid", f'Service "1st" is invalid: {message}')

    async with main_cluster(older) as main:
        metadata = evolve(MADE.service.metadata, name="1st")
        made = evolve(MADE, service=evolve(MADE.service, metadata=metadata))
        (result,) = await main.applier.apply([made])
        assert result.status is WriteStatus.REFUSED
        assert result.message.startswith(
            "before Kubernetes 1.36, a Service name cannot start with a digit"
        )
        assert result.retry_after == UPGRADE_SECONDS
        await main.applier.apply([made])
        assert len(main.writes) == 1


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (409, "AlreadyExists", [WriteStatus.APPLIED, WriteStatus.APPLIED]),
        (409, "Conflict", [WriteStatus.SUPERSEDED, WriteStatus.POSTPONED]),
        (403, "Forbidden", [WriteStatus.FAILED, WriteStatus.POSTPONED]),
    ],
)
async def test_service_waits_for_its_namespace(
    code: int, reason: str, expected: list[WriteStatus]
) -> None:
    """An existing Namespace counts as created; without it the Service is not sent."""

    async def override(request: web.BaseRequest) -> web.StreamResponse | None:
        text = 'namespaces is forbidden: User "svclink" cannot create resource "namespaces"'
        return refusal(code, reason, text) if request.path == "/api/v1/namespaces" else None

    async with main_cluster(override) as main:
        results = await main.applier.apply([SPACE, MADE])
        assert [each.status for each in results] == expected
        permission = "grant svclink permission to create namespaces ("
        assert code != 403 or results[0].message.startswith(permission)


async def test_unreachable_policy_waits_for_all_clusters() -> None:
    """While a slice that replaces those of a lost cluster is missing, they stay."""
    async with main_cluster(refusing("web-c2")) as main:
        old = main.add(slice_of("web-c1"))
        policy = Delete(old, precondition_of(old), Reason.UNREACHABLE_REMOVED)
        results = await main.applier.apply([create("web-c2", "c2"), policy])
        assert [each.status for each in results] == [WriteStatus.FAILED, WriteStatus.POSTPONED]
        assert main.names == ["web-c1"]


async def test_written_change_is_one_log_line() -> None:
    """The line names the slice, its Service and cluster, the verb and the reason."""
    made = slice_of()
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
