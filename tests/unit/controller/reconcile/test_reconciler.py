"""A Service's slices in the main cluster become what the core plans, and failures are retried.

Real: reconciler, store, core, applier, client, sockets and TLS. Substituted: the main API server,
by a fake one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from attrs import define, evolve

from svclink_controller import clock
from svclink_controller.dispatch import lane_of
from svclink_controller.reconcile.applier import Applier
from svclink_controller.reconcile.link_removal import LinkRemoval
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.reconciler import Reconciler
from svclink_controller.reconcile.traffic_results import TrafficResults
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.reconcile.write_pacing import REST_SECONDS
from svclink_controller.state.changes import ServicesToPlan, StateChange
from svclink_controller.state.link_states import LinkStates
from svclink_controller.state.store import PLANNED_KINDS, Store
from svclink_core import (
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    EndpointPort,
    EndpointSlice,
    NamespacedName,
    ObjectMeta,
    Options,
    Reason,
    Service,
    ServicePort,
    Unreachable,
    UnreachablePolicy,
)
from svclink_core.codec import structure
from svclink_core.remote_consistency import CONSISTENCY_TIMEOUT_SECONDS
from svclink_core.well_known import (
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MAIN,
    MANAGED_BY,
)
from tests.builders.values import link, remote_slice, service, traffic_policy
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Refuse, ends_with, method
from tests.unit.controller.http_server import Server, connected, serving
from tests.unit.controller.waiting import eventually

WEB, API = NamespacedName("default", "web"), NamespacedName("default", "api")


@define
class World:
    """A reconciler at work; `web` and `api` are in the main cluster and in `c1`."""

    server: Server
    cluster: FakeApiServer
    store: Store
    queue: WorkQueue[NamespacedName]
    plan_results: PlanResults
    handled: list[float]

    def list_all(self) -> None:
        """The store has listed everything."""
        self.store.put_link(ClusterLink(ObjectMeta("c1")))
        self.store.set_connection("c1", SYNCED)
        for key in (WEB, API):
            self.store.put(MAIN, service(key))
            self.store.put("c1", service(key))
        self.store.put("c1", remote_slice())
        for kind in PLANNED_KINDS:
            self.store.mark_listed(kind)

    def addresses(self) -> dict[str, list[str]]:
        """Addresses of the main cluster's slices."""
        return {
            item["metadata"]["name"]: [endpoint["addresses"][0] for endpoint in item["endpoints"]]
            for item in self.cluster.all("endpointslices")
        }


@asynccontextmanager
async def worlds(*, broken: int = 0, ago: float = 0) -> AsyncIterator[World]:
    """A reconciler at work.

    Args:
        broken: How many answers of the main cluster cause an internal error.
        ago: How many seconds ago everything that happens has happened, for what waits for its end.
    """
    cluster = FakeApiServer()
    handled: list[float] = []
    queue: WorkQueue[NamespacedName] = WorkQueue(waited=handled.append)

    def enqueue(change: StateChange) -> None:
        if isinstance(change, ServicesToPlan):
            queue.add(change.keys, lane_of(change.cluster))

    states = LinkStates(now=lambda: clock.elapsed() - ago)
    store = Store(Options(), enqueue, link_states=states)
    findings = PlanResults(lambda _: None)
    faults = [RuntimeError("an internal error")] * broken

    def written(item: EndpointSlice | Service, /, *, is_as_planned: bool = False) -> None:
        if faults:
            raise faults.pop()
        store.put(MAIN, item, is_as_planned=is_as_planned)

    async with serving(cluster) as server, connected(server.url) as client:
        applier = Applier(client, written, store.mark_gone)
        traffic_results = TrafficResults(store.main.traffic_policies, WorkQueue())
        reconciler = Reconciler(
            store, queue, applier, findings, LinkRemoval(client), traffic_results
        )
        workers = [asyncio.create_task(reconciler.run()) for _ in range(4)]
        try:
            yield World(server, cluster, store, queue, findings, handled)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)


