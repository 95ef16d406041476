"""Performs the changes of a plan on the main cluster; each result is a value, not an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol, assert_never

from attrs import define, evolve, field

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.reconcile.held_back_writes import HeldBackWrites, Write
from svclink_controller.reconcile.write_pacing import WritePace
from svclink_controller.reconcile.write_results import (
    WriteResult,
    WriteStatus,
    log_result,
    pauses_of,
    result_of,
)
from svclink_controller.wire.encoding import encode_slice
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.reading import decode_object, decode_written
from svclink_controller.wire.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from svclink_core.codec import unstructure
from svclink_core.core_v1 import Service
from svclink_core.diffing import Create, Delete, Update, is_last
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.plans import Change
from svclink_core.refusal_messages import is_distribution_refused
from svclink_core.service_creation import (
    CreateNamespace,
    CreateService,
    Creation,
    with_older_distribution,
)
from svclink_core.well_known import Reason

MAX_IN_FLIGHT: Final = 16
"""Concurrent writes: enough to keep an API server busy, few enough to leave it room for others.

Each takes a connection, whose buffers are 256 KiB.
"""

MAX_IN_FLIGHT_OF_PLAN: Final = MAX_IN_FLIGHT // 2
"""Concurrent writes of one plan, which may have thousands: others need not wait for all of them."""

UNREACHABLE_POLICIES: Final = (Reason.UNREACHABLE_NOT_READY, Reason.UNREACHABLE_REMOVED)
"""Reasons of the changes that an unreachable policy makes."""


class Written(Protocol):
    """Takes every EndpointSlice and Service that the API server returns."""

    def __call__(self, item: EndpointSlice | Service, /, *, is_as_planned: bool = False) -> None:
        """Take an object.

        Args:
            item: The object.
            is_as_planned: Whether it is what the plan asked for, in all that plans compare.
        """


@define
class Applier:
    """Writes to the main cluster.

    Args:
        client: The main cluster.
        written: Called with every object that the API server returns.
        gone: Called with name and uid of a slice to be changed that no longer exists.
        write_pace: Decides when a write may be sent.
        retries: Decides when a write that failed may be sent again.
    """

    client: Client
    written: Written
    gone: Callable[[NamespacedName, str], None]
    write_pace: WritePace = field(factory=WritePace)
    retries: HeldBackWrites = field(factory=HeldBackWrites)
    _slots: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(MAX_IN_FLIGHT))
    _is_draining: bool = False

    async def apply(self, changes: Sequence[Change]) -> list[WriteResult]:
        """Perform the changes of one Service's plan, those that remove endpoints last.

        After a write for a cluster failed, no slice of that cluster is deleted: it may hold the
        only endpoints. Changes of an unreachable policy wait for the writes of every cluster,
        because the endpoints of the others replace those of the lost one.
        """
        creations = [each for each in changes if isinstance(each, CreateNamespace | CreateService)]
        slices = [each for each in changes if not isinstance(each, CreateNamespace | CreateService)]
        results = await self._create(creations)
        results += await self._perform_all([each for each in slices if not is_last(each)])
        unfinished = {
            result.change.cluster for result in results if result.status is not WriteStatus.APPLIED
        }
        last = [change for change in slices if is_last(change)]
        ready = [change for change in last if not _must_wait(change, unfinished)]
        postponed = [
            WriteResult(change, WriteStatus.POSTPONED) for change in last if change not in ready
        ]
        return [*results, *await self._perform_all(ready), *postponed]

    async def drain(self) -> None:
        """Wait for the writes in flight, and send no more, not even those that wait for a slot."""
        self._is_draining = True
        for _ in range(MAX_IN_FLIGHT):
            await self._slots.acquire()

    async def _create(self, creations: Sequence[Creation]) -> list[WriteResult]:
        """Create a Namespace, then the Service in it."""
        results: list[WriteResult] = []
        for change in creations:
            if all(result.status is WriteStatus.APPLIED for result in results):
                results.append(await self._perform(change))
            else:
                results.append(WriteResult(change, WriteStatus.POSTPONED))
        return results

    async def _perform_all(self, changes: Sequence[Change]) -> list[WriteResult]:
        """Perform changes concurrently; most plans have one change, which needs no task."""
        if len(changes) <= 1:
            return [await self._perform(change) for change in changes]
        slots = asyncio.Semaphore(MAX_IN_FLIGHT_OF_PLAN)

        async def perform(change: Change) -> WriteResult:
            async with slots:
                return await self._perform(change)

        return await asyncio.gather(*map(perform, changes))

    async def _perform(self, change: Change) -> WriteResult:
        """Send a change if it may be sent now; a postponed change is not kept but planned again."""
        if (delay := self._delay_of(change)) == 0:
            await self.write_pace.take_turn()
            async with self._slots:
                if self._is_draining:
                    return WriteResult(change, WriteStatus.POSTPONED)
                if (delay := self._delay_of(change)) == 0:
                    with self.write_pace.writing(change.key):
                        result = await self._send(change)
                    log_result(result)
                    return self._remember(result)
        message = self.retries.message_of(_write_of(change))
        return WriteResult(change, WriteStatus.POSTPONED, message, delay)

    def _delay_of(self, change: Change) -> float:
        """Seconds until a change may be sent."""
        rest = self.write_pace.delay_of(change.key)
        return max(rest, self.retries.delay_of(_write_of(change), change))

    async def _send(self, change: Change) -> WriteResult:
        try:
            await self._write(change)
        except ApiError as error:
            if isinstance(change, Update | Delete) and _is_not_found(error):
                self.gone(change.key, change.precondition.uid)
            if error.status.code == 429:
                self.write_pace.pause(error.status.retry_after or 1)
            return result_of(change, error)
        except (TransportError, WireError) as error:
            return WriteResult(change, WriteStatus.FAILED, str(error), pauses=pauses_of(error))
        return WriteResult(change, WriteStatus.APPLIED)

    def _remember(self, result: WriteResult) -> WriteResult:
        """Note a success or a failure. Returns the result with the pause after a failure."""
        write = _write_of(result.change)
        if result.status is WriteStatus.APPLIED:
            self.retries.record_success(write)
            return result
        pause = self.retries.record_failure(
            write,
            result.change,
            result.message if result.is_failure else "",
            result.pauses,
            result.retry_after or 0,
        )
        return evolve(result, retry_after=pause)

    async def _write(self, change: Change) -> None:
        namespace, name = change.key.namespace, change.key.name
        match change:
            case CreateNamespace(made, _, _):
                await self.client.post(NAMESPACES.path(), unstructure(made))
            case CreateService(service, _, _):
                await self._create_service(service)
            case Create(endpoint_slice, _):
                path, body = ENDPOINT_SLICES.path(namespace), encode_slice(endpoint_slice)
                self._take(await self.client.post(path, body), endpoint_slice, body)
            case Update(endpoint_slice, precondition, _):
                path = ENDPOINT_SLICES.path(namespace, name)
                body = encode_slice(endpoint_slice, precondition)
                self._take(await self.client.put(path, body), endpoint_slice, body)
            case Delete(_, precondition, _):
                path = ENDPOINT_SLICES.path(namespace, name)
                await self.client.delete(
                    path,
                    {
                        "preconditions": {
                            "uid": precondition.uid,
                            "resourceVersion": precondition.resource_version,
                        }
                    },
                )
            case unexpected:
                assert_never(unexpected)

    def _take(self, answer: bytes, sent: EndpointSlice, body: bytes) -> None:
        stored = decode_written(answer, sent, body)
        self.written(stored, is_as_planned=_is_as_sent(stored, sent))

    async def _create_service(self, service: Service) -> None:
        """Create a Service, with the newest `trafficDistribution` that the main cluster knows."""
        path = SERVICES.path(service.metadata.namespace)
        try:
            answer = await self.client.post(path, unstructure(service))
        except ApiError as error:
            older = with_older_distribution(service)
            is_unknown = is_distribution_refused(error.status.code, error.status.message)
            if older is None or not is_unknown:
                raise
            await self._create_service(older)
        else:
            self.written(decode_object(answer, SERVICES))


def _must_wait(change: Change, unfinished: Collection[str | None]) -> bool:
    """Whether a change that takes endpoints away waits, given the clusters with failed writes."""
    if change.reason in UNREACHABLE_POLICIES:
        return bool(unfinished)
    return change.cluster in unfinished


def _is_as_sent(stored: EndpointSlice, sent: EndpointSlice) -> bool:
    """Whether the API server stored a slice as it was sent: an admission webhook may change it."""
    left, right = stored.metadata, sent.metadata
    return (
        stored.endpoints is sent.endpoints  # Equal endpoints are shared.
        and (stored.address_type, stored.ports) == (sent.address_type, sent.ports)
        and (left.labels, left.annotations) == (right.labels, right.annotations)
        and left.owner_references == right.owner_references
    )


def _is_not_found(error: ApiError) -> bool:
    """Whether the API server itself reports it: a bare 404 can come from a proxy in front of it."""
    return (error.status.code, error.status.reason) == (404, "NotFound")


def _write_of(change: Change) -> Write:
    """What the retries know a change by, whatever its content."""
    return change.verb, change.kind, change.key
