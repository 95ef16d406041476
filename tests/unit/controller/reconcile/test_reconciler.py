"""A Service's slices in the main cluster become what the core says, and what fails is tried again.

Real: reconciler, store, core, applier, client, sockets and TLS. Substituted: the main API server, by a small one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from attrs import define, evolve

from svclink_controller.reconcile.applier import Applier
from svclink_controller.reconcile.link_removal import LinkRemoval
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.reconciler import Reconciler
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.state.changes import ServicesToPlan, StateChange
from svclink_controller.state.store import Store
from svclink_core import (
    SYNCED,
    ClusterLink,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    NamespacedName,
    ObjectMeta,
    Options,
    Reason,
    Service,
    ServicePort,
    ServiceSpec,
)
from svclink_core.codec import structure
from svclink_core.well_known import (
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MAIN,
    MANAGED_BY,
)
from tests.unit.controller.servers import Cluster, Server, connected, eventually, refusal, serving

WEB, API = NamespacedName("default", "web"), NamespacedName("default", "api")


def service(key: NamespacedName = WEB, version: str = "1") -> Service:
    spec = ServiceSpec(
        cluster_ip="10.96.0.1", ip_families=("IPv4",), ports=(ServicePort(80, "http"),)
    )
    return Service(ObjectMeta(key.name, key.namespace, f"uid-of-{key.name}", version), spec)


def piece(key: NamespacedName = WEB, *addresses: str, version: str = "1") -> EndpointSlice:
    metadata = ObjectMeta(
        f"{key.name}-abc", key.namespace, "uid", version, labels=((LABEL_SERVICE_NAME, key.name),)
    )
    endpoints = tuple(Endpoint((address,)) for address in addresses or ("10.0.0.1",))
    return EndpointSlice(metadata, "IPv4", endpoints, (EndpointPort("http", port=8080),))


@define
class World:
    """A reconciler at work: `web` and `api` are in the main cluster and in `c1`."""

    server: Server
    cluster: Cluster
    store: Store
    queue: WorkQueue[NamespacedName]
    plan_results: PlanResults

    def know(self) -> None:
        """Everything is listed."""
        self.store.put_link(ClusterLink(ObjectMeta("c1")))
        self.store.set_connection("c1", SYNCED)
        for key in (WEB, API):
            self.store.put(MAIN, service(key))
            self.store.put("c1", service(key))
        self.store.put("c1", piece())
        for kind in (Service, EndpointSlice, ClusterLink):
            self.store.mark_listed(kind)

    def addresses(self) -> dict[str, list[str]]:
        """What is mirrored."""
        return {
            item["metadata"]["name"]: [endpoint["addresses"][0] for endpoint in item["endpoints"]]
            for item in self.cluster.all("endpointslices")
        }


@asynccontextmanager
async def worlds(*, broken: int = 0, shares_links: bool = False) -> AsyncIterator[World]:
    """A reconciler at work; the first few answers of the main cluster meet an internal error."""
    cluster = Cluster()
    queue: WorkQueue[NamespacedName] = WorkQueue()

    def enqueue(change: StateChange) -> None:
        if isinstance(change, ServicesToPlan):
            queue.add(change.keys)

    store = Store(Options(), enqueue)
    findings = PlanResults(lambda _: None)
    faults = [RuntimeError("a fault of svclink")] * broken

    def written(item: EndpointSlice | Service) -> None:
        if faults:
            raise faults.pop()
        store.put(MAIN, item)

    async with serving(cluster) as server, connected(server.url) as client:
        reconciler = Reconciler(store, queue, Applier(client, written, store.mark_gone), findings)
        reconciler.link_removal = LinkRemoval(client) if shares_links else None
        workers = [asyncio.create_task(reconciler.run()) for _ in range(4)]
        try:
            yield World(server, cluster, store, queue, findings)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)


async def test_slices_become_what_the_core_says() -> None:
    """A Service of a linked cluster is mirrored, and follows what happens there."""
    async with worlds() as world:
        world.know()
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.1"]})
        world.store.put("c1", piece(WEB, "10.0.0.2", version="2"))
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.2"]})
        world.store.remove("c1", EndpointSlice, piece().metadata.key)
        await eventually(lambda: world.addresses() == {})


async def test_service_that_is_right_causes_no_request() -> None:
    """Looking at a Service again changes nothing where nothing differs."""
    async with worlds() as world:
        world.know()
        await eventually(lambda: bool(world.addresses()) and not world.queue._processing)
        asked = len(world.server.requests)
        for _ in range(3):
            world.queue.add([WEB, API])
            await eventually(lambda: not world.queue._dirty and not world.queue._processing)
        assert len(world.server.requests) == asked


@pytest.mark.parametrize("answers", ["the link", "an error"])
async def test_slices_of_an_unknown_link_stay_until_the_api_server_says_that_it_is_gone(
    answers: str,
) -> None:
    """Where links are shared, a watch of links that lags behind must not cost another controller its slices."""
    async with worlds(shares_links=True) as world:

        async def refuse(request: web.BaseRequest) -> web.StreamResponse | None:
            return refusal(500) if request.path.endswith("/clusterlinks") else None

        if answers == "the link":
            world.cluster.put(ClusterLink(ObjectMeta("new")))
        else:
            world.cluster.override = refuse
        labels = {LABEL_SERVICE_NAME: "web", LABEL_MANAGED_BY: MANAGED_BY, LABEL_CLUSTER: "new"}
        metadata = evolve(piece().metadata, name="web-new", labels=tuple(sorted(labels.items())))
        theirs = structure(world.cluster.put(evolve(piece(), metadata=metadata)), EndpointSlice)
        world.store.put(MAIN, theirs)
        world.know()
        await eventually(lambda: "web-c1" in world.addresses())
        asked = [
            request for request in world.server.requests if request.path.endswith("/clusterlinks")
        ]
        assert asked[0].query["fieldSelector"] == "metadata.name=new"
        assert "web-new" in world.addresses()

        world.cluster.override = None
        world.cluster.objects.pop(("clusterlinks", "", "new"), None)
        await eventually(lambda: list(world.addresses()) == ["web-c1"])


async def test_nothing_is_decided_before_everything_is_known() -> None:
    """A key that was enqueued too early is not planned: a link that is not listed yet is not gone."""
    async with worlds() as world:
        labels = {LABEL_SERVICE_NAME: "web", LABEL_MANAGED_BY: MANAGED_BY, LABEL_CLUSTER: "c1"}
        mirrored = piece()
        metadata = evolve(mirrored.metadata, labels=tuple(sorted(labels.items())))
        world.store.put(MAIN, evolve(mirrored, metadata=metadata))
        world.store.put(MAIN, service())
        world.queue.add([WEB])
        await eventually(lambda: not world.queue._dirty and not world.queue._processing)
        assert world.server.requests == []


@pytest.mark.parametrize("code", [400, 403, 404, 409, 429, 500])
async def test_failed_write_is_tried_again(code: int) -> None:
    """Whatever the API server answers, the Service is planned again until its slices are right."""
    async with worlds() as world:
        answers = [refusal(code), refusal(code)]

        async def refuse_twice(_: web.BaseRequest) -> web.StreamResponse | None:
            return answers.pop() if answers else None

        world.cluster.override = refuse_twice
        world.know()
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.1"]})
        assert len(world.server.requests) == 3


async def test_failure_is_recorded_until_the_write_works() -> None:
    """The status of the link can show which Service could not be written, and why."""
    async with worlds() as world:

        async def refuse(_: web.BaseRequest) -> web.StreamResponse | None:
            return refusal(500, "InternalError", "no such thing")

        world.cluster.override = refuse
        world.know()
        await eventually(
            lambda: (
                world.plan_results.failures_of("c1")
                == ["default/web: 500 InternalError: no such thing"]
            )
        )
        world.cluster.override = None
        await eventually(lambda: world.plan_results.failures_of("c1") == [])


async def test_what_is_invalid_waits_for_a_change() -> None:
    """A 422 is shown and not sent again, however often it is looked at, until the source changes."""
    async with worlds() as world:

        async def refuse(request: web.BaseRequest) -> web.StreamResponse | None:
            return (
                None
                if "10.0.0.2" in await request.text()
                else refusal(422, "Invalid", "no such thing")
            )

        world.cluster.override = refuse
        world.know()
        await eventually(
            lambda: (
                world.plan_results.failures_of("c1") == ["default/web: 422 Invalid: no such thing"]
            )
        )
        for _ in range(3):
            world.queue.add([WEB])
            await eventually(lambda: not world.queue._dirty and not world.queue._processing)
        assert (len(world.server.requests), world.queue._waiting) == (1, {})
        assert world.plan_results.failures_of("c1") == ["default/web: 422 Invalid: no such thing"]
        world.store.put("c1", piece(WEB, "10.0.0.2", version="2"))
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.2"]})
        await eventually(lambda: world.plan_results.failures_of("c1") == [])


async def test_storm_of_changes_is_coalesced() -> None:
    """Of a hundred changes of one slice the first is written at once, then some, and the last one always."""
    async with worlds() as world:
        world.know()
        for number in range(100):
            world.store.put("c1", piece(WEB, f"10.0.1.{number}", version=str(number + 2)))
            await asyncio.sleep(0.004)
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.1.99"]})
        assert 2 <= len(world.server.requests) <= 10


async def test_name_that_somebody_holds_is_asked_for_until_it_is_free() -> None:
    """A name another program took meanwhile, which no event tells, costs tries with growing delays, and no address."""
    async with worlds() as world:
        held = [True]

        async def hold(request: web.BaseRequest) -> web.StreamResponse | None:
            return refusal(409, "AlreadyExists") if held and request.method == "POST" else None

        world.cluster.override = hold
        world.know()
        await eventually(lambda: len(world.server.requests) == 3)
        held.clear()
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.1"]})


async def test_writes_go_on_after_a_pause() -> None:
    """What could not be written while main wanted to be left alone is written afterwards, as it is by then."""
    async with worlds() as world:
        answers = [refusal(429, "TooManyRequests", retry_after=1)]

        async def overloaded(_: web.BaseRequest) -> web.StreamResponse | None:
            return answers.pop() if answers else None

        world.cluster.override = overloaded
        world.know()
        await eventually(lambda: not answers)
        world.store.put("c1", piece(API))
        world.store.put("c1", piece(WEB, "10.0.0.2", version="2"))
        await eventually(
            lambda: world.addresses() == {"api-c1": ["10.0.0.1"], "web-c1": ["10.0.0.2"]}
        )
        assert len(world.server.requests) == 3


async def test_findings_are_recorded() -> None:
    """What had to be left out of a Service is known to the status of its link."""
    async with worlds() as world:
        world.know()
        world.store.put("c1", piece(WEB, "10.0.0.1", "127.0.0.1", version="2"))
        await eventually(
            lambda: (
                [each.reason for each in world.plan_results.findings_of("c1")]
                == [Reason.INVALID_ENDPOINTS]
            )
        )


async def test_server_is_left_alone_as_long_as_it_asked_for() -> None:
    """The next try of a Service is not before the time in Retry-After."""
    async with worlds() as world:

        async def refuse(_: web.BaseRequest) -> web.StreamResponse | None:
            return refusal(429, retry_after=100)

        world.cluster.override = refuse
        world.know()
        await eventually(lambda: WEB in world.queue._waiting)
        assert world.queue._waiting[WEB].when() > asyncio.get_running_loop().time() + 50


async def test_internal_error_stops_nothing() -> None:
    """A fault of svclink is tried again, and the other Services are worked on meanwhile."""
    async with worlds(broken=1) as world:
        world.know()
        world.store.put("c1", piece(API))
        await eventually(
            lambda: world.addresses() == {"api-c1": ["10.0.0.1"], "web-c1": ["10.0.0.1"]}
        )