async def test_slices_follow_the_remote_cluster() -> None:
    """A Service of a linked cluster is mirrored, and follows its changes."""
    async with worlds() as world:
        world.list_all()
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.1"]})
        world.store.put("c1", remote_slice(None, "10.0.0.2", version="2"))
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.2"]})
        world.store.remove("c1", EndpointSlice, remote_slice().metadata.key)
        await eventually(lambda: world.addresses() == {})


async def test_service_is_not_planned_again_after_its_plan_was_applied() -> None:
    """A plan that is applied has nothing left to change (law L1)."""
    async with worlds() as world:
        world.list_all()
        await eventually(lambda: bool(world.addresses()) and world.queue.is_idle)
        assert len(world.handled) == len([WEB, API])


async def test_changes_of_one_cluster_do_not_wait_for_those_of_another() -> None:
    """However many Services one cluster changes, those of another are planned in between."""
    async with worlds() as world:
        world.list_all()
        world.store.put_link(ClusterLink(ObjectMeta("c2")))
        world.store.set_connection("c2", SYNCED)
        many = [NamespacedName("default", f"many-{number}") for number in range(200)]
        for key in (*many, API):
            world.store.put(MAIN, service(key))
            for cluster in ("c1", "c2"):
                world.store.put(cluster, service(key))
        await eventually(lambda: world.queue.is_idle)

        for key in many:
            world.store.put("c1", remote_slice(key=key))
        world.store.put("c2", remote_slice(key=API))
        await eventually(lambda: "api-c2" in world.addresses())

        assert len(world.addresses()) < len(many) / 2


async def test_refused_write_with_a_policy_is_not_planned_all_the_time() -> None:
    """Only a write that was applied changes the status of a policy."""
    async with worlds() as world:
        world.cluster.fail(Refuse(422, "Invalid", "no such thing"))
        world.store.main.traffic_policies.put(traffic_policy())
        world.list_all()
        await eventually(lambda: bool(world.handled) and world.queue.is_idle)
        await asyncio.sleep(0.05)
        assert len(world.handled) < 10


@pytest.mark.parametrize(("seconds", "is_removed"), [(1_000, False), (-1_000, True)])
async def test_deadline_of_a_policy_is_reached_by_the_monotonic_clock(
    seconds: float, *, is_removed: bool
) -> None:
    """A wall clock that is set, or far ahead, neither ends the time of a policy nor prolongs it."""
    async with worlds() as world:
        world.list_all()
        await eventually(lambda: bool(world.addresses()) and world.queue.is_idle)
        policy = UnreachablePolicy("Remove", 0, force=True)
        world.store.put_link(link(spec=ClusterLinkSpec(unreachable=policy), uid="", generation=2))
        lost = Unreachable("2026-01-01T00:00:00Z", clock.elapsed() + seconds)
        world.store.set_connection("c1", lost)
        world.queue.add([WEB])
        await eventually(lambda: world.queue.is_idle)
        await eventually(lambda: (world.addresses() == {}) is is_removed)


async def test_reconciling_an_unchanged_service_sends_no_request() -> None:
    """Planning a Service again sends nothing if nothing differs."""
    async with worlds() as world:
        world.list_all()
        await eventually(lambda: bool(world.addresses()) and world.queue.is_idle)
        asked = len(world.server.requests)
        for _ in range(3):
            world.queue.add([WEB, API])
            await eventually(lambda: world.queue.is_idle)
        assert len(world.server.requests) == asked


