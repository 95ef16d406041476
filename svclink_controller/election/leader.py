"""Leader election on a Lease: one replica works, and it stops before another can start.

The rules are those of client-go. A leader that could not renew the Lease for `Timing.renew`
seconds stops its work. If the work has not ended by `Timing.lease`, when another replica may
start, the watchdog ends the process. Both times count from before the last renewal was sent, on a
monotonic clock; other replicas count from when they saw the renewal, which is later.

A Lease does not stop a request in flight. `may_write` is asked before each request, stopped work
closes its connections, and a late request fails on the preconditions that every change carries.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from attrs import define, field, frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.election.watchdog import Watchdog
from svclink_controller.wire.messages import WireError
from svclink_core.codec import Json

DEFAULT_LEASE_NAME: Final = "svclink"
RELEASE_TRIES: Final = 3
LEASE_KIND: Final[dict[str, Json]] = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}

log = structlog.get_logger()


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


@frozen
class Timing:
    """Times of the election, in seconds.

    Args:
        lease: How long other replicas wait after the last renewal they saw.
        renew: How long a leader keeps working after its last renewal.
        retry: The time between two attempts of a leader, and the time-out of one.
        look: The time between two looks of a standby at the Lease. It is what a takeover waits for
            after a leader has released the Lease. A standby that cannot read it waits for `retry`.
    """

    lease: int = 15
    renew: float = 10
    retry: float = 2
    look: float = 0.3


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel"):
    """The holder of a Lease, and its times."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(msgspec.Struct, frozen=True):
    """A Lease of `coordination.k8s.io/v1`; its metadata is written back unchanged."""

    metadata: dict[str, object]
    spec: LeaseSpec = LeaseSpec()


_LEASE: Final = msgspec.json.Decoder(Lease)


