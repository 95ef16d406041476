"""Performs the changes of a plan on the main cluster. What becomes of each is a value, never an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, assert_never

import structlog
from attrs import define, evolve, field, frozen

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.reconcile.write_pacing import WritePace
from svclink_controller.wire.encoding import encode_slice
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.reading import decode_object
from svclink_controller.wire.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from svclink_core.codec import unstructure
from svclink_core.core_v1 import Service
from svclink_core.diffing import Create, Delete, Update
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.planning import Change, is_last
from svclink_core.service_creation import CreateNamespace, CreateService, Creation
from svclink_core.well_known import Reason

MAX_IN_FLIGHT: Final = 32
"""Writes at once: enough to keep an API server busy, few enough to leave it room for others."""

MAX_REFUSED: Final = 1_000
"""Refused changes that are remembered: with more of them, each is asked for once more."""
POLICIES: Final = (Reason.UNREACHABLE_NOT_READY, Reason.UNREACHABLE_REMOVED)

log = structlog.get_logger()


class WriteStatus(Enum):
    """What became of a change."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"  # The object is not what the plan was made for: plan again.
    REFUSED = "refused"  # The API server will never have it as it is; it is not sent again until it is another.
    FAILED = "failed"  # It may work later.
    POSTPONED = "postponed"
    """Not sent: a deletion before its replacement, a write too soon after another, a pause, a drain."""


@frozen
class WriteResult:
    """What became of one change; `message` says why it was not applied."""

    change: Change
    status: WriteStatus
    message: str = ""
    retry_after: float | None = None


@define
class Applier:
    """Writes to the main cluster, at most `MAX_IN_FLIGHT` requests at once.

    Args:
        client: The main cluster.
        written: Called with every slice and Service the API server returned from a write.
        gone: Called with the name and uid of a slice that is to be changed and does not exist any more.
        write_pace: Says when something may be written.
    """

    client: Client
    written: Callable[[EndpointSlice | Service], None]
    gone: Callable[[NamespacedName, str], None]
    write_pace: WritePace = field(factory=WritePace)
    _refused: dict[NamespacedName, WriteResult] = field(factory=dict)
    _slots: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(MAX_IN_FLIGHT))
    _is_draining: bool = False

    async def apply(self, changes: Sequence[Change]) -> list[WriteResult]:
        """Perform the changes of one Service's plan: creations and updates first, then what takes endpoints away.

        Where one of a cluster failed, no slice of that cluster is deleted yet: it may be all there is of an address.
        Slices of a lost cluster wait for those of every other one: these are to take over.
        """
        creations = [
            change for change in changes if isinstance(change, CreateNamespace | CreateService)
        ]
        slices = [
            change for change in changes if not isinstance(change, CreateNamespace | CreateService)
        ]
        outcomes = await self._create(creations)
        outcomes += await self._perform_all([change for change in slices if not is_last(change)])
        failed = {
            each.change.cluster for each in outcomes if each.status is not WriteStatus.APPLIED
        }
        last = [change for change in slices if is_last(change)]
        ready = [
            change
            for change in last
            if not (failed if change.reason in POLICIES else change.cluster in failed)
        ]
        postponed = [
            WriteResult(change, WriteStatus.POSTPONED) for change in last if change not in ready
        ]
        return [*outcomes, *await self._perform_all(ready), *postponed]

    async def _create(self, creations: Sequence[Creation]) -> list[WriteResult]:
        """Make a namespace, then the Service in it."""
        outcomes: list[WriteResult] = []
        for change in creations:
            is_ready = all(each.status is WriteStatus.APPLIED for each in outcomes)
            outcomes.append(
                await self._perform(change)
                if is_ready
                else WriteResult(change, WriteStatus.POSTPONED)
            )
        return outcomes

    async def drain(self) -> None:
        """Wait for the writes under way, and let none start after them, also of those that wait already."""
        self._is_draining = True
        for _ in range(MAX_IN_FLIGHT):
            await self._slots.acquire()

    async def _perform_all(self, changes: Sequence[Change]) -> list[WriteResult]:
        """All at once; one needs no task of its own, as most plans have it."""
        if len(changes) <= 1:
            return [await self._perform(change) for change in changes]
        return await asyncio.gather(*map(self._perform, changes))

    async def _perform(self, change: Change) -> WriteResult:
        """Send a change if it may be sent now. What may not is not kept: it is planned again when it may."""
        if (known := self._refused.get(change.key)) is not None and known.change == change:
            return known
        if (wait := self.write_pace.delay_of(change.key)) == 0:
            await self.write_pace.take_turn()
            async with self._slots:
                if self._is_draining:
                    return WriteResult(change, WriteStatus.POSTPONED)
                if (wait := self.write_pace.delay_of(change.key)) == 0:
                    with self.write_pace.writing(change.key):
                        return self._noted(await self._send(change))
        return WriteResult(change, WriteStatus.POSTPONED, retry_after=wait)

    async def _send(self, change: Change) -> WriteResult:
        try:
            await self._write(change)
        except ApiError as error:
            # Only the API server's own word: a bare 404 can come from a proxy in front of it.
            if isinstance(change, Update | Delete) and (error.status.code, error.status.reason) == (
                404,
                "NotFound",
            ):
                self.gone(change.key, change.precondition.uid)
            if error.status.code == 429:
                self.write_pace.pause(error.status.retry_after or 1)
            return _outcome(change, error)
        except (TransportError, WireError) as error:
            return WriteResult(change, WriteStatus.FAILED, str(error))
        return WriteResult(change, WriteStatus.APPLIED)

    def _noted(self, outcome: WriteResult) -> WriteResult:
        """The API server would refuse the same change again: it is not asked until the change is another."""
        _log(outcome)
        self._refused.pop(outcome.change.key, None)
        if outcome.status is WriteStatus.REFUSED:
            if len(self._refused) >= MAX_REFUSED:
                self._refused.clear()
            self._refused[outcome.change.key] = outcome
        return outcome

    async def _write(self, change: Change) -> None:
        namespace, name = change.key.namespace, change.key.name
        match change:
            case CreateNamespace(made, _, _):
                await self.client.post(NAMESPACES.path(), unstructure(made))
            case CreateService(service, _, _):
                answer = await self.client.post(SERVICES.path(namespace), unstructure(service))
                self.written(decode_object(answer, SERVICES))
            case Create(endpoint_slice, _):
                answer = await self.client.post(
                    ENDPOINT_SLICES.path(namespace), encode_slice(endpoint_slice)
                )
                self.written(_answered(endpoint_slice, answer))
            case Update(endpoint_slice, precondition, _):
                body = encode_slice(endpoint_slice, precondition)
                answer = await self.client.put(ENDPOINT_SLICES.path(namespace, name), body)
                self.written(_answered(endpoint_slice, answer))
            case Delete(_, precondition, _):
                options = {
                    "uid": precondition.uid,
                    "resourceVersion": precondition.resource_version,
                }
                await self.client.delete(
                    ENDPOINT_SLICES.path(namespace, name), {"preconditions": dict(options)}
                )
            case unexpected:
                assert_never(unexpected)


