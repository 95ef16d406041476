"""Kubernetes Events on ClusterLinks: what `kubectl describe clusterlink` tells of the past.

Only transitions are told, one that repeats by counting up its Event. Nothing depends on an Event: those that cannot be
written are dropped.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections import OrderedDict
from typing import Final

import structlog
from attrs import define, evolve, field, frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.wire.resources import CLUSTER_LINKS
from svclink_core.codec import Json
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkStatus, Condition
from svclink_core.well_known import LinkReason

DEFAULT_NAMESPACE: Final = "default"
"""Where Events about cluster-scoped objects are (Kubernetes API validation)."""

REPEAT_SECONDS: Final = 10
"""An Event is counted up at most this often: a link that comes and goes is no storm."""

MAX_WAITING: Final = 100
MAX_REMEMBERED: Final = 1000
MAX_MESSAGE: Final = 1000

log = structlog.get_logger()


@frozen
class _Event:
    """Something that happened to a link, and how often."""

    link: ClusterLink
    condition: Condition
    name: str
    first: str
    last: str
    count: int = 1

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/events"

    @property
    def namespace(self) -> str:
        return self.link.metadata.namespace or DEFAULT_NAMESPACE

    def body(self) -> dict[str, Json]:
        """As core/v1 wants it, which `kubectl describe` reads."""
        metadata = self.link.metadata
        involved: dict[str, Json] = {
            "apiVersion": CLUSTER_LINKS.prefix.removeprefix("/apis/"),
            "kind": "ClusterLink",
            "name": metadata.name,
            "uid": metadata.uid,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "involvedObject": involved
            | ({"namespace": metadata.namespace} if metadata.namespace else {}),
            "type": "Normal" if is_good(self.condition) else "Warning",
            "reason": self.condition.reason,
            "source": {"component": "svclink"},
            "reportingComponent": "svclink",
            "reportingInstance": socket.gethostname(),
            "firstTimestamp": self.first,
            **self.repetition(),
        }

    def repetition(self) -> dict[str, Json]:
        """What is new when it happens once more."""
        return {
            "count": self.count,
            "lastTimestamp": self.last,
            "message": self.condition.message[:MAX_MESSAGE],
        }


@define
class _Told:
    """An Event that was written, when by the event loop's clock, and how often it happened since."""

    event: _Event
    at: float
    unsaid: int = 0


@define
class Events:
    """Writes Events beside everything else.

    Args:
        client: The main cluster.
    """

    client: Client
    metrics: Metrics = field(factory=Metrics)
    _waiting: asyncio.Queue[tuple[ClusterLink, Condition]] = field(
        factory=lambda: asyncio.Queue(MAX_WAITING)
    )
    _told: OrderedDict[tuple[str, str, str], _Told] = field(factory=OrderedDict)

    def record(self, link: ClusterLink, status: ClusterLinkStatus) -> None:
        """A link, as it was before, has a new status. Returns at once."""
        for condition in transitions(link.status, status):
            try:
                self._waiting.put_nowait((link, condition))
            except asyncio.QueueFull:
                self.metrics.events.labels("dropped").inc()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            link, condition = await self._waiting.get()
            try:
                await self._write(link, condition)
            except (ApiError, TransportError) as error:
                log.info(
                    "event not written",
                    link=link.metadata.name,
                    reason=condition.reason,
                    problem=str(error),
                )
                self.metrics.events.labels("failed").inc()
            except Exception:
                log.exception("internal error", link=link.metadata.name)

    async def _write(self, link: ClusterLink, condition: Condition) -> None:
        key = link.metadata.uid, condition.type, condition.reason
        now, told = asyncio.get_running_loop().time(), self._told.get(key)
        if told is not None and now < told.at + REPEAT_SECONDS:
            told.unsaid += 1
            return
        if told is None or not await self._count_up(told, condition):
            event = self._new(link, condition)
            await self.client.post(event.path, event.body())
            told = self._told[key] = _Told(event, now)
        told.at, told.unsaid = now, 0
        self._told.move_to_end(key)
        if len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)
        self.metrics.events.labels("applied").inc()

    async def _count_up(self, told: _Told, condition: Condition) -> bool:
        """Whether the Event of the last time is still there, to say that it happened again."""
        count = told.event.count + told.unsaid + 1
        again = evolve(told.event, condition=condition, count=count, last=clock.now())
        try:
            await self.client.merge_patch(f"{again.path}/{again.name}", again.repetition())
        except ApiError as error:
            if error.status.code != 404:
                raise
            return False
        told.event = again
        return True

    def _new(self, link: ClusterLink, condition: Condition) -> _Event:
        now = clock.now()
        return _Event(link, condition, f"{link.metadata.name[:200]}.{uuid.uuid4().hex}", now, now)


def transitions(old: ClusterLinkStatus, new: ClusterLinkStatus) -> list[Condition]:
    """The conditions of a new status that are worth an Event, given the status before."""
    before = {condition.type: condition for condition in old.conditions}
    return [
        condition
        for condition in new.conditions
        if _is_worth_it(before.get(condition.type), condition)
    ]


_QUIET: Final = {LinkReason.CONNECTING.code, LinkReason.INITIALIZING.code, LinkReason.STALE.code}
"""Reasons that only lead from one state to another, or say what the Ready condition says."""


def _is_worth_it(old: Condition | None, new: Condition) -> bool:
    if new.reason in _QUIET or (
        old is not None and (old.status, old.reason) == (new.status, new.reason)
    ):
        return False
    if new.type == "Ready" or not is_good(new):
        return True
    return old is not None and not is_good(old) and old.reason not in _QUIET


def is_good(condition: Condition) -> bool:
    """Whether a condition is as it should be, or as somebody wanted it."""
    if condition.reason == LinkReason.DISABLED.code:
        return True
    return condition.status == ("False" if condition.type == "Degraded" else "True")
