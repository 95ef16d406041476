"""Patches the status of an object if it differs: transitions at once, the rest at intervals."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog
from attrs import define, evolve, field, frozen

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError, retry_after
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.reconcile.held_back_writes import HeldBackWrites, Write
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.reconcile.write_results import explain, pauses_of
from svclink_controller.wire.messages import WireError
from svclink_core.codec import Json, unstructure_status
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.svclink_v1alpha1 import ClusterLinkStatus
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicyStatus
from svclink_core.write_retries import FIXED_BY_PLANNING

MAX_CONTESTED_SECONDS: Final = 300
"""Longest time between two writes of a status that another controller overwrites each time."""

STATUS_GATHER_SECONDS: Final = 0.05
"""Changes within this time are written together."""

log = structlog.get_logger()

Key = TypeVar("Key")
S = TypeVar("S", ClusterLinkStatus, TrafficPolicyStatus)


@frozen
class _Written(Generic[S]):
    """The last write of a status.

    An older CRD drops fields that it does not declare; their absence is no reason to write the
    status again.

    Args:
        uid: The object that it was written for.
        at: When it was sent.
        sent: What was sent.
        stored: What the API server stored.
        overwritten: How often in a row another controller had replaced it before it was sent again.
    """

    uid: str
    at: float = -math.inf
    sent: S | None = None
    stored: S | None = None
    overwritten: int = 0


@define
class StatusPatches(Generic[S]):
    """Patches the status of objects of one kind, and remembers what it sent.

    Args:
        client: The main cluster.
        kind: The kind of the objects.
        resource: Its plural name, as in a permission.
        path: Returns the path of an object.
        named: Returns how log lines name an object.
        is_transition: Whether two statuses differ so that the new one is written at once.
        interval_seconds: Minimum time between two writes of one status without a transition.
        metrics: Where writes are counted.
        retries: Decides when a write that failed may be sent again.
    """

    client: Client
    kind: str
    resource: str
    path: Callable[[NamespacedName], str]
    named: Callable[[NamespacedName], dict[str, str]]
    is_transition: Callable[[S, S], bool]
    interval_seconds: float
    metrics: Metrics = field(factory=Metrics)
    retries: HeldBackWrites = field(factory=HeldBackWrites)
    _written: dict[NamespacedName, _Written[S]] = field(factory=dict)

    def keys_of(self, name: str) -> list[NamespacedName]:
        """The objects of a name whose status was written."""
        return [key for key in self._written if key.name == name]

    def forget(self, key: NamespacedName) -> None:
        """Forget an object that no longer exists."""
        self._written.pop(key, None)

    def forget_all(self) -> None:
        """Forget what was written: another replica may write now."""
        self._written.clear()
        self.retries.forget_all()

    async def write(
        self,
        metadata: ObjectMeta,
        found: S,
        wanted_after: Callable[[S], S | None],
        written: Callable[[S, bytes], S],
    ) -> float:
        """Write the status of an object if it differs.

        Args:
            metadata: The object.
            found: The status that it has.
            wanted_after: Returns the status that the object should have after another one; None if
                it should keep that.
            written: Called with the new status and the response of the API server. Returns the
                status in that response. Raises `WireError` if it has none.

        Returns:
            The seconds to wait if it may not be written yet, else 0.
        """
        key, loop = metadata.key, asyncio.get_running_loop()
        last = self._written.get(key)
        if last is None or last.uid != metadata.uid:
            last = _Written[S](metadata.uid)
        is_overwritten = last.sent is not None and found != last.stored
        seen = found if last.sent is None or is_overwritten else last.sent
        wanted = wanted_after(seen)
        if wanted is None or wanted == seen:
            return 0
        write: Write = ("patch", self.kind, key)
        wait = max(self._rest(last, seen, wanted), self.retries.delay_of(write, wanted))
        if wait > 0:
            return wait
        overwritten = last.overwritten + 1 if is_overwritten else 0
        sending = evolve(last, at=loop.time(), overwritten=overwritten)
        self._written[key] = sending
        try:
            stored = written(wanted, await self._send(metadata, wanted))
        except (ApiError, TransportError, WireError) as error:
            return self._failed(write, wanted, error)
        self.metrics.status_writes.labels("applied").inc()
        self.retries.record_success(write)
        self._written[key] = evolve(sending, at=loop.time(), sent=wanted, stored=stored)
        return 0

    def _rest(self, last: _Written[S], seen: S, wanted: S) -> float:
        """Seconds that a status waits because of its last write.

        A transition does not wait. Where another controller replaced the status by its own, the
        state is the one that was written last: two that disagree write at growing intervals.
        """
        if self.is_transition(last.sent or seen, wanted):
            return 0
        growing = self.interval_seconds * 2.0 ** min(last.overwritten, 32)
        interval = min(growing, max(MAX_CONTESTED_SECONDS, self.interval_seconds))
        return last.at + interval - asyncio.get_running_loop().time()

    async def _send(self, metadata: ObjectMeta, status: S) -> bytes:
        """Write a status. Returns the response of the API server.

        It is refused if the object is not the one that the status was made for: it may have been
        deleted and created again. API servers ignore a uid in the patch of a custom resource.
        """
        body: dict[str, Json] = {"status": unstructure_status(status)}
        if metadata.resource_version:
            body["metadata"] = {"resourceVersion": metadata.resource_version}
        return await self.client.merge_patch(self.path(metadata.key) + "/status", body)

    def _failed(self, write: Write, status: S, error: Exception) -> float:
        """Note a failed write. Returns the seconds until the next attempt."""
        key, pauses, asked = write[2], pauses_of(error), retry_after(error)
        problem = explain(error, f"patch {self.resource}/status", key.namespace)
        is_superseded = pauses == FIXED_BY_PLANNING
        if not is_superseded:  # The object changed, or is gone, which its watch reports.
            log.warning("status not written", **self.named(key), problem=problem)
        self.metrics.status_writes.labels("superseded" if is_superseded else "failed").inc()
        return self.retries.record_failure(write, status, problem, pauses, asked)


async def write_forever(
    queue: WorkQueue[Key],
    write: Callable[[Key], Awaitable[float]],
    named: Callable[[Key], dict[str, str]],
) -> None:
    """Write the statuses of a queue until cancelled.

    Args:
        queue: Keys of the objects whose status may have changed.
        write: Writes a status if it differs. Returns the seconds after which to look again, 0 for
            never.
        named: Returns how log lines name an object.
    """
    while True:
        key = await queue.get()
        try:
            await asyncio.sleep(STATUS_GATHER_SECONDS)
            wait = await write(key)
        except Exception:
            log.exception("internal error", **named(key))
            queue.retry(key)
        else:
            queue.forget(key)
            if wait > 0:
                queue.postpone(key, wait)
        finally:
            queue.done(key)
