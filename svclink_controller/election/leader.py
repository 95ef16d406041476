"""Leader election on a Lease: of several replicas one works, and it stops before another can begin.

The rules are client-go's. A leader that could not renew the Lease for `Timing.renew` seconds stops its work, and the
process ends where that takes longer than to `Timing.lease`, when others may begin. Both count from before the last
renewal was sent, by a clock that nobody sets; others count from when they saw it, which is later.

A Lease does not stop a request that is on its way. `may_write` is asked before each one is sent, work that is stopped
closes its connections, and what still comes late meets the preconditions that every change carries.
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
KIND: Final[dict[str, Json]] = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}

log = structlog.get_logger()


@frozen
class Timing:
    """Seconds: how long a Lease is good for, how long a leader tries to renew it, and the time between two tries."""

    lease: int = 15
    renew: float = 10
    retry: float = 2


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel"):
    """Who holds the Lease, and since when."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(msgspec.Struct, frozen=True):
    """A Lease of `coordination.k8s.io/v1`; its metadata is given back as it came."""

    metadata: dict[str, object]
    spec: LeaseSpec = LeaseSpec()


_LEASE: Final = msgspec.json.Decoder(Lease)


@define
class Elector:
    """One of the replicas that want to work.

    Args:
        client: The main cluster.
        namespace: Where the Lease is.
        identity: What no other replica is called.
        name: What the Lease is called.
    """

    client: Client
    namespace: str
    identity: str = field(factory=lambda: f"{socket.gethostname()}_{uuid.uuid4()}")
    timing: Timing = Timing()
    watchdog: Watchdog = field(factory=Watchdog)
    name: str = DEFAULT_LEASE_NAME
    _lease: Lease | None = None
    _seen_at: float = 0
    _renewed_at: float = -math.inf

    def may_write(self) -> bool:
        """Whether no other replica can be at work now."""
        return self._left > 0

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work whenever the Lease is held, until cancelled; then give it up, so that another replica need not wait.

        Raises:
            Exception: What the work raised.
        """
        try:
            while True:
                if await self._try():
                    await self._lead(work)
                await asyncio.sleep(self.timing.retry * random.uniform(1, 1.2))  # noqa: S311 - spreads load
        finally:
            await self._release()

    async def _lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work until the Lease is lost. Returns when the work has ended, not before."""
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
            log.info("not leading any more", identity=self.identity)
        if not working.cancelled():
            working.result()

    async def _renew(self) -> bool:
        """Whether the Lease is held for some more time; not giving up before it must."""
        while (left := self._left) > 0:
            if await self._try(min(self.timing.retry, left)):
                return True
            if not self._is_mine:
                return False
            await asyncio.sleep(min(self.timing.retry / 4, left))
        return False

    async def _try(self, seconds: float | None = None) -> bool:
        """Whether the Lease could be taken or renewed in the time for one try."""
        try:
            async with asyncio.timeout(seconds or self.timing.retry):
                return await self._take()
        except (ApiError, TransportError, WireError) as error:
            log.warning("lease not held", problem=str(error))
        except TimeoutError:
            log.warning("lease not held", problem="the API server did not answer in time")
        return False

    async def _take(self) -> bool:
        """Take or renew the Lease if that is allowed. What another wrote meanwhile is looked at, and counts."""
        if not self._is_mine:
            await self._look()
        for _ in range(2):
            if not self._is_free:
                return False
            started = asyncio.get_running_loop().time()
            try:
                await self._write(self._claim())
            except ApiError as error:
                if error.status.code not in (404, 409):
                    raise
                await self._look()
            else:
                self._renewed_at = started
                self.watchdog.set(started + self.timing.lease)
                return True
        return False

    async def _release(self) -> None:
        """Leave the Lease to whoever wants it. A renewal that was under way may have been written or not."""
        try:
            async with asyncio.timeout(self.timing.retry):
                if self._is_mine:
                    await self._look()
                if self._is_mine:
                    now = clock.micro_time()
                    await self._write(LeaseSpec("", 1, now, now, self._spec.lease_transitions))
        except (ApiError, TransportError, WireError, TimeoutError) as error:
            log.warning("lease not released", problem=str(error))

    async def _look(self) -> None:
        """Read the Lease; how long it is good for counts from when its present state was first seen."""
        before = self._lease
        try:
            self._lease = _decoded(await self.client.get(self._path))
        except ApiError as error:
            if error.status.code != 404:
                raise
            self._lease = None
        if before is None or self._spec != before.spec:
            self._seen_at = asyncio.get_running_loop().time()

    async def _write(self, spec: LeaseSpec) -> None:
        """Create or replace the Lease; a replacement only of the very version that is known."""
        body = KIND | {"spec": msgspec.to_builtins(spec)}
        if self._lease is None:
            collection = self._path.rpartition("/")[0]
            answer = await self.client.post(collection, body | {"metadata": {"name": self.name}})
        else:
            answer = await self.client.put(
                self._path, body | {"metadata": msgspec.to_builtins(self._lease.metadata)}
            )
        self._lease = _decoded(answer)

    def _claim(self) -> LeaseSpec:
        """The Lease as held by this replica, from now on or further on."""
        now, old = clock.micro_time(), self._spec
        since = old.acquire_time if self._is_mine else now
        transitions = (old.lease_transitions or 0) + (self._lease is not None and not self._is_mine)
        return LeaseSpec(self.identity, self.timing.lease, since, now, transitions)

    @property
    def _is_free(self) -> bool:
        if not self._spec.holder_identity or self._is_mine:
            return True
        duration = self._spec.lease_duration_seconds or self.timing.lease
        return asyncio.get_running_loop().time() >= self._seen_at + duration

    @property
    def _is_mine(self) -> bool:
        return self._spec.holder_identity == self.identity

    @property
    def _left(self) -> float:
        """Seconds of work that the last renewal is good for."""
        return self._renewed_at + self.timing.renew - asyncio.get_running_loop().time()

    @property
    def _spec(self) -> LeaseSpec:
        return LeaseSpec() if self._lease is None else self._lease.spec

    @property
    def _path(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{self.name}"


def _decoded(content: bytes) -> Lease:
    try:
        return _LEASE.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"the server's answer is no Lease: {error}") from error
