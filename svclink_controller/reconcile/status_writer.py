"""Writes the status of ClusterLinks: only when it differs, and at most every five seconds but for transitions."""

from __future__ import annotations

import asyncio
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
STATUS_WRITERS: Final = 4
"""Links worked on at once, so that many of them do not wait for each other."""

STATUS_GATHER_SECONDS: Final = 0.05
"""What happens together is written together."""

log = structlog.get_logger()


@frozen
class _Written:
    """When a status was last written, what it said, and what of that was kept.

    The CRD of the Go release drops the fields it does not know: what is missing then is no reason to write again.
    """

    at: float
    asked: ClusterLinkStatus | None = None
    kept: ClusterLinkStatus | None = None


_NEVER: Final = _Written(-STATUS_INTERVAL_SECONDS)


@define
class StatusWriter:
    """Keeps the status of every link equal to what is known of it.

    Args:
        client: The main cluster.
        store: What is known.
        plan_results: What could not be mirrored or written.
        queue: Names of links of which something may have changed.
        status_written: Called with a link, as it was before, and the status that was written.
        resource: How links are decoded. The status of one that is not selected is another controller's.
    """

    client: Client
    store: Store
    plan_results: PlanResults
    queue: WorkQueue[str]
    metrics: Metrics = field(factory=Metrics)
    status_written: Callable[[ClusterLink, ClusterLinkStatus], None] = lambda _, __: None
    resource: Resource[ClusterLink] = CLUSTER_LINKS
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

    async def _write(self, name: str) -> None:
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
        if last.asked is not None and link.status == last.kept:
            link = evolve(link, status=last.asked)
        status = self._status(link)
        if status is None or status == link.status:
            return
        wait = last.at + STATUS_INTERVAL_SECONDS - loop.time()
        if wait > 0 and not is_transition(link.status, status):
            self._postpone(key.name, wait)
            return
        self._written[key] = evolve(last, at=loop.time())
        path = self.resource.path(key.namespace, key.name) + "/status"
        answer = await self.client.merge_patch(path, {"status": unstructure_status(status)})
        self.metrics.status_writes.labels("applied").inc()
        self.status_written(link, status)
        written = decode_object(answer, self.resource)
        self._written[key] = _Written(loop.time(), status, written.status)
        if key in self.store.link_index:
            self.store.put_link(written)

    def _postpone(self, name: str, seconds: float) -> None:
        """Look at a link again later, once, however often it changes until then."""
        if name not in self._postponed:
            self._postponed.add(name)
            asyncio.get_running_loop().call_later(seconds, self._resume, name)

    def _resume(self, name: str) -> None:
        self._postponed.discard(name)
        self.queue.add([name])

    def _status(self, link: ClusterLink) -> ClusterLinkStatus | None:
        """The status a link should have, or None where it is too early to say: a restart is no transition."""
        name = link.metadata.name
        counts = self.store.links[name]
        if counts.metadata.key != link.metadata.key:
            return summarize(LinkFacts(link, problem=duplicate_name(counts)), clock.now())
        connection = self.store.connections.get(name, PENDING)
        observation = self.store.observations.get(name, Observation())
        if (
            link.spec.enabled
            and connection == PENDING
            and observation.problem is None
            and link.status.conditions
        ):
            return None
        mirrored = self.store.mirrored(name)
        facts = LinkFacts(
            link=link,
            connection=connection,
            problem=observation.problem,
            version=observation.version,
            cluster_id=observation.cluster_id,
            last_connected=observation.last_connected,
            services=mirrored.services,
            endpoints=mirrored.endpoints,
            slices=mirrored.slices,
            guard=self.store.guard(name),
            findings=self.plan_results.findings_of(name),
            write_failures=self.plan_results.failures_of(name),
        )
        return summarize(facts, clock.now())


def is_transition(old: ClusterLinkStatus, new: ClusterLinkStatus) -> bool:
    """Whether a status says something else, or answers an edit of the link, and does not just have other numbers."""
    states = [
        (
            status.phase,
            status.observed_generation,
            [(each.type, each.status, each.reason) for each in status.conditions],
        )
        for status in (old, new)
    ]
    return states[0] != states[1]
