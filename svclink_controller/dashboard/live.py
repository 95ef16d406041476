"""Follows all clusters as the controller does, and plans, but writes nothing."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from attrs import Factory, define, evolve, field

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.dashboard.board import Board
from svclink_controller.dashboard.event_sink import reflect_events
from svclink_controller.dashboard.facts import EquivalentCommands, Facts, no_commands
from svclink_controller.dashboard.observing import Observer
from svclink_controller.dispatch import Dispatcher
from svclink_controller.election.leader import DEFAULT_LEASE_NAME
from svclink_controller.election.running_controllers import find_until_answered
from svclink_controller.following import Following, Reports, make_following
from svclink_controller.reconcile.workqueue import Settling, WorkQueue
from svclink_controller.remotes.session import (
    HEARTBEAT,
    Heartbeat,
    require_answer,
)
from svclink_controller.state.store import Store
from svclink_core.budget import Budget
from svclink_core.controller_namespace import ControllerNamespace
from svclink_core.link_identity import Problem
from svclink_core.meta_v1 import NamespacedName
from svclink_core.planner import Planner
from svclink_core.service_overview import service_overview
from svclink_core.snapshot import Options

AGES_SECONDS: Final = 5
"""How often the ages of the last events are shown anew."""

MAIN_SECONDS: Final = 0.25
"""How often the main cluster is looked at. Each look takes a hundredth of the time of a plan."""

log = structlog.get_logger()


@define
class LiveFleet:
    """A main cluster and its linked ones, as they are.

    Args:
        client: The main cluster.
        namespace: The namespace of the controller; None: it is searched for.
        context_namespace: The namespace of the kubeconfig's context.
        store: The state.
        following: Reads the clusters.
        services: Queue of the Services to plan.
        links: Queue of the links that may have changed.
        observer: Looks at the state.
        board: What is shown.
        planner: Makes the plans.
        heartbeat: How often the main cluster has to answer.
        ages_seconds: How often ages are shown anew.
        main_seconds: How often the main cluster is looked at.
    """

    client: Client
    namespace: str | None
    context_namespace: str
    store: Store
    following: Following
    services: WorkQueue[NamespacedName]
    links: WorkQueue[str]
    observer: Observer
    board: Board
    planner: Planner
    heartbeat: Heartbeat = HEARTBEAT
    ages_seconds: float = AGES_SECONDS
    main_seconds: float = MAIN_SECONDS
    _first_services: Settling[NamespacedName] = field(
        init=False, default=Factory(lambda self: Settling(self.services), takes_self=True)
    )
    _first_links: Settling[str] = field(
        init=False, default=Factory(lambda self: Settling(self.links), takes_self=True)
    )

    async def run(self) -> None:
        """Follow the clusters until cancelled."""
        self.store.propagation.stop_mirroring()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._plan_services())
                group.create_task(self._show_links())
                group.create_task(self._watch_main())
                group.create_task(self._show_ages())
                group.create_task(reflect_events(self.client, self.board))
                group.create_task(self._ask_main())
                find_home = self._find_home if self.namespace is None else None
                await self.following.read(group, find_home)
                self.observer.note_located()
        finally:
            await self.following.close()

    async def _find_home(self) -> ControllerNamespace:
        context, failed = self.context_namespace, self.observer.note_homeless
        return await find_until_answered(self.client, DEFAULT_LEASE_NAME, context, failed)

    async def _ask_main(self) -> None:
        """Note whether the main cluster answers: its watches only look quiet while it hangs."""
        while True:
            await asyncio.sleep(self.heartbeat.interval)
            try:
                await require_answer(self.client, self.heartbeat.timeout)
            except (ApiError, TransportError) as error:
                self.observer.note_answer(error)
            else:
                self.observer.note_answer(None)

    def facts(self, commands: EquivalentCommands = no_commands) -> Facts:
        """What is known of all clusters."""
        return Facts(
            snapshot=self.store.snapshot,
            problems=self._problems,
            policy=self.store.main.traffic_policies.get,
            now=clock.elapsed,
            commands=commands,
        )

    def _problems(self) -> dict[str, Problem]:
        found = {name: each.problem for name, each in self.store.observations.items()}
        return {name: problem for name, problem in found.items() if problem is not None}

    async def _plan_services(self) -> None:
        while True:
            key = await self.services.get()
            try:
                self._plan(key)
            except Exception:
                log.exception("internal error", service=str(key))
            finally:
                self.services.done(key)
                self._first_services.done(key)

    def _plan(self, key: NamespacedName) -> None:
        snapshot = self.store.snapshot()
        plan = self.planner.plan_service(snapshot, key, clock.elapsed())
        self.following.deletion_holds.record(key, plan.decisions)
        self.board.put_service(key, service_overview(snapshot, key, plan))
        self.services.forget(key)
        if plan.again_at is not None:
            self.services.postpone(key, max(plan.again_at - clock.elapsed(), 0))

    async def _watch_main(self) -> None:
        while True:
            self._show_main()
            await asyncio.sleep(self.main_seconds)

    def _show_main(self) -> None:
        """Show how the main cluster is read. Once everything was shown, changes are news."""
        main, firsts = self.observer.main(), (self._first_services, self._first_links)
        if main.is_complete:
            for each in firsts:
                each.begin()
        is_shown = all(each.is_settled for each in firsts)
        self.board.put_main(evolve(main, is_complete=main.is_complete and is_shown))
        self.board.tells_news = self.board.main.is_complete

    async def _show_links(self) -> None:
        while True:
            name = await self.links.get()
            self.board.put_link(name, self.observer.link(name))
            self.links.done(name)
            self._first_links.done(name)

    async def _show_ages(self) -> None:
        """Show again what changes without an event."""
        while True:
            for name in self.store.links:
                self.board.put_link(name, self.observer.link(name))
            await asyncio.sleep(self.ages_seconds)


def make_live_fleet(
    client: Client,
    options: Options,
    *,
    namespace: str | None,
    context_namespace: str,
    trust: Trust = STRICT,
    budget: Budget | None = None,
) -> LiveFleet:
    """All parts, connected. Nothing is started yet.

    Args:
        client: The main cluster.
        options: The settings of the controller that plans depend on.
        namespace: The namespace of the controller; None: it is searched for.
        context_namespace: The namespace of the kubeconfig's context.
        trust: What remote clusters are allowed.
        budget: What each of them may cost; None: as much as by default.
    """
    dispatcher, limits = Dispatcher(), budget or Budget()
    store = Store(options=options, listener=dispatcher.emit)
    observer = Observer(store, limits.memory)
    services: WorkQueue[NamespacedName] = WorkQueue()
    links: WorkQueue[str] = WorkQueue()
    following = make_following(
        client,
        store,
        dispatcher,
        namespace=namespace or context_namespace,
        services=services,
        links=links,
        trust=trust,
        budget=limits,
        reports=Reports(
            unidentified=observer.note_unidentified,
            kind_failed=observer.note_failure,
            secret_heard=observer.note_secret,
        ),
    )
    return LiveFleet(
        client=client,
        namespace=namespace,
        context_namespace=context_namespace,
        store=store,
        following=following,
        services=services,
        links=links,
        observer=observer,
        board=Board(),
        planner=Planner(),
    )
