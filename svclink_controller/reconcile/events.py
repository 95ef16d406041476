"""Kubernetes Events on ClusterLinks and TrafficPolicies: what `kubectl describe` shows.

Only transitions become Events; a repeated one increments the count of its Event. Nothing depends
on an Event, so one that cannot be written is dropped.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, TypeAlias, assert_never

import structlog
from attrs import define, evolve, field, frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.monitoring.metrics import Metrics
from svclink_core.codec import KINDS, Json
from svclink_core.link_reasons import LinkReason
from svclink_core.svclink_v1alpha1 import ClusterLink, Condition
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy
from svclink_core.traffic_status import PolicyReason

DEFAULT_NAMESPACE: Final = "default"
"""The namespace of Events about cluster-scoped objects (Kubernetes API validation)."""

REPEAT_SECONDS: Final = 10
"""Minimum time between two writes of one Event, for a link that keeps changing."""

MAX_WAITING: Final = 100
MAX_REMEMBERED_EVENTS: Final = 1000
MAX_MESSAGE: Final = 1000

log = structlog.get_logger()


Declared: TypeAlias = ClusterLink | TrafficPolicy
"""An object that users declare, and whose conditions svclink writes."""


@frozen
class _Event:
    """A transition of an object, and how often it happened."""

    about: Declared
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
        return self.about.metadata.namespace or DEFAULT_NAMESPACE

    def body(self) -> dict[str, Json]:
        """The Event as core/v1, which `kubectl describe` reads."""
        metadata = self.about.metadata
        api_version, kind = KINDS[type(self.about)]
        involved: dict[str, Json] = {
            "apiVersion": api_version,
            "kind": kind,
            "name": metadata.name,
            "uid": metadata.uid,
        }
        if metadata.namespace:
            involved["namespace"] = metadata.namespace
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "involvedObject": involved,
            "type": "Normal" if is_good(self.condition) else "Warning",
            "reason": self.condition.reason,
            "source": {"component": "svclink"},
            "reportingComponent": "svclink",
            "reportingInstance": socket.gethostname(),
            "firstTimestamp": self.first,
            **self.repetition(),
        }

    def repetition(self) -> dict[str, Json]:
        """The fields that change when the transition happens again."""
        return {
            "count": self.count,
            "lastTimestamp": self.last,
            "message": self.condition.message[:MAX_MESSAGE],
        }


@define
class _WrittenEvent:
    """An Event, when it was written by the event loop's clock, and repetitions since then."""

    event: _Event
    at: float
    uncounted: int = 0


@define
class Events:
    """Writes Events in the background.

    Args:
        client: The main cluster.
        metrics: Where written, failed and dropped Events are counted.
        repeat_seconds: Minimum time between two writes of one Event.
    """

    client: Client
    metrics: Metrics = field(factory=Metrics)
    repeat_seconds: float = REPEAT_SECONDS
    _waiting: asyncio.Queue[tuple[Declared, Condition]] = field(
        factory=lambda: asyncio.Queue(MAX_WAITING)
    )
    _written: OrderedDict[tuple[str, str, str], _WrittenEvent] = field(factory=OrderedDict)

    def record(self, about: Declared, conditions: Iterable[Condition]) -> None:
        """Queue an Event for each transition from an object's conditions to new ones.

        It never blocks.
        """
        for condition in transitions(about.status.conditions, conditions):
            try:
                self._waiting.put_nowait((about, condition))
            except asyncio.QueueFull:
                self.metrics.events.labels("dropped").inc()

    async def run(self) -> None:
        """Write queued Events until cancelled."""
        while True:
            about, condition = await self._waiting.get()
            name = _named(about)
            try:
                await self._write(about, condition)
            except (ApiError, TransportError) as error:
                reason = condition.reason
                log.info("event not written", **name, reason=reason, problem=str(error))
                self.metrics.events.labels("failed").inc()
            except Exception:
                log.exception("internal error", **name)

    async def _write(self, about: Declared, condition: Condition) -> None:
        key = about.metadata.uid, condition.type, condition.reason
        now, written = asyncio.get_running_loop().time(), self._written.get(key)
        if written is not None and now < written.at + self.repeat_seconds:
            written.uncounted += 1
            return
        if written is None or not await self._increment(written, condition):
            event = _new_event(about, condition)
            await self.client.post(event.path, event.body())
            written = self._written[key] = _WrittenEvent(event, now)
        written.at, written.uncounted = now, 0
        self._written.move_to_end(key)
        if len(self._written) > MAX_REMEMBERED_EVENTS:
            self._written.popitem(last=False)
        self.metrics.events.labels("applied").inc()

    async def _increment(self, written: _WrittenEvent, condition: Condition) -> bool:
        """Increment the count of an Event; False if it no longer exists."""
        count = written.event.count + written.uncounted + 1
        event = evolve(written.event, condition=condition, count=count, last=clock.now())
        try:
            await self.client.merge_patch(f"{event.path}/{event.name}", event.repetition())
        except ApiError as error:
            if error.status.code != 404:
                raise
            return False
        written.event = event
        return True


def transitions(old: Iterable[Condition], new: Iterable[Condition]) -> list[Condition]:
    """The new conditions that deserve an Event, compared with the old ones."""
    before = {condition.type: condition for condition in old}
    found: dict[str, Condition] = {}
    for condition in new:
        if _deserves_event(before.get(condition.type), condition):
            found.setdefault(condition.reason, condition)  # Two conditions may have one reason.
    return list(found.values())


def is_good(condition: Condition) -> bool:
    """Whether a condition is healthy, or has the state that the user asked for.

    A Service that failed over is served as its policy says, but something is wrong with it.
    """
    if condition.reason == PolicyReason.FAILED_OVER.code:
        return False
    return condition.reason == LinkReason.DISABLED.code or condition.is_healthy


_QUIET: Final = {
    each.code
    for each in (
        LinkReason.CONNECTING,
        LinkReason.INITIALIZING,
        LinkReason.STALE,
        LinkReason.DRAINING,
    )
}
"""Reasons that resolve themselves, or repeat what the Ready condition says."""


_ALWAYS: Final = {"Ready", "Drained"}
"""Types of conditions whose good state is news, too."""


def _deserves_event(old: Condition | None, new: Condition) -> bool:
    is_unchanged = old is not None and (old.status, old.reason) == (new.status, new.reason)
    if old is not None and new.type == "CredentialsExpiring":
        # New credentials that expire soon, too, deserve an Event of their own.
        is_unchanged = is_unchanged and old.message == new.message
    if new.reason in _QUIET or is_unchanged:
        return False
    if new.type in _ALWAYS or not is_good(new):
        return True
    return old is not None and not is_good(old) and old.reason not in _QUIET


def _new_event(about: Declared, condition: Condition) -> _Event:
    now, name = clock.now(), f"{about.metadata.name[:200]}.{uuid.uuid4().hex}"
    return _Event(about, condition, name, first=now, last=now)


def _named(about: Declared) -> dict[str, str]:
    """How log lines name an object."""
    match about:
        case ClusterLink():
            return {"link": about.metadata.name}
        case TrafficPolicy():
            return {"policy": str(about.metadata.key)}
        case unexpected:
            assert_never(unexpected)
