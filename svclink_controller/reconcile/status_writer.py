"""Writes the status of ClusterLinks if it differs: transitions at once, numbers every 5 seconds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

import structlog
from attrs import define, evolve, field, frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.reading import decode_object
from svclink_controller.wire.resources import CLUSTER_LINKS, Resource
from svclink_core.codec import unstructure_status
from svclink_core.link_identity import duplicate_name
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import PENDING
from svclink_core.status import LinkFacts, summarize
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkStatus

STATUS_INTERVAL_SECONDS: Final = 5
"""Minimum time between two writes of one status that differ only in numbers or wording."""

STATUS_WRITERS: Final = 4
"""Links handled concurrently, so that a slow write does not delay the others."""

STATUS_GATHER_SECONDS: Final = 0.05
"""Changes within this time are written together."""

log = structlog.get_logger()


@frozen
class _Written:
    """The last write of a status: its time, what was sent, and what the API server stored.

    The CRD of the Go release drops fields that it does not declare; their absence is no reason to
    write the status again.
    """

    at: float
    sent: ClusterLinkStatus | None = None
    stored: ClusterLinkStatus | None = None


_NEVER: Final = _Written(at=-math.inf)


@define
class StatusWriter:
    """Keeps the status of every selected link up to date.

    Args:
        client: The main cluster.
        store: The current state.
        plan_results: Findings and failed writes.
        queue: Names of links whose status may have changed.
        metrics: Where writes are counted.
        status_written: Called with a link, as it was before, and the status that was written.
        resource: How links are decoded. Another controller writes the status of links that are
            not selected.
        interval_seconds: Minimum time between two writes of one status without a transition.
    """

    client: Client
    store: Store
    plan_results: PlanResults
    queue: WorkQueue[str]
    metrics: Metrics = field(factory=Metrics)
    status_written: Callable[[ClusterLink, ClusterLinkStatus], None] = lambda _, __: None
    resource: Resource[ClusterLink] = CLUSTER_LINKS
    interval_seconds: float = STATUS_INTERVAL_SECONDS
    _postponed: set[str] = field(factory=set)
    _written: dict[NamespacedName, _Written] = field(factory=dict)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            name = await self.queue.get()
            try:
                await asyncio.sleep(STATUS_GATHER_SECONDS)
                await self._write(name)
            except (ApiError, TransportError, WireError) as error:
                log.warning("status not written", link=name, problem=str(error))
                self.metrics.status_writes.labels("failed").inc()
                self.queue.retry(name)
            except Exception:
                log.exception("internal error", link=name)
                self.queue.retry(name)
            else:
                self.queue.forget(name)
            finally:
                self.queue.done(name)

    def forget_all(self) -> None:
        """Forget what was written: another replica may write now."""
        self._written.clear()

    async def _write(self, name: str) -> None:
        """Write the status of every link of a name, each in its own namespace."""
        links = self.store.link_index.of(name)
        for key in [key for key in self._written if key.name == name]:
            if key not in {link.metadata.key for link in links}:
                del self._written[key]
        for link in links:
            if link.is_selected:
                await self._write_one(link)

    async def _write_one(self, link: ClusterLink) -> None:
        key, loop = link.metadata.key, asyncio.get_running_loop()
        last = self._written.get(key, _NEVER)
        if last.sent is not None and link.status == last.stored:
            link = evolve(link, status=last.sent)
        status = self._status(link)
        if status is None or status == link.status:
            return
        wait = last.at + self.interval_seconds - loop.time()
        if wait > 0 and not is_transition(link.status, status):
            self._postpone(key.name, wait)
            return
        self._written[key] = evolve(last, at=loop.time())
        path = self.resource.path(key.namespace, key.name) + "/status"
        answer = await self.client.merge_patch(path, {"status": unstructure_status(status)})
        self.metrics.status_writes.labels("applied").inc()
        self.status_written(link, status)
        stored = decode_object(answer, self.resource)
        self._written[key] = _Written(loop.time(), status, stored.status)
        if key in self.store.link_index:
            self.store.put_link(stored)

    def _postpone(self, name: str, seconds: float) -> None:
        """Queue a link once after a delay, however often it changes meanwhile."""
        if name not in self._postponed:
            self._postponed.add(name)
            asyncio.get_running_loop().call_later(seconds, self._resume, name)

    def _resume(self, name: str) -> None:
        self._postponed.discard(name)
        self.queue.add([name])

    def _status(self, link: ClusterLink) -> ClusterLinkStatus | None:
        """The status that a link should have; None before the first attempt to connect.

        After a restart the status of the previous run stays until then: it is probably still true.
        """
        name = link.metadata.name
        used = self.store.links[name]
        if used.metadata.key != link.metadata.key:
            return summarize(LinkFacts(link, problem=duplicate_name(used)), clock.now())
        facts = self._facts(link)
        is_untried = link.spec.enabled and facts.connection == PENDING and facts.problem is None
        if is_untried and link.status.conditions:
            return None
        return summarize(facts, clock.now())

    def _facts(self, link: ClusterLink) -> LinkFacts:
        name = link.metadata.name
        observation = self.store.observations.get(name, Observation())
        mirrored = self.store.mirrored(name)
        return LinkFacts(
            link=link,
            connection=self.store.connections.get(name, PENDING),
            problem=observation.problem,
            version=observation.version,
            cluster_id=observation.cluster_id,
            last_connected=observation.last_connected,
            silent_since=observation.silent_since,
            services=mirrored.services,
            endpoints=mirrored.endpoints,
            slices=mirrored.slices,
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
    conditions = [(each.type, each.status, each.reason) for each in status.conditions]
    return status.phase, status.observed_generation, conditions