def _answered(sent: EndpointSlice, answer: bytes) -> EndpointSlice:
    """The slice that the API server returned. Endpoints that came back as they were sent are those that were sent.

    Mostly these are the remote slice's own, so a remote endpoint and its mirror take the memory of one.
    """
    stored = decode_object(answer, ENDPOINT_SLICES)
    return (
        evolve(stored, endpoints=sent.endpoints) if stored.endpoints == sent.endpoints else stored
    )


def _outcome(change: Change, error: ApiError) -> WriteResult:
    """What a refusal means. Source: kubernetes-semantics, 409 variants and namespace deletion."""
    status = error.status
    is_gone = isinstance(change, Delete) and status.code == 404
    # Two Services can need one namespace.
    is_there = isinstance(change, CreateNamespace) and (status.code, status.reason) == (
        409,
        "AlreadyExists",
    )
    if is_gone or is_there:
        return WriteResult(change, WriteStatus.APPLIED)
    match status.code:
        case 404 | 409:
            return WriteResult(change, WriteStatus.SUPERSEDED, str(error), status.retry_after)
        case 403 if "NamespaceTerminating" in status.causes:
            return WriteResult(change, WriteStatus.SUPERSEDED, str(error), status.retry_after)
        case 413 | 422:
            return WriteResult(change, WriteStatus.REFUSED, str(error))
        case 403:
            return WriteResult(
                change, WriteStatus.FAILED, _missing_permission(change, error), status.retry_after
            )
        case _:
            return WriteResult(change, WriteStatus.FAILED, str(error), status.retry_after)


def _missing_permission(change: Change, error: ApiError) -> str:
    match change:
        case CreateNamespace():
            what = f"create on {NAMESPACES.plural}"
        case CreateService():
            what = f"create on {SERVICES.plural} in namespace {change.key.namespace}"
        case _:
            verb = type(change).__name__.lower()
            what = f"{verb} on {ENDPOINT_SLICES.plural} in namespace {change.key.namespace}"
    return f"grant svclink {what} ({error})"


def kind_and_verb(change: Change) -> tuple[str, str]:
    """What a change is of, and what it does: `EndpointSlice` and `update`."""
    kind = _KINDS.get(type(change), "EndpointSlice")
    return kind, type(change).__name__.removesuffix(kind).lower()


def _service(change: Change) -> dict[str, str]:
    """The Service that an EndpointSlice is of; a Service's own name says it, and a Namespace is of many."""
    if isinstance(change, CreateNamespace | CreateService):
        return {}
    return {"service": str(change.endpoint_slice.service)}


def _log(outcome: WriteResult) -> None:
    change = outcome.change
    kind, verb = kind_and_verb(change)
    fields = {
        "kind": kind,
        "verb": verb,
        "name": str(change.key).removeprefix("/"),
        **_service(change),
        "cluster": change.cluster,
        "reason": change.reason.code,
    }
    if outcome.status is WriteStatus.APPLIED:
        log.info("written", **fields)
    elif outcome.status is WriteStatus.SUPERSEDED:
        log.debug("changed meanwhile", **fields, problem=outcome.message)
    else:
        log.warning("not written", **fields, problem=outcome.message)


_KINDS: Final = {CreateNamespace: "Namespace", CreateService: "Service"}
