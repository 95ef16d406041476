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
from svclink_controller.api.errors import ApiError, TransportError, retry_after
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.reconcile.failed_writes import FailedWrites, Write
from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.reconcile.write_results import explain, pauses_of
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.reading import decode_object
from svclink_controller.wire.resources import CLUSTER_LINKS, Resource
from svclink_core.codec import Json, unstructure_status
from svclink_core.controller_namespace import ControllerNamespace
from svclink_core.credential_expiry import credential_state, next_credential_change
from svclink_core.link_identity import duplicate_name
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import PENDING
from svclink_core.status import LinkFacts, summarize
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkStatus
from svclink_core.write_retries import FIXED_BY_PLANNING

STATUS_INTERVAL_SECONDS: Final = 5
"""Minimum time between two writes of one status that differ only in numbers or wording."""

MAX_CONTESTED_SECONDS: Final = 300
"""Longest time between two writes of a status that another controller overwrites each time."""

MAX_EXPIRY_WAIT_SECONDS: Final = 3600
"""How often credentials that expire are looked at: the wall clock may be set in the meantime."""

STATUS_WRITERS: Final = 4
"""Links handled concurrently, so that a slow write does not delay the others."""

STATUS_GATHER_SECONDS: Final = 0.05
"""Changes within this time are written together."""

log = structlog.get_logger()


@frozen
class _Written:
    """The last write of a status.

    The CRD of the Go release drops fields that it does not declare; their absence is no reason to
    write the status again.

    Args:
        uid: The link that it was written for.
        at: When it was sent.
        sent: What was sent.
        stored: What the API server stored.
        overwritten: How often in a row another controller had replaced it before it was sent again.
    """

    uid: str = ""
    at: float = -math.inf
    sent: ClusterLinkStatus | None = None
    stored: ClusterLinkStatus | None = None
    overwritten: int = 0


@define
class StatusWriter:
    """Keeps the status of every selected link up to date.

    Args:
        client: The main cluster.
        store: The current state.
        plan_results: Findings and failed writes.
        queue: Names of links whose status may have changed.
        home: Returns the namespace of the controller.
        metrics: Where writes are counted.
        status_written: Called with a link, as it was before, and the status that was written.
        resource: How links are decoded. Another controller writes the status of links that are
            not selected.
        interval_seconds: Minimum time between two writes of one status without a transition.
        retries: Decides when a write that failed may be sent again.
        now: The wall clock, in POSIX seconds, by which credentials expire.
    """

    client: Client
    store: Store
    plan_results: PlanResults
    queue: WorkQueue[str]
    home: Callable[[], ControllerNamespace]
    metrics: Metrics = field(factory=Metrics)
    status_written: Callable[[ClusterLink, ClusterLinkStatus], None] = lambda _, __: None
    resource: Resource[ClusterLink] = CLUSTER_LINKS
    interval_seconds: float = STATUS_INTERVAL_SECONDS
    retries: FailedWrites = field(factory=FailedWrites)
    now: Callable[[], float] = clock.seconds
    _written: dict[NamespacedName, _Written] = field(factory=dict)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            name = await self.queue.get()
            try:
                await asyncio.sleep(STATUS_GATHER_SECONDS)
                waits = await self._write(name)
            except Exception:
                log.exception("internal error", link=name)
                self.queue.retry(name)
            else:
                self.queue.forget(name)
                if waits:
                    self.queue.postpone(name, min(waits))
            finally:
                self.queue.done(name)

    def forget_all(self) -> None:
        """Forget what was written: another replica may write now."""
        self._written.clear()
        self.retries.forget_all()

    async def _write(self, name: str) -> list[float]:
        """Write the status of every link of a name, each in its own namespace.

        Returns the seconds until a status may be written, or changes by itself.
        """
        links = self.store.link_index.of(name)
        for key in [key for key in self._written if key.name == name]:
            if key not in {link.metadata.key for link in links}:
                del self._written[key]
        waits = [await self._write_one(link) for link in links if link.is_selected]
        waits.append(self._until_expiry(name))
        return [seconds for seconds in waits if seconds > 0]

    async def _write_one(self, link: ClusterLink) -> float:
        """Write the status of a link if it differs. Returns the seconds to wait if it may not."""
        key, loop = link.metadata.key, asyncio.get_running_loop()
        last = self._written.get(key, _Written())
        if last.uid != link.metadata.uid:
            last = _Written(link.metadata.uid)
        is_overwritten = last.sent is not None and link.status != last.stored
        seen = link if last.sent is None or is_overwritten else evolve(link, status=last.sent)
        status = self._status(seen)
        if status is None or status == seen.status:
            return 0
        write = ("patch", "ClusterLink", key)
        wait = max(self._rest(last, seen, status), self.retries.delay_of(write, status))
        if wait > 0:
            return wait
        overwritten = last.overwritten + 1 if is_overwritten else 0
        sending = evolve(last, at=loop.time(), overwritten=overwritten)
        self._written[key] = sending
        try:
            stored = await self._send(link, status)
        except (ApiError, TransportError, WireError) as error:
            return self._failed(write, status, error)
        self.retries.record_success(write)
        self._written[key] = evolve(sending, at=loop.time(), sent=status, stored=stored)
        return 0

    def _until_expiry(self, name: str) -> float:
        """Seconds until credentials expire, or expire soon; 0 if none do."""
        expiries, now = self.store.observation(name).expiries or (), self.now()
        change = next_credential_change(expiries, now)
        return 0 if change is None else min(change - now, MAX_EXPIRY_WAIT_SECONDS)

    def _rest(self, last: _Written, seen: ClusterLink, status: ClusterLinkStatus) -> float:
        """Seconds that a status waits because of its last write.

        A transition does not wait. Where another controller replaced the status by its own, the
        state is the one that was written last: two that disagree write at growing intervals.
        """
        if is_transition(last.sent or seen.status, status):
            return 0
        growing = self.interval_seconds * 2.0 ** min(last.overwritten, 32)
        interval = min(growing, max(MAX_CONTESTED_SECONDS, self.interval_seconds))
        return last.at + interval - asyncio.get_running_loop().time()

    async def _send(self, link: ClusterLink, status: ClusterLinkStatus) -> ClusterLinkStatus:
        """Write a status. Returns what the API server stored.

        It is refused if the link is not the one that the status was made for: it may have been
        deleted and created again. API servers ignore a uid in the patch of a custom resource.
        """
        key = link.metadata.key
        path = self.resource.path(key.namespace, key.name) + "/status"
        body: dict[str, Json] = {"status": unstructure_status(status)}
        if link.metadata.resource_version:
            body["metadata"] = {"resourceVersion": link.metadata.resource_version}
        answer = await self.client.merge_patch(path, body)
        stored = decode_object(answer, self.resource)
        self.metrics.status_writes.labels("applied").inc()
        self.status_written(link, status)
        if key in self.store.link_index:
            self.store.put_link(stored)
        return stored.status

    def _failed(self, write: Write, status: ClusterLinkStatus, error: Exception) -> float:
        """Note a failed write. Returns the seconds until the next attempt."""
        key, pauses, asked = write[2], pauses_of(error), retry_after(error)
        problem = explain(error, f"patch on {CLUSTER_LINKS.plural}/status", key.namespace)
        is_superseded = pauses == FIXED_BY_PLANNING
        if not is_superseded:  # The link changed, or is gone, which its watch reports.
            log.warning("status not written", link=key.name, problem=problem)
        self.metrics.status_writes.labels("superseded" if is_superseded else "failed").inc()
        return self.retries.record_failure(write, status, problem, pauses, asked)

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