@pytest.mark.parametrize("answers", ["the link", "an error"])
async def test_slices_of_an_unknown_link_stay_until_the_api_server_confirms_its_removal(
    answers: str,
) -> None:
    """A watch of links that lags behind must not delete the slices of a link that exists."""
    async with worlds() as world:
        if answers == "the link":
            world.cluster.put(ClusterLink(ObjectMeta("new")))
        else:
            world.cluster.fail(Refuse(500), when=ends_with("/clusterlinks"))
        labels = {LABEL_SERVICE_NAME: "web", LABEL_MANAGED_BY: MANAGED_BY, LABEL_CLUSTER: "new"}
        metadata = evolve(
            remote_slice().metadata, name="web-new", labels=tuple(sorted(labels.items()))
        )
        theirs = structure(
            world.cluster.put(evolve(remote_slice(), metadata=metadata)), EndpointSlice
        )
        world.store.put(MAIN, theirs)
        world.list_all()
        await eventually(lambda: "web-c1" in world.addresses())
        asked = [
            request for request in world.server.requests if request.path.endswith("/clusterlinks")
        ]
        assert asked[0].query["fieldSelector"] == "metadata.name=new"
        assert "web-new" in world.addresses()

        world.cluster.heal()
        world.cluster.objects.pop(("clusterlinks", "", "new"), None)
        await eventually(lambda: list(world.addresses()) == ["web-c1"])


async def test_nothing_is_planned_before_everything_is_listed() -> None:
    """A link that has not been listed yet does not count as removed."""
    async with worlds() as world:
        labels = {LABEL_SERVICE_NAME: "web", LABEL_MANAGED_BY: MANAGED_BY, LABEL_CLUSTER: "c1"}
        mirrored = remote_slice()
        metadata = evolve(mirrored.metadata, labels=tuple(sorted(labels.items())))
        world.store.put(MAIN, evolve(mirrored, metadata=metadata))
        world.store.put(MAIN, service())
        world.queue.add([WEB])
        await eventually(lambda: world.queue.is_idle)
        assert world.server.requests == []


@pytest.mark.parametrize("code", [400, 403, 404, 409, 429, 500])
async def test_failed_write_is_retried(code: int) -> None:
    """Whatever the API server answers, the Service is planned again until its slices are right."""
    async with worlds() as world:
        world.cluster.fail(Refuse(code), times=2)
        world.list_all()
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.1"]})
        assert len(world.server.requests) == 3


async def test_failure_is_recorded_until_the_write_succeeds() -> None:
    """The status of the link can show which Service could not be written, and why."""
    async with worlds() as world:
        world.cluster.fail(Refuse(500, "InternalError", "no such thing"))
        world.list_all()
        await eventually(
            lambda: (
                world.plan_results.failures_of("c1")
                == ["default/web: 500 InternalError: no such thing"]
            )
        )
        world.cluster.heal()
        await eventually(lambda: world.plan_results.failures_of("c1") == [])


async def test_denied_write_is_retried_until_it_is_accepted() -> None:
    """A 422 is shown for as long as it lasts, and ends without any event or restart."""
    async with worlds() as world:
        denied = world.cluster.fail(Refuse(422, "Invalid", "no such thing"))
        world.list_all()
        why = "the API server's validation rejected the write (422 Invalid: no such thing)"
        shown = [f"default/web: {why}"]
        await eventually(lambda: world.plan_results.failures_of("c1") == shown)
        world.queue.add([WEB])
        await eventually(lambda: world.queue.is_idle)
        assert world.plan_results.failures_of("c1") == shown
        await eventually(lambda: denied.hits >= 3)
        world.cluster.heal()
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.1"]})
        await eventually(lambda: world.plan_results.failures_of("c1") == [])


@pytest.mark.parametrize("code", [403, 422, 500])
async def test_events_do_not_shorten_the_pauses_of_a_write_that_fails(code: int) -> None:
    """However often the Service is planned and changed, the intervals double."""
    async with worlds() as world:
        denied = world.cluster.fail(Refuse(code))
        started = asyncio.get_running_loop().time()
        world.list_all()
        for number in itertools.count(2):
            world.store.put("c1", remote_slice(None, f"10.0.1.{number % 200}", version=str(number)))
            await asyncio.sleep(0.01)
            if denied.hits >= 6:
                break
        least = sum(0.1 * 2**each / 2 for each in range(5))
        assert asyncio.get_running_loop().time() - started > least


