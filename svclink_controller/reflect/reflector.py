"""Lists one kind of one cluster, then watches it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, Generic, Protocol

import structlog
from attrs import define, field

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, SilenceError, TransportError, retry_after
from svclink_controller.backoff import Backoff
from svclink_controller.reflect.pager import LIST_LIMITS, ListLimits, Pager, log_undecodable
from svclink_controller.wire.messages import (
    Bookmark,
    Changed,
    Deleted,
    IsHeld,
    Listing,
    Status,
    Undecodable,
    WatchEvent,
    WireError,
    is_earlier,
    nothing_is_held,
)
from svclink_controller.wire.reading import T, decode_event
from svclink_controller.wire.resources import CLUSTER_LINKS, Resource
from svclink_core.meta_v1 import NamespacedName

WATCH_TIMEOUT_SECONDS: Final = (300, 600)
"""A watch ends after a random time in between, so that not all watches end at once."""

HEALTHY_WATCH_SECONDS: Final = 10
"""A stream that lasted this long was healthy.

A single event proves nothing: a server may repeat it.
"""

MAX_OVERLOADS: Final = 8
"""How many watches in a row an overloaded server may refuse before it counts as unreachable."""

INSTALL_CRD: Final = "install the ClusterLink CRD: kubectl apply -f crd/"

log = structlog.get_logger()


class ExpiredError(Exception):
    """The resourceVersion is too old (410) or newer than the server (504).

    Only a new list helps.
    """


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
class Reflector(Generic[T]):
    """Lists and watches one resource of one cluster.

    `list_all` and `watch` raise the errors that the reflector cannot recover from. The owner of the
    connection decides what to do about them.

    Args:
        client: The cluster.
        resource: The kind of objects.
        namespace: The namespace to read; empty means all.
        field_selector: Fields of the objects to read; empty means all objects.
        on_activity: Called after every list and every watch event, bookmarks included.
        is_held: Which events bring nothing new. Their objects are not decoded.
        list_limits: Limits of one list.
        healthy_seconds: A watch that lasted longer was healthy: the next pause is short again.
        sleep: Pauses between requests.
    """

    client: Client
    resource: Resource[T]
    namespace: str = ""
    field_selector: str = ""
    on_activity: Callable[[], None] = lambda: None
    is_held: IsHeld = nothing_is_held
    list_limits: ListLimits = LIST_LIMITS
    healthy_seconds: float = HEALTHY_WATCH_SECONDS
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _backoff: Backoff = field(factory=lambda: Backoff(base=0.5, cap=30))

    async def list_all(self) -> Listing[T]:
        """The complete list."""
        listing = await self._pager.list_all()
        self.on_activity()
        return listing

    async def watch(self, resource_version: str, sink: Sink[T]) -> None:
        """Pass all changes since a list to the sink. List again if the version has expired."""
        version = resource_version
        while True:
            try:
                await self._watch_and_resume(version, sink)
            except ExpiredError as expired:
                log.info("listing again", kind=self.resource.plural, problem=str(expired))
                await self.sleep(self._backoff.next_delay())
                listing = await self.list_all()
                await sink.replace(listing)
                version = listing.resource_version

    async def _watch_and_resume(self, version: str, sink: Sink[T]) -> None:
        """Watch again and again, each time from the version at which the last watch ended."""
        loop = asyncio.get_running_loop()
        is_resumed = False
        while True:
            started = loop.time()
            try:
                if is_resumed:
                    await self._require_no_step_back(version)
                async with aclosing(self._events(version)) as events:
                    async for event, reached in events:
                        self._deliver(event, sink)
                        version = reached or version
            except SilenceError:
                pass  # The next request shows whether the server still answers.
            except ApiError as error:
                if error.status.code != 429 or self._backoff.failures > MAX_OVERLOADS:
                    raise
                await self.sleep(error.status.retry_after or 0)
            finally:
                if loop.time() - started > self.healthy_seconds:
                    self._backoff.reset()
            # A server may end every watch at once, and watches of many clusters may end together.
            await self.sleep(self._backoff.next_delay())
            is_resumed = True

    async def _require_no_step_back(self, version: str) -> None:
        """Raise if the cluster was restored from a backup, which counts from an earlier version.

        Such a cluster accepts a watch from a future version, and sends no event until it gets there
        (kubernetes-semantics 6.6).
        """
        newest = await self._pager.newest_version()
        if is_earlier(newest, version):
            raise ExpiredError(f"the resourceVersion went back from {version} to {newest}")

    async def _events(self, version: str) -> AsyncGenerator[tuple[WatchEvent[T], str], None]:
        query = self._selection | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(*WATCH_TIMEOUT_SECONDS)),  # noqa: S311 - spreads load, guards nothing
        }
        try:
            async with aclosing(self.client.lines(self._path, query)) as lines:
                async for line in lines:
                    yield decode_event(line, self.resource, self.is_held)
        except ApiError as error:
            raise _expired_or(error) from error

    def _deliver(self, event: WatchEvent[T], sink: Sink[T]) -> None:
        self.on_activity()
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
            case Status():
                raise _expired_or(ApiError(event))

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


def _expired_or(error: ApiError) -> Exception:
    """`ExpiredError` if a new list helps, else the error itself."""
    status = error.status
    too_large = status.code == 504 and "ResourceVersionTooLarge" in status.causes
    return ExpiredError(str(error)) if status.code == 410 or too_large else error


async def reflect_forever(
    reflector: Reflector[T], sink: Sink[T], on_error: Callable[[str], None]
) -> None:
    """List and watch. After any error, log it, pass it to `on_error` and list again."""
    backoff, loop = Backoff(base=0.5, cap=30), asyncio.get_running_loop()
    plural = reflector.resource.plural
    while True:
        started, pause = loop.time(), 0.0
        try:
            listing = await reflector.list_all()
            await sink.replace(listing)
            await reflector.watch(listing.resource_version, sink)
        except (ApiError, TransportError, WireError) as error:
            log.warning(
                "main cluster not read", kind=plural, problem=str(error), fix=_fix(error, plural)
            )
            on_error(str(error))
            pause = retry_after(error)
        except Exception:
            log.exception("internal error", kind=plural)
        if loop.time() - started > reflector.healthy_seconds:
            backoff.reset()
        await reflector.sleep(max(backoff.next_delay(), pause))


def _fix(error: Exception, plural: str) -> str | None:
    """How the user can fix an error of the main cluster, None if that is not clear."""
    if not isinstance(error, ApiError):
        return None
    if error.status.code == 404 and plural == CLUSTER_LINKS.plural:
        return INSTALL_CRD
    if error.status.code == 403:
        return f"grant svclink list and watch on {plural}"
    return None
