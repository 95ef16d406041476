"""The composition root: makes all parts, starts them and stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Final

import structlog
from attrs import define

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import main_client, own_namespace
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.dispatch import Dispatcher
from svclink_controller.election.leader import Elector
from svclink_controller.election.live_leases import warn_about_other_leaders
from svclink_controller.election.running_controllers import find_until_answered
from svclink_controller.following import Following, Reports, make_following
from svclink_controller.gc_tuning import tuned_gc
from svclink_controller.monitoring.collector import StateCollector
from svclink_controller.monitoring.listen_address import ListenAddress
from svclink_controller.monitoring.loop_lag import LoopLag
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.monitoring.readiness import Readiness
from svclink_controller.reconcile.applier import Applier
from svclink_controller.reconcile.events import Events
from svclink_controller.reconcile.link_removal import LinkRemoval
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.reconciler import PLAN_REST_SECONDS, Reconciler
from svclink_controller.reconcile.status.links import StatusWriter
from svclink_controller.reconcile.status.policies import PolicyStatusWriter
from svclink_controller.reconcile.traffic_results import TrafficResults
from svclink_controller.reconcile.work import Work
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.reconcile.write_pacing import WritePace
from svclink_controller.settings import Settings
from svclink_controller.state.store import Store
from svclink_controller.stop_signals import on_signal, stop_signals
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.resources import cluster_links
from svclink_core.controller_namespace import ControllerNamespace
from svclink_core.meta_v1 import NamespacedName
from svclink_core.planner import Planner
from svclink_core.well_known import MAIN

FRESH_LINKS_SECONDS: Final = 5
"""How long a new leader waits for a list of the links before it begins to work."""

DRAIN_SECONDS: Final = 3
"""How long writes in flight may take to end after SIGTERM."""

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """Run the controller until SIGTERM, SIGINT or SIGHUP.

    Raises:
        ConfigurationError: The main cluster's credentials cannot be used.
        ListenError: svclink cannot listen on the address for metrics and probes.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, on_signal(number, stop.set))
    files, context = settings.kubeconfig, settings.kube_context
    client = await _unless_stopped(stop, main_client(files, context))
    if client is None:
        return
    namespace = settings.controller_namespace or own_namespace(files, context)
    manager = make_manager(client, namespace, settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        stack.enter_context(tuned_gc())
        stack.enter_context(manager.elector.watchdog.checking_on_wake_up())
        if settings.listen_address is not None:
            await stack.enter_async_context(_serving_probes(settings.listen_address, manager))
        await _run_until(stop, manager)


def _serving_probes(address: ListenAddress, manager: Manager) -> AbstractAsyncContextManager[None]:
    """Serve metrics and probes. A controller that serves none starts faster without this module."""
    from svclink_controller.monitoring.server import Answers, serving_probes  # noqa: PLC0415

    answers = Answers(
        registry=manager.metrics.registry,
        lag=lambda: manager.loop_lag.last,
        not_ready_reason=Readiness(manager.store).not_ready_reason,
        role=lambda: "leading" if manager.is_leading else "standing by",
    )
    return serving_probes(address, answers)


async def _unless_stopped(
    stop: asyncio.Event, work: Coroutine[None, None, Client]
) -> Client | None:
    """The result of some work, or None if SIGTERM came first: a plugin may wait for its user."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.wait({working})
    return None


async def _run_until(stop: asyncio.Event, manager: Manager) -> None:
    working = asyncio.create_task(manager.run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            log.info("stopping")
            await manager.drain()
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait({working})
    if not working.cancelled() and (error := working.exception()) is not None:
        raise error


@define
class Manager:
    """All parts of a running controller.

    Args:
        drain_seconds: How long writes in flight may take to end.
    """

    client: Client
    settings: Settings
    store: Store
    following: Following
    applier: Applier
    work: Work
    elector: Elector
    metrics: Metrics
    loop_lag: LoopLag
    drain_seconds: float

    async def run(self) -> None:
        """Run until cancelled. A standby reads everything too, so it can take over at once."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.loop_lag.run())
                await self.following.read(group, self._find_home)
                group.create_task(self._lead())
        finally:
            await self.following.close()

    async def drain(self) -> None:
        """Start no more writes, and wait a little for those in flight."""
        try:
            # Called while a task ends that was cancelled: see `Elector` for asyncio.timeout.
            await asyncio.wait_for(self.applier.drain(), self.drain_seconds)
        except TimeoutError:
            log.warning("writes still in flight were abandoned", seconds=self.drain_seconds)

    @property
    def _find_home(self) -> Callable[[], Awaitable[ControllerNamespace]] | None:
        """Finds the namespace of the controller, if it is not known."""
        if not self.settings.seeks_namespace:
            return None
        name, namespace = self.elector.name, self.elector.namespace
        return partial(find_until_answered, self.client, name, namespace)

    @property
    def is_leading(self) -> bool:
        """Whether this replica writes, as far as it knows."""
        return self.elector.may_write() if self.settings.leader_elect else True

    async def _lead(self) -> None:
        if self.settings.leader_elect:
            await self.elector.run(self._work_as_leader)
            return
        async with asyncio.TaskGroup() as group:
            name, namespace = self.elector.name, self.elector.namespace
            is_pod = self.settings.kubeconfig is None
            group.create_task(warn_about_other_leaders(self.client, name, namespace, is_pod=is_pod))
            group.create_task(self.work.run())

    async def _work_as_leader(self) -> None:
        """Read links and policies once more, then work: the watch of a standby may have lagged.

        What the last leader did for an edited link must not be undone by the link as it was, and
        the status of a policy says which tier it left when. A leader that cannot read them soon
        goes on with those that it knows.
        """
        try:
            async with asyncio.timeout(FRESH_LINKS_SECONDS):
                await self.following.reflectors.list_links()
                await self.following.reflectors.list_policies()
        except (ApiError, TransportError, WireError, TimeoutError) as error:
            log.warning("links not read again", problem=str(error) or "timed out")
        await self.work.run()


@define
class _Shared:
    """The dependencies of most parts.

    Args:
        client: The main cluster.
        writing: The main cluster, for requests that only a leader may send.
        services: Queue of the Services to plan.
        links: Queue of the links whose status may be out of date.
        policies: Queue of the policies whose status may be out of date.
        traffic_results: What plans say about traffic.
    """

    settings: Settings
    client: Client
    writing: Client
    store: Store
    services: WorkQueue[NamespacedName]
    links: WorkQueue[str]
    policies: WorkQueue[NamespacedName]
    traffic_results: TrafficResults
    metrics: Metrics


def make_manager(
    client: Client, namespace: str, settings: Settings, drain_seconds: float = DRAIN_SECONDS
) -> Manager:
    """A controller in a namespace of its main cluster. Nothing is started yet."""
    metrics, dispatcher = Metrics(), Dispatcher()
    elector = Elector(client=client, namespace=namespace, name=settings.lease_name)
    store = Store(options=settings.options, listener=dispatcher.emit)
    writing = client.fenced(elector.may_write) if settings.leader_elect else client
    shared = _make_shared(settings, client, writing, store, metrics)
    following = _make_following(shared, dispatcher, namespace)
    applier = _make_applier(shared)
    manager = Manager(
        client=client,
        settings=settings,
        store=store,
        following=following,
        applier=applier,
        work=_make_work(shared, following, applier),
        elector=elector,
        metrics=metrics,
        loop_lag=LoopLag(observe=metrics.loop_lag.observe),
        drain_seconds=drain_seconds,
    )
    _register_metrics(shared, manager)
    return manager


def _make_shared(
    settings: Settings, client: Client, writing: Client, store: Store, metrics: Metrics
) -> _Shared:
    policies: WorkQueue[NamespacedName] = WorkQueue()
    return _Shared(
        settings=settings,
        client=client,
        writing=writing,
        store=store,
        services=WorkQueue(metrics.queue_wait.observe, rest_seconds=PLAN_REST_SECONDS),
        links=WorkQueue(),
        policies=policies,
        traffic_results=TrafficResults(
            policies=store.main.traffic_policies,
            queue=policies,
            status_changed=store.mark_status_changed,
        ),
        metrics=metrics,
    )


def _make_following(shared: _Shared, dispatcher: Dispatcher, namespace: str) -> Following:
    settings = shared.settings
    return make_following(
        shared.client,
        shared.store,
        dispatcher,
        namespace=namespace,
        services=shared.services,
        links=shared.links,
        trust=settings.trust,
        budget=settings.remote_budget,
        resource=cluster_links(settings.link_selector),
        is_everything_selected=settings.has_all_links,
        reports=Reports(link_left=shared.metrics.forget),
    )


def _make_applier(shared: _Shared) -> Applier:
    return Applier(
        client=shared.writing,
        written=partial(shared.store.put, MAIN),
        gone=shared.store.mark_gone,
        write_pace=WritePace(per_second=shared.settings.max_writes_per_second),
    )


def _make_work(shared: _Shared, following: Following, applier: Applier) -> Work:
    settings, store, metrics = shared.settings, shared.store, shared.metrics
    plan_results = PlanResults(status_changed=store.mark_status_changed)
    events = Events(client=shared.writing, metrics=metrics)
    return Work(
        store=store,
        services=shared.services,
        links=shared.links,
        policies=shared.policies,
        deletion_holds=following.deletion_holds,
        reconciler=Reconciler(
            store=store,
            queue=shared.services,
            applier=applier,
            plan_results=plan_results,
            link_removal=LinkRemoval(client=shared.client),
            traffic_results=shared.traffic_results,
            decided=following.deletion_holds.record,
            metrics=metrics,
            planner=Planner(),
        ),
        status_writer=StatusWriter(
            client=shared.writing,
            store=store,
            plan_results=plan_results,
            traffic_results=shared.traffic_results,
            home=lambda: following.supervisor.secrets.home,
            queue=shared.links,
            metrics=metrics,
            status_written=events.record,
            resource=cluster_links(settings.link_selector),
        ),
        policy_status_writer=PolicyStatusWriter(
            client=shared.writing,
            store=store,
            traffic_results=shared.traffic_results,
            queue=shared.policies,
            metrics=metrics,
            status_written=events.record,
        ),
        events=events,
        resync_interval=settings.sync_interval,
    )


def _register_metrics(shared: _Shared, manager: Manager) -> None:
    """Let the metrics read the state of the parts."""
    manager.metrics.registry.register(
        StateCollector(
            store=manager.store,
            traffic=shared.traffic_results.all,
            queue_depth=shared.services.__len__,
            is_leading=lambda: manager.is_leading,
            longest_lag=lambda: manager.loop_lag.longest,
            task_count=lambda: len(asyncio.all_tasks()),
            finding_counts=manager.work.reconciler.plan_results.finding_counts,
        )
    )