async def test_many_changes_are_coalesced() -> None:
    """Of a hundred changes of one slice the first and the last are written, and few in between."""
    async with worlds() as world:
        world.list_all()
        started = asyncio.get_running_loop().time()
        for number in range(100):
            world.store.put("c1", remote_slice(None, f"10.0.1.{number}", version=str(number + 2)))
            await asyncio.sleep(0.004)
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.1.99"]})
        elapsed = asyncio.get_running_loop().time() - started
        assert 2 <= len(world.server.requests) <= 2 + elapsed / REST_SECONDS


async def test_conflicting_name_is_retried_until_it_is_free() -> None:
    """A name that another program holds, which no event reports, is retried with delays."""
    async with worlds() as world:
        conflicts = world.cluster.fail(Refuse(409, "AlreadyExists"), when=method("POST"))
        world.list_all()
        await eventually(lambda: conflicts.hits >= 3)
        world.cluster.heal()
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.1"]})


async def test_writes_continue_after_a_pause() -> None:
    """After the delay of a 429 the slices are written in their latest state."""
    async with worlds() as world:
        overload = world.cluster.fail(Refuse(429, "TooManyRequests", retry_after=1), times=1)
        world.list_all()
        await eventually(lambda: overload.hits == 1)
        world.store.put("c1", remote_slice(key=API))
        world.store.put("c1", remote_slice(None, "10.0.0.2", version="2"))
        await eventually(
            lambda: world.addresses() == {"api-c1": ["10.0.0.1"], "web-c1": ["10.0.0.2"]}
        )
        assert len(world.server.requests) == 3


async def test_findings_are_recorded() -> None:
    """The status of the link can show what was left out of a Service."""
    async with worlds() as world:
        world.list_all()
        world.store.put("c1", remote_slice(None, "10.0.0.1", "127.0.0.1", version="2"))
        await eventually(
            lambda: (
                [each.reason for each in world.plan_results.findings_of("c1")]
                == [Reason.INVALID_ENDPOINTS]
            )
        )


async def test_retry_respects_retry_after() -> None:
    """A Service is not retried before the time in Retry-After."""
    async with worlds() as world:
        world.cluster.fail(Refuse(429, retry_after=100))
        world.list_all()
        await eventually(lambda: WEB in world.queue._delayed)
        assert world.queue._delayed[WEB].when() > asyncio.get_running_loop().time() + 50


async def test_internal_error_is_retried() -> None:
    """After an internal error the Service is retried, and the others continue."""
    async with worlds(broken=1) as world:
        world.list_all()
        world.store.put("c1", remote_slice(key=API))
        await eventually(
            lambda: world.addresses() == {"api-c1": ["10.0.0.1"], "web-c1": ["10.0.0.1"]}
        )


OWN_NAME = service(ports=(ServicePort(80, "own-name"),), version="2")
RENAMED = service(ports=(ServicePort(80, "renamed"),), version="2")


async def test_mirror_outlives_a_service_that_overtakes_its_slices() -> None:
    """A renamed port neither deletes the mirror nor makes another one."""
    async with worlds() as world:
        world.list_all()
        world.store.put(MAIN, OWN_NAME)
        await eventually(lambda: "web-c1" in world.addresses())
        (before,) = world.cluster.all("endpointslices")
        world.store.put("c1", RENAMED)
        await eventually(lambda: world.queue.is_idle)
        ports = (EndpointPort("renamed", port=8080),)
        world.store.put("c1", remote_slice(None, "10.0.0.2", ports=ports, version="2"))
        await eventually(lambda: world.addresses() == {"web-c1": ["10.0.0.2"]})
        (after,) = world.cluster.all("endpointslices")
        assert after["metadata"]["uid"] == before["metadata"]["uid"]


async def test_plan_is_made_again_when_patience_ends() -> None:
    """What stays inconsistent is removed without another event."""
    async with worlds(ago=CONSISTENCY_TIMEOUT_SECONDS - 0.2) as world:
        world.list_all()
        world.store.put(MAIN, OWN_NAME)
        await eventually(lambda: "web-c1" in world.addresses())
        world.store.put("c1", RENAMED)
        await eventually(lambda: world.addresses() == {})
