"""Writes the status of ClusterLinks: transitions at once, numbers every 5 seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from attrs import define, evolve, field

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.reconcile.held_back_writes import HeldBackWrites
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.status.patching import StatusPatches, write_forever
from svclink_controller.reconcile.traffic_results import TrafficResults
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.state.store import Store
from svclink_controller.wire.reading import decode_object
from svclink_controller.wire.resources import CLUSTER_LINKS, Resource
from svclink_core.controller_namespace import ControllerNamespace
from svclink_core.credential_expiry import credential_state, next_credential_change
from svclink_core.link_identity import duplicate_name
from svclink_core.snapshot import PENDING
from svclink_core.status import LinkFacts, summarize
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkStatus, Condition

STATUS_INTERVAL_SECONDS: Final = 5
"""Minimum time between two writes of one status that differ only in numbers or wording."""

MAX_EXPIRY_WAIT_SECONDS: Final = 3600
"""How often credentials that expire are looked at: the wall clock may be set in the meantime."""

STATUS_WRITERS: Final = 4
"""Links handled concurrently, so that a slow write does not delay the others."""


@define
class StatusWriter:
    """Keeps the status of every selected link up to date.

    Args:
        client: The main cluster.
        store: The current state.
        plan_results: Findings and failed writes.
        traffic_results: Which Services need a drained cluster.
        queue: Names of links whose status may have changed.
        home: Returns the namespace of the controller.
        metrics: Where writes are counted.
        status_written: Called with a link, as it was before, and the conditions that were written.
        resource: How links are decoded. Another controller writes the status of links that are
            not selected.
        interval_seconds: Minimum time between two writes of one status without a transition.
        retries: Decides when a write that failed may be sent again.
        now: The wall clock, in POSIX seconds, by which credentials expire.
    """

    client: Client
    store: Store
    plan_results: PlanResults
    traffic_results: TrafficResults
    queue: WorkQueue[str]
    home: Callable[[], ControllerNamespace]
    metrics: Metrics = field(factory=Metrics)
    status_written: Callable[[ClusterLink, Iterable[Condition]], None] = lambda _, __: None
    resource: Resource[ClusterLink] = CLUSTER_LINKS
    interval_seconds: float = STATUS_INTERVAL_SECONDS
    retries: HeldBackWrites = field(factory=HeldBackWrites)
    now: Callable[[], float] = clock.seconds
    _patches: StatusPatches[ClusterLinkStatus] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._patches = StatusPatches(
            client=self.client,
            kind="ClusterLink",
            resource=CLUSTER_LINKS.plural,
            path=lambda key: self.resource.path(key.namespace, key.name),
            named=lambda key: {"link": key.name},
            is_transition=is_transition,
            interval_seconds=self.interval_seconds,
            metrics=self.metrics,
            retries=self.retries,
        )

    async def run(self) -> None:
        """Write until cancelled."""
        await write_forever(self.queue, self._write, lambda name: {"link": name})

    def forget_all(self) -> None:
        """Forget what was written: another replica may write now."""
        self._patches.forget_all()

    async def _write(self, name: str) -> float:
        """Write the status of every link of a name, each in its own namespace.

        Returns the seconds until a status may be written, or changes by itself; 0 for never.
        """
        # Before the statuses: what changes while they are written is then looked at again.
        until_expiry = self._until_expiry(name)
        links = self.store.link_index.of(name)
        for key in self._patches.keys_of(name):
            if key not in self.store.link_index:
                self._patches.forget(key)
        waits = [await self._write_one(link) for link in links if link.is_selected]
        return min((seconds for seconds in (*waits, until_expiry) if seconds > 0), default=0)

    async def _write_one(self, link: ClusterLink) -> float:
        """Write the status of a link if it differs. Returns the seconds to wait if it may not."""
        return await self._patches.write(
            link.metadata,
            link.status,
            lambda status: self._status(evolve(link, status=status)),
            partial(self._record, link),
        )

    def _record(
        self, link: ClusterLink, status: ClusterLinkStatus, answer: bytes
    ) -> ClusterLinkStatus:
        """Note a written status. Returns what the API server stored."""
        if link.undecodable:
            stored = evolve(link, status=status)
        else:
            stored = decode_object(answer, self.resource)
        self.status_written(link, status.conditions)
        if link.metadata.key in self.store.link_index:
            self.store.put_link(stored)
        return stored.status

    def _until_expiry(self, name: str) -> float:
        """Seconds until credentials expire, or expire soon; 0 if none do."""
        expiries, now = self.store.observation(name).expiries or (), self.now()
        change = next_credential_change(expiries, now)
        return 0 if change is None else min(change - now, MAX_EXPIRY_WAIT_SECONDS)

    def _status(self, link: ClusterLink) -> ClusterLinkStatus | None:
        """The status that a link should have; None before the first attempt to connect.

        After a restart the status of the previous run stays until then: it is probably still true.
        """
        name = link.metadata.name
        used = self.store.links[name]
        if used.metadata.key != link.metadata.key:
            unused = LinkFacts(link, home=self.home(), problem=duplicate_name(used))
            return summarize(unused, clock.now())
        facts = self._facts(link)
        is_untried = link.spec.enabled and facts.connection == PENDING and facts.problem is None
        if is_untried and link.status.conditions:
            return None
        return summarize(facts, clock.now())

    def _facts(self, link: ClusterLink) -> LinkFacts:
        name = link.metadata.name
        observation = self.store.observation(name)
        expiries = observation.expiries
        mirrored = self.store.mirrored(name)
        return LinkFacts(
            link=link,
            home=self.home(),
            connection=self.store.connections.get(name, PENDING),
            problem=observation.problem,
            version=observation.version,
            cluster_id=observation.cluster_id,
            silent_since=observation.silent_since,
            excess=observation.excess,
            credentials=None if expiries is None else credential_state(expiries, self.now()),
            services=mirrored.services,
            endpoints=mirrored.endpoints,
            slices=mirrored.slices,
            in_use=mirrored.in_use,
            needed_by=self.traffic_results.needing(name) if link.spec.drained else (),
            guard=self.store.guard(name),
            findings=self.plan_results.findings_of(name),
            write_failures=self.plan_results.failures_of(name),
        )


def is_transition(old: ClusterLinkStatus, new: ClusterLinkStatus) -> bool:
    """Whether two statuses differ in more than numbers and wording.

    A status of a new generation counts, so that an edited link shows it without delay.
    """
    return _state(old) != _state(new)


def _state(status: ClusterLinkStatus) -> tuple[object, ...]:
    conditions = [each.state for each in status.conditions]
    return status.phase, status.observed_generation, conditions
