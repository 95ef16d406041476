"""Writes the status of ClusterLinks: only when it differs, and at most every five seconds but for transitions."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from attrs import define, field

from svclink_controller import clock
from svclink_controller.clients import ApiError, Client, TransportError
from svclink_controller.findings import Findings
from svclink_controller.store import Observation, Store
from svclink_controller.wire import CLUSTER_LINKS, WireError, decode_object
from svclink_controller.workqueue import WorkQueue
from svclink_core.codec import unstructure_status
from svclink_core.snapshot import PENDING
from svclink_core.status import LinkFacts, summarize
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkStatus

INTERVAL_SECONDS: Final = 5
GATHER_SECONDS: Final = 0.05
"""What happens together is written together."""

log = structlog.get_logger()


@define
class StatusWriter:
    """Keeps the status of every link equal to what is known of it.

    Args:
        client: The main cluster.
        store: What is known.
        findings: What could not be mirrored or written.
        queue: Names of links of which something may have changed.
    """

    client: Client
    store: Store
    findings: Findings
    queue: WorkQueue[str]
    _written_at: dict[str, float] = field(factory=dict)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            name = await self.queue.get()
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self._write(name)
            except (ApiError, TransportError, WireError) as error:
                log.warning("status not written", link=name, problem=str(error))
                self.queue.retry(name)
            except Exception:
                log.exception("internal error", link=name)
                self.queue.retry(name)
            else:
                self.queue.forget(name)
            finally:
                self.queue.done(name)

    async def _write(self, name: str) -> None:
        link = self.store.links.get(name)
        if link is None:
            self._written_at.pop(name, None)
            return
        status = self._status(link)
        if status is None or status == link.status:
            return
        loop = asyncio.get_running_loop()
        wait = self._written_at.get(name, -INTERVAL_SECONDS) + INTERVAL_SECONDS - loop.time()
        if wait > 0 and not is_transition(link.status, status):
            asyncio.get_running_loop().call_later(wait, self.queue.add, [name])
            return
        self._written_at[name] = loop.time()
        path = CLUSTER_LINKS.path(link.metadata.namespace, name) + "/status"
        answer = await self.client.merge_patch(path, {"status": unstructure_status(status)})
        written = decode_object(answer, CLUSTER_LINKS)
        if name in self.store.links:
            self.store.put_link(written)

    def _status(self, link: ClusterLink) -> ClusterLinkStatus | None:
        """The status a link should have, or None where it is too early to say: a restart is no transition."""
        name = link.metadata.name
        connection = self.store.connections.get(name, PENDING)
        observation = self.store.observations.get(name, Observation())
        if link.spec.enabled and connection == PENDING and observation.problem is None and link.status.conditions:
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
            findings=self.findings.of(name),
            write_failures=self.findings.failures_of(name),
        )
        return summarize(facts, clock.now())


def is_transition(old: ClusterLinkStatus, new: ClusterLinkStatus) -> bool:
    """Whether a status says something else, or answers an edit of the link, and does not just have other numbers."""
    states = [
        (
            status.phase,
            status.error,
            status.observed_generation,
            [(each.type, each.status, each.reason) for each in status.conditions],
        )
        for status in (old, new)
    ]
    return states[0] != states[1]
