"""Lists one kind of one cluster, then watches it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final, Generic, Protocol, TypeAlias, assert_never

import structlog
from attrs import define, evolve, field

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, CutError, TransportError, retry_after
from svclink_controller.backoff import Backoff
from svclink_controller.reflect.pager import LIST_LIMITS, ListLimits, Pager, log_undecodable
from svclink_controller.wire.messages import (
    Bookmark,
    Changed,
    Deleted,
    IsHeld,
    Listing,
    Status,
    T,
    Undecodable,
    WatchEvent,
    WireError,
    is_earlier,
    nothing_is_held,
)
from svclink_controller.wire.reading import decode_event
from svclink_controller.wire.resources import CLUSTER_LINKS, TRAFFIC_POLICIES, Resource
from svclink_core.meta_v1 import NamespacedName
from svclink_core.watch_health import (
    LONGEST_WATCH_SECONDS,
    SHORTEST_WATCH_SECONDS,
    SILENCE_SECONDS,
    EndedWatch,
    WatchHealth,
    after_watch,
    is_silent,
    must_relist,
)

WATCH_TIMEOUT_SECONDS: Final = (LONGEST_WATCH_SECONDS // 2, LONGEST_WATCH_SECONDS)
"""A watch ends after a random time in between, so that not all watches end at once."""

HEALTHY_WATCH_SECONDS: Final = SHORTEST_WATCH_SECONDS - 1
"""A watch that lasted this long was healthy.