@define
class Elector:
    """One replica that takes part in the election.

    Args:
        client: The main cluster.
        namespace: The namespace of the Lease.
        identity: A name that is unique to this replica.
        timing: The times of the election.
        watchdog: Ends the process if the work outlives the Lease.
        name: The name of the Lease.
        now: Returns seconds on a monotonic clock; the event loop's clock by default.
    """

    client: Client
    namespace: str
    identity: str = field(factory=lambda: f"{socket.gethostname()}_{uuid.uuid4()}")
    timing: Timing = Timing()
    watchdog: Watchdog = field(factory=Watchdog)
    name: str = DEFAULT_LEASE_NAME
    now: Callable[[], float] = _loop_time
    _lease: Lease | None = None
    _seen_at: float = 0
    _renewed_at: float = -math.inf
    _has_failed: bool = False

    def may_write(self) -> bool:
        """Whether no other replica can be working now."""
        return self._seconds_left > 0

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` whenever the Lease is held; release the Lease when cancelled.

        Raises:
            Exception: An exception of `work`.
        """
        try:
            while True:
                if await self._try():
                    await self._lead(work)
                pause = self.timing.retry if self._has_failed else self.timing.look
                await asyncio.sleep(pause * random.uniform(1, 1.2))  # noqa: S311 - spreads load
        finally:
            await self._release()

    async def _lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work until the Lease is lost, and return once the work has ended."""
        log.info("leading", identity=self.identity)
        working = asyncio.ensure_future(work())
        try:
            while not working.done() and await self._renew():
                await asyncio.wait({working}, timeout=self.timing.retry)
        finally:
            self._renewed_at = -math.inf
            if not working.done():
                working.cancel()
                await asyncio.wait({working})
            self.watchdog.clear()
            log.info("no longer leading", identity=self.identity)
        if not working.cancelled():
            working.result()

    async def _renew(self) -> bool:
        """Renew the Lease, retrying while it is held; False if it is lost."""
        while (left := self._seconds_left) > 0:
            if await self._try(min(self.timing.retry, left)):
                return True
            if not self._is_mine:
                return False
            await asyncio.sleep(min(self.timing.retry / 4, left))
        return False

    async def _try(self, seconds: float | None = None) -> bool:
        """Make one attempt to take or renew the Lease; whether it succeeded in time."""
        try:
            async with asyncio.timeout(seconds or self.timing.retry):
                is_held = await self._take()
        except (ApiError, TransportError, WireError) as error:
            log.warning("lease not held", problem=str(error))
        except TimeoutError:
            log.warning("lease not held", problem="the API server did not answer in time")
        else:
            self._has_failed = False
            return is_held
        self._has_failed = True
        return False

    async def _take(self) -> bool:
        """Take or renew the Lease if it is free; after a conflict, read it and decide again."""
        if not self._is_mine:
            await self._read()
        for _ in range(2):
            if not self._is_free:
                return False
            started = self.now()
            try:
                await self._write(self._claim())
            except ApiError as error:
                if error.status.code not in (404, 409):
                    raise
                await self._read()
            else:
                self._renewed_at = started
                self.watchdog.set(started + self.timing.lease)
                return True
        return False

    async def _release(self) -> None:
        """Release the Lease, or else no replica leads until it expires.

        A write that was in flight when the replica was stopped may take effect at any moment. So
        the Lease is read, whatever is known of it, and once more if it changes meanwhile.
        """
        for _ in range(RELEASE_TRIES):
            if await self._try_to_release():
                return

    async def _try_to_release(self) -> bool:
        try:
            # In a task that was cancelled, asyncio.timeout of Python 3.11.2 cancels it once more.
            await asyncio.wait_for(self._write_release(), self.timing.retry)
        except (ApiError, TransportError, WireError, TimeoutError) as error:
            log.warning("lease not released", problem=str(error) or "timed out")
            return False
        return True

    async def _write_release(self) -> None:
        await self._read()
        if self._is_mine:
            now = clock.micro_time()
            await self._write(LeaseSpec("", 1, now, now, self._spec.lease_transitions))

    async def _read(self) -> None:
        """Read the Lease; its duration counts from when its current state was first seen."""
        before = self._lease
        try:
            self._lease = decode_lease(await self.client.get(self._path))
        except ApiError as error:
            if error.status.code != 404:
                raise
            self._lease = None
        if before is None or self._spec != before.spec:
            self._seen_at = self.now()

    async def _write(self, spec: LeaseSpec) -> None:
        """Create the Lease, or replace the version that was read."""
        body = LEASE_KIND | {"spec": msgspec.to_builtins(spec)}
        if self._lease is None:
            collection = self._path.rpartition("/")[0]
            answer = await self.client.post(collection, body | {"metadata": {"name": self.name}})
        else:
            answer = await self.client.put(
                self._path, body | {"metadata": msgspec.to_builtins(self._lease.metadata)}
            )
        self._lease = decode_lease(answer)

    def _claim(self) -> LeaseSpec:
        """The Lease as held by this replica, newly acquired or renewed."""
        now, old = clock.micro_time(), self._spec
        acquired = old.acquire_time if self._is_mine else now
        changes_holder = self._lease is not None and not self._is_mine
        transitions = (old.lease_transitions or 0) + changes_holder
        return LeaseSpec(self.identity, self.timing.lease, acquired, now, transitions)

    @property
    def _is_free(self) -> bool:
        if not self._spec.holder_identity or self._is_mine:
            return True
        duration = self._spec.lease_duration_seconds or self.timing.lease
        return self.now() >= self._seen_at + duration

    @property
    def _is_mine(self) -> bool:
        return self._spec.holder_identity == self.identity

    @property
    def _seconds_left(self) -> float:
        """Seconds until this replica must stop working, unless it renews the Lease."""
        return self._renewed_at + self.timing.renew - self.now()

    @property
    def _spec(self) -> LeaseSpec:
        return LeaseSpec() if self._lease is None else self._lease.spec

    @property
    def _path(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{self.name}"


def decode_lease(content: bytes) -> Lease:
    """A Lease, from JSON.

    Raises:
        WireError: The content is not a Lease.
    """
    try:
        return _LEASE.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"the server's response is not a Lease: {error}") from error
