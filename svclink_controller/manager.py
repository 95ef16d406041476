"""The composition root: makes all parts, starts them and stops them. The only module that knows all others."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, TypeVar, assert_never

import structlog
from attrs import define

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import main_client, own_namespace
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.backoff import Backoff
from svclink_controller.election.leader import Elector
from svclink_controller.gc_tuning import tuned_gc
from svclink_controller.monitoring.collector import StateCollector
from svclink_controller.monitoring.loop_lag import LoopLag
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.monitoring.readiness import Readiness
from svclink_controller.monitoring.server import Answers, serving_probes
from svclink_controller.reconcile.applier import Applier
from svclink_controller.reconcile.deadlines import Deadlines
from svclink_controller.reconcile.deletion_guards import DeletionGuards
from svclink_controller.reconcile.events import Events
from svclink_controller.reconcile.link_removal import LinkRemoval
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.reconciler import RECONCILERS, Reconciler
from svclink_controller.reconcile.status_writer import STATUS_WRITERS, StatusWriter
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.reconcile.write_pacing import WritePace
from svclink_controller.reflect.reflector import Reflector, Sink, reflect_for_ever
from svclink_controller.reflect.sinks import LinkSink, NamespaceSink, ObjectSink
from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_controller.remotes.secret_kubeconfigs import SecretKubeconfigs
from svclink_controller.remotes.session import identify
from svclink_controller.remotes.supervisor import Supervisor
from svclink_controller.settings import Settings
from svclink_controller.state.changes import (
    LinkChanged,
    LinkStatusChanged,
    ServicesToPlan,
    StateChange,
)
from svclink_controller.state.store import Store
from svclink_controller.wire.decoding import Secret
from svclink_controller.wire.messages import IsKnown, WireError, nothing_is_known
from svclink_controller.wire.resources import (
    ENDPOINT_SLICES,
    NAMESPACES,
    SERVICES,
    Resource,
    cluster_links,
    sharing,
)
from svclink_core import unreachable_policy
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import all_keys
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import MAIN

DRAIN_SECONDS: Final = 3
"""How long writes under way may take to end after SIGTERM."""

RESYNC_HANDFUL: Final = 8
"""Services that are planned again at a time although nothing happened: news wait behind them for a millisecond."""

RESYNC_PAUSE_SECONDS: Final = 0.01
"""Between two handfuls."""

T = TypeVar("T", Service, Namespace, EndpointSlice, ClusterLink, Secret)

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """Run the controller until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: The main cluster's credentials cannot be used.
        ListenError: svclink cannot listen on the address for metrics and probes.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    client = await main_client(settings.kubeconfig)
    manager = make_manager(client, own_namespace(settings.kubeconfig), settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        stack.enter_context(tuned_gc())
        stack.enter_context(manager.elector.watchdog.checking_on_wake_up())
        if settings.listen_address is not None:
            await stack.enter_async_context(
                serving_probes(settings.listen_address, manager.answers)
            )
        await _run_until(stop, manager)


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
    """All parts of a running controller."""

    client: Client
    settings: Settings
    store: Store
    queue: WorkQueue[NamespacedName]
    applier: Applier
    reconciler: Reconciler
    status_writer: StatusWriter
    deletion_guards: DeletionGuards
    policies: Deadlines
    events: Events
    elector: Elector
    metrics: Metrics
    loop_lag: LoopLag
    cluster_claims: ClusterClaims
    supervisor: Supervisor

    async def run(self) -> None:
        """Run until cancelled: always see everything, so that a replica that takes over begins at once."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.loop_lag.run())
                group.create_task(self._reflect(SERVICES, ObjectSink(self.store, MAIN, Service)))
                slices = ObjectSink(self.store, MAIN, EndpointSlice)
                resource = sharing(ENDPOINT_SLICES, partial(self.store.sharing, MAIN))
                group.create_task(self._reflect(resource, slices, self.store.has_slice))
                if self.settings.options.sync_services:
                    group.create_task(self._reflect(NAMESPACES, NamespaceSink(self.store)))
                # Before the first link: a link to the main cluster itself must be recognised.
                self.cluster_claims.main_id = await self._identify()
                links = LinkSink(
                    self.store, self.supervisor.link_changed, self.settings.has_all_links
                )
                group.create_task(self._reflect(cluster_links(self.settings.link_selector), links))
                group.create_task(
                    self.elector.run(self.work) if self.settings.leader_elect else self.work()
                )
        finally:
            self.deletion_guards.close()
            self.policies.close()
            await self.supervisor.close()

    @property
    def is_leading(self) -> bool:
        """Whether this replica writes, as far as it knows."""
        return self.elector.may_write() if self.settings.leader_elect else True

    @property
    def answers(self) -> Answers:
        """What it says of itself to those who ask."""
        return Answers(
            registry=self.metrics.registry,
            lag=lambda: self.loop_lag.last,
            not_ready_reason=Readiness(self.store).not_ready_reason,
            role=lambda: "leading" if self.is_leading else "standing by",
        )

    async def work(self) -> None:
        """Write until cancelled. What happened before, or was given up in the middle, is looked at first."""
        self._plan_everything()
        for name in self.store.links:
            self.store.mark_status_changed(name)
        async with asyncio.TaskGroup() as group:
            for _ in range(RECONCILERS):
                group.create_task(self.reconciler.run())
            for _ in range(STATUS_WRITERS):
                group.create_task(self.status_writer.run())
            group.create_task(self.events.run())
            group.create_task(self._resync())

    async def drain(self) -> None:
        """Start no more writes, and wait a little for those under way."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.applier.drain()
        except TimeoutError:
            log.warning("writes still under way were given up", seconds=DRAIN_SECONDS)

    async def _identify(self) -> str | None:
        """The identity of the main cluster, without which no link can be told from one to itself."""
        backoff = Backoff(base=0.5, cap=30)
        while True:
            try:
                return await identify(self.client)
            except (ApiError, TransportError, WireError) as error:
                log.warning("main cluster not read", kind="namespaces", problem=str(error))
            await asyncio.sleep(backoff.next_delay())

    async def _reflect(
        self, resource: Resource[T], sink: Sink[T], is_known: IsKnown = nothing_is_known
    ) -> None:
        heard = partial(self.store.propagation.record_activity, MAIN, resource.plural)
        reflector = Reflector(self.client, resource, heard=heard, is_known=is_known)
        await reflect_for_ever(reflector, sink, lambda _: None)

    async def _resync(self) -> None:
        """Plan everything again now and then: whatever was missed is found, and where nothing was, nothing is done.

        A few Services at a time, so that news need not wait until all of them are looked at.
        """
        while True:
            await asyncio.sleep(self.settings.sync_interval)
            keys = list(all_keys(self.store.snapshot())) if self.store.is_complete else []
            for first in range(0, len(keys), RESYNC_HANDFUL):
                self.queue.add(keys[first : first + RESYNC_HANDFUL])
                await asyncio.sleep(RESYNC_PAUSE_SECONDS)

    def _plan_everything(self) -> None:
        if self.store.is_complete:
            self.queue.add(all_keys(self.store.snapshot()))


def make_manager(client: Client, namespace: str, settings: Settings) -> Manager:
    """A controller in a namespace of its main cluster, ready to run, and nothing started yet."""
    metrics = Metrics()
    loop_lag = LoopLag(metrics.loop_lag.observe)
    services: WorkQueue[NamespacedName] = WorkQueue(metrics.queue_wait.observe)
    links: WorkQueue[str] = WorkQueue()

    def act_on(change: StateChange) -> None:
        match change:
            case ServicesToPlan(keys):
                services.add(keys)
            case LinkStatusChanged(name):
                links.add([name])
                deletion_guards.slices_changed(name)
            case LinkChanged(name):
                deletion_guards.link_changed(name)
                remote = store.snapshot().remotes.get(name)
                deadline = None if remote is None else unreachable_policy.policy_deadline(remote)
                policies.set(name, deadline)
            case unexpected:
                assert_never(unexpected)

    store = Store(settings.options, act_on)
    deletion_guards, policies = DeletionGuards(store), Deadlines(store.wake)
    plan_results = PlanResults(store.mark_status_changed)
    write_pace = WritePace(settings.max_writes_per_second)
    elector = Elector(client, namespace, name=settings.lease_name)
    writing = client.fenced(elector.may_write) if settings.leader_elect else client
    applier = Applier(
        writing, lambda written: store.put(MAIN, written), store.mark_gone, write_pace
    )
    link_removal = None if settings.has_all_links else LinkRemoval(client)
    reconciler = Reconciler(
        store, services, applier, plan_results, deletion_guards.record, metrics, link_removal
    )
    events = Events(writing, metrics)
    resource = cluster_links(settings.link_selector)
    status_writer = StatusWriter(
        writing, store, plan_results, links, metrics, events.record, resource
    )

    def secret_changed(secret: str) -> None:
        supervisor.secret_changed(secret)

    secrets = SecretKubeconfigs(client=client, namespace=namespace, changed=secret_changed)
    cluster_claims = ClusterClaims()
    supervisor = Supervisor(
        store=store,
        secrets=secrets,
        cluster_claims=cluster_claims,
        target_changed=deletion_guards.link_edited,
        link_left=metrics.forget,
        trust=settings.trust,
    )
    manager = Manager(
        client=client,
        settings=settings,
        store=store,
        queue=services,
        applier=applier,
        reconciler=reconciler,
        status_writer=status_writer,
        deletion_guards=deletion_guards,
        policies=policies,
        events=events,
        elector=elector,
        metrics=metrics,
        loop_lag=loop_lag,
        cluster_claims=cluster_claims,
        supervisor=supervisor,
    )
    metrics.registry.register(
        StateCollector(
            store,
            services.__len__,
            lambda: manager.is_leading,
            lambda: loop_lag.longest,
            _task_count,
        )
    )
    return manager


def _task_count() -> int:
    return len(asyncio.all_tasks())