A single event proves nothing: a server may repeat it.
"""

MAX_OVERLOADS: Final = 8
"""How many watches in a row an overloaded server may refuse before it counts as unreachable."""

UNBUFFER: Final = "turn off response buffering in the proxy in front of the API server"

INSTALL_CRD: Final = "install the ClusterLink CRD (kubectl apply -f crd/)"

INSTALL_POLICY_CRD: Final = "install the TrafficPolicy CRD (kubectl apply -f crd/)"

NEVER_WATCHED: Final = WatchHealth(heard_at=0, listed_at=0)

ReadError: TypeAlias = ApiError | TransportError | WireError
"""Why a kind could not be read."""

log = structlog.get_logger()


class ExpiredError(Exception):
    """The watch cannot go on from its resourceVersion: it is too old (410) or too new (504).

    Only a new list helps. That holds too after watches that were silent for too long.
    """


class BrokenError(Exception):
    """The server ended a watch with an error; the watch can go on from its resourceVersion."""


class Sink(Protocol[T]):
    """Receives what a reflector reads."""

    async def replace(self, listing: Listing[T]) -> None:
        """Take a complete list: an object that is not in it does not exist."""

    def apply(self, item: T) -> None:
        """Add or change an object."""

    def remove(self, key: NamespacedName) -> None:
        """Remove an object."""

    def mark_undecodable(self, each: Undecodable) -> None:
        """Note that an object exists, and that its current state could not be decoded."""


@define
class _OpenWatch:
    """When a watch began, and when it last sent anything."""

    began_at: float
    heard_at: float | None = None


@define
class Reflector(Generic[T]):
    """Lists and watches one resource of one cluster.

    `list_all` and `watch` raise the errors that the reflector cannot recover from. The owner of the
    connection decides what to do about them.

    Args:
        client: The cluster.
        resource: The kind of objects.
        namespace: The namespace to read; empty means all.
        field_selector: Fields of the objects to read; empty means all objects.
        on_activity: Called when a watch begins after a list, and after every watch event, bookmarks
            included.
        on_silence: Called with the seconds since a watch last sent anything, after the kind was
            listed for that reason; and with None when a watch sends something again.
        is_held: Which events bring nothing new. Their objects are not decoded.
        list_limits: Limits of one list.
        healthy_seconds: A watch that lasted longer was healthy: the next pause is short again.
        silence_seconds: A watch that sends nothing for this long is replaced.
        sleep: Pauses between requests.
        now: Returns the seconds on a clock that does not jump.
    """

    client: Client
    resource: Resource[T]
    namespace: str = ""
    field_selector: str = ""
    on_activity: Callable[[], None] = lambda: None
    on_silence: Callable[[float | None], None] = lambda _: None
    is_held: IsHeld = nothing_is_held
    list_limits: ListLimits = LIST_LIMITS
    healthy_seconds: float = HEALTHY_WATCH_SECONDS
    silence_seconds: float = SILENCE_SECONDS
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = clock.elapsed
    _backoff: Backoff = field(factory=lambda: Backoff(base=0.5, cap=30))
    _version: str = ""
    _health: WatchHealth = NEVER_WATCHED
    _is_silent: bool = False

    async def list_all(self) -> Listing[T]:
        """The complete list."""
        return await self._pager.list_all()

    async def watch(self, resource_version: str, sink: Sink[T]) -> None:
        """Pass all changes since a list to the sink, until a request fails.

        A watch that ends, whichever side ended it, goes on from the version that it reached. The
        kind is listed again if that version has expired, or if watches stay silent.
        """
        now = self.now()
        self._version, self._health = resource_version, WatchHealth(now, now)
        self.on_activity()
        while True:
            try:
                await self._watch_once(sink)
                # Servers may end every watch at once, and those of many clusters together.
                await self.sleep(self._backoff.next_delay())
                await self._raise_if_relist_needed()
            except ExpiredError as expired:
                log.info("listing again", kind=self.resource.plural, problem=str(expired))
                await self.sleep(self._backoff.next_delay())
                await self._list_again(sink)

    async def _list_again(self, sink: Sink[T]) -> None:
        listing = await self.list_all()
        await sink.replace(listing)
        self.client.reading.shrink(listing.memory)
        now = self.now()
        self._version = listing.resource_version
        self._health = evolve(self._health, listed_at=now)
        if is_silent(self._health, now):
            self._report(now - self._health.heard_at)

    async def _watch_once(self, sink: Sink[T]) -> None:
        """Watch until the watch ends.

        What ended it says nothing about the cluster: the next request does.
        """
        watch = _OpenWatch(self.now())
        try:
            async with self._until_silent(watch), aclosing(self._events()) as events:
                async for event, reached in events:
                    self._deliver(event, watch, sink)
                    self._version = reached or self._version
        except (CutError, BrokenError, TimeoutError) as ended:
            log.debug("watch ended", kind=self.resource.plural, problem=str(ended))
        except ApiError as error:
            await self._wait_for_overloaded(error)
        finally:
            now = self.now()
            ended_watch = EndedWatch(watch.began_at, now, watch.heard_at)
            self._health = after_watch(self._health, ended_watch)
            if now - watch.began_at > self.healthy_seconds:
                self._backoff.reset()

    @asynccontextmanager
    async def _until_silent(self, watch: _OpenWatch) -> AsyncIterator[None]:
        """Raise TimeoutError when nothing was heard for too long.

        Events do not move the timer, because that would cost more than they do.
        """
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None
        async with asyncio.timeout(None) as limit:

            def check() -> None:
                nonlocal timer
                heard_at = watch.began_at if watch.heard_at is None else watch.heard_at
                left = heard_at + self.silence_seconds - self.now()
                if left > 0:
                    timer = loop.call_later(left, check)
                else:
                    limit.reschedule(loop.time())

            check()
            try:
                yield
            finally:
                if timer is not None:
                    timer.cancel()

    async def _wait_for_overloaded(self, error: ApiError) -> None:
        """Wait as long as an overloaded server asks for. Raise any other error."""
        if error.status.code != 429 or self._backoff.failures > MAX_OVERLOADS:
            raise error
        await self.sleep(error.status.retry_after or 0)

    async def _raise_if_relist_needed(self) -> None:
        """Raise if the next watch must not go on from the version that the last one reached.

        A cluster that was restored from a backup counts from an earlier version. It accepts a watch
        from a future version, and sends no event until it gets there.
        """
        now = self.now()
        if must_relist(self._health, now):
            silence = now - self._health.heard_at
            raise ExpiredError(f"watches have sent nothing for {silence:.0f} seconds")
        newest = await self._pager.newest_version()
        if is_earlier(newest, self._version):
            raise ExpiredError(f"the resourceVersion went back from {self._version} to {newest}")

    async def _events(self) -> AsyncGenerator[tuple[WatchEvent[T], str], None]:
        usual = random.randint(*WATCH_TIMEOUT_SECONDS)  # noqa: S311 - spreads load, guards nothing
        query = self._selection | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(min(usual, self._health.lifetime)),
        }
        try:
            async with aclosing(self.client.lines(self._path, query)) as lines:
                async for line in lines:
                    yield decode_event(line, self.resource, self.is_held)
        except ApiError as error:
            if _is_expired(error.status):
                raise ExpiredError(str(error)) from error
            raise

    def _deliver(self, event: WatchEvent[T], watch: _OpenWatch, sink: Sink[T]) -> None:
        if isinstance(event, Status):
            problem = str(ApiError(event))
            raise ExpiredError(problem) if _is_expired(event) else BrokenError(problem)
        watch.heard_at = self.now()
        self.on_activity()
        if self._is_silent:
            self._report(None)
        match event:
            case Changed(item):
                sink.apply(item)
            case Deleted(key):
                sink.remove(key)
            case Bookmark():
                pass
            case Undecodable():
                log_undecodable(self.resource, [event])
                sink.mark_undecodable(event)
            case unexpected:
                assert_never(unexpected)

    def _report(self, silence: float | None) -> None:
        """Report that watches are silent, though lists are answered; None: they are no longer."""
        self._is_silent = silence is not None
        kind, namespace = self.resource.plural, self.namespace or None
        if silence is None:
            log.info("watch no longer silent", kind=kind, namespace=namespace)
        else:
            log.warning(
                "watch silent", kind=kind, namespace=namespace, seconds=round(silence), fix=UNBUFFER
            )
        self.on_silence(silence)

    @property
    def _path(self) -> str:
        return self.resource.path(self.namespace)

    @property
    def _selection(self) -> dict[str, str]:
        selectors = {
            "fieldSelector": self.field_selector,
            "labelSelector": self.resource.label_selector,
        }
        return {key: value for key, value in selectors.items() if value}

    @property
    def _pager(self) -> Pager[T]:
        return Pager(
            client=self.client,
            path=self._path,
            selection=self._selection,
            resource=self.resource,
            backoff=self._backoff,
            limits=self.list_limits,
        )


def _is_expired(status: Status) -> bool:
    """Whether the watch asked for a version that the server no longer has, or does not have yet."""
    is_too_large = status.code == 504 and "ResourceVersionTooLarge" in status.causes
    return status.code == 410 or is_too_large


async def reflect_forever(
    reflector: Reflector[T], sink: Sink[T], on_error: Callable[[ReadError], None]
) -> None:
    """List and watch. After any error, pass it to `on_error` and list again."""
    backoff, loop = Backoff(base=0.5, cap=30), asyncio.get_running_loop()
    plural = reflector.resource.plural
    while True:
        started, pause = loop.time(), 0.0
        try:
            listing = await reflector.list_all()
            await sink.replace(listing)
            await reflector.watch(listing.resource_version, sink)
        except (ApiError, TransportError, WireError) as error:
            on_error(error)
            pause = retry_after(error)
        except Exception:
            log.exception("internal error", kind=plural)
        if loop.time() - started > reflector.healthy_seconds:
            backoff.reset()
        await reflector.sleep(max(backoff.next_delay(), pause))


def warn_unread(plural: str, error: ReadError) -> None:
    """Log that a kind of the main cluster was not read."""
    fix = fix_of(error, plural)
    known = {} if fix is None else {"fix": fix}
    log.warning("main cluster not read", kind=plural, problem=str(error), **known)


def fix_of(error: Exception, plural: str) -> str | None:
    """How the user can fix an error of the main cluster, None if that is not clear."""
    if not isinstance(error, ApiError):
        return None
    if error.status.code == 404 and plural == CLUSTER_LINKS.plural:
        return INSTALL_CRD
    if error.status.code == 404 and plural == TRAFFIC_POLICIES.plural:
        return INSTALL_POLICY_CRD
    if error.status.code == 403:
        return grant_listing(plural)
    return None


def grant_listing(plural: str) -> str:
    """The fix where svclink may not read a kind of the main cluster."""
    return f"grant svclink permission to list and watch {plural}"
