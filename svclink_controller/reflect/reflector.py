"""Lists one kind of one cluster, then watches it. A list is complete or it is an error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Generic, Protocol

import structlog
from attrs import define, field

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, SilenceError, TransportError, retry_after
from svclink_controller.backoff import Backoff
from svclink_controller.reflect.pager import Pager, report
from svclink_controller.wire.messages import (
    Bookmark,
    Changed,
    Deleted,
    IsKnown,
    Listing,
    Status,
    Undecodable,
    WatchEvent,
    WireError,
    is_earlier,
    nothing_is_known,
)
from svclink_controller.wire.reading import T, decode_event
from svclink_controller.wire.resources import CLUSTER_LINKS, Resource
from svclink_core.meta_v1 import NamespacedName

WATCH_TIMEOUT_SECONDS: Final = (300, 600)
"""A watch is asked to end after a random time in between, so that those of many clusters do not end at once."""

HEALTHY_WATCH_SECONDS: Final = 10
"""A stream that lived this long was a good one. One event makes none: a server may send it again and again."""

MAX_OVERLOADS: Final = 8
"""Watches that may end early in a row until a server with too much to do counts as one that cannot be reached."""

INSTALL_CRD: Final = "install the ClusterLink CRD: kubectl apply -f crd/"

log = structlog.get_logger()


class ExpiredError(Exception):
    """The resourceVersion is too old (410), unknown (504) or of the future: only a new list helps."""


class Sink(Protocol[T]):
    """What a reflector feeds."""

    async def replace(self, listing: Listing[T]) -> None:
        """The complete list: whatever is not in it does not exist."""

    def apply(self, item: T) -> None:
        """An object was added or modified."""

    def remove(self, key: NamespacedName) -> None:
        """An object is gone."""

    def mark_undecodable(self, each: Undecodable) -> None:
        """An object was added or modified, but nobody knows to what."""


@define
class Reflector(Generic[T]):
    """Reflects one resource of one cluster: in one namespace or (empty) in all, of one field selector or (empty) all.

    `heard` is called with every list and every event, also those that say that nothing happened; `is_known` says which
    these are.
    Raises out of `list_all` and `watch` what it cannot mend itself; the owner of the connection decides what then.
    """

    client: Client
    resource: Resource[T]
    namespace: str = ""
    field_selector: str = ""
    heard: Callable[[], None] = lambda: None
    is_known: IsKnown = nothing_is_known
    _backoff: Backoff = field(factory=lambda: Backoff(base=0.5, cap=30))

    async def list_all(self) -> Listing[T]:
        """The complete list."""
        listing = await self._pager.list_all()
        self.heard()
        return listing

    async def watch(self, resource_version: str, sink: Sink[T]) -> None:
        """Feed changes since a list to the sink, for ever; list again where the server has forgotten too much."""
        version = resource_version
        while True:
            try:
                await self._follow(version, sink)
            except ExpiredError as expired:
                log.info("listing again", kind=self.resource.plural, problem=str(expired))
                await asyncio.sleep(self._backoff.next_delay())
                listing = await self.list_all()
                await sink.replace(listing)
                version = listing.resource_version

    async def _follow(self, version: str, sink: Sink[T]) -> None:
        """One watch after the other, each from where the last one ended; raises what only others can mend."""
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
                pass  # Nothing happened. Asking again from the same place tells whether the server lives.
            except ApiError as error:
                if error.status.code != 429 or self._backoff.failures > MAX_OVERLOADS:
                    raise
                await asyncio.sleep(error.status.retry_after or 0)
            finally:
                if loop.time() - started > HEALTHY_WATCH_SECONDS:
                    self._backoff.reset()
            # A server may end every watch at once, and those of many clusters may end together.
            await asyncio.sleep(self._backoff.next_delay())
            is_resumed = True

    async def _require_no_step_back(self, version: str) -> None:
        """A cluster restored from a backup counts from an earlier version again.

        It accepts a watch from a version of the future, and then says nothing until that is reached
        (kubernetes-semantics 6.6).
        """
        newest = await self._pager.newest_version()
        if is_earlier(newest, version):
            raise ExpiredError(f"the cluster went back from resourceVersion {version} to {newest}")

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
                    yield decode_event(line, self.resource, self.is_known)
        except ApiError as error:
            raise _expired_or(error) from error

    def _deliver(self, event: WatchEvent[T], sink: Sink[T]) -> None:
        self.heard()
        match event:
            case Changed(item):
                sink.apply(item)
            case Deleted(key):
                sink.remove(key)
            case Bookmark():
                pass
            case Undecodable():
                report(self.resource, [event])
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
        return Pager(self.client, self._path, self._selection, self.resource, self._backoff)


def _expired_or(error: ApiError) -> Exception:
    """`ExpiredError` where a new list helps, else the error itself."""
    status = error.status
    too_large = status.code == 504 and "ResourceVersionTooLarge" in status.causes
    return ExpiredError(str(error)) if status.code == 410 or too_large else error


async def reflect_for_ever(
    reflector: Reflector[T], sink: Sink[T], troubled: Callable[[str], None]
) -> None:
    """List and watch, and whatever breaks, list again. What broke is logged, and told to `troubled`."""
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
                "main cluster not read", kind=plural, problem=str(error), mend=_mend(error, plural)
            )
            troubled(str(error))
            pause = retry_after(error)
        except Exception:
            log.exception("internal error", kind=plural)
        if loop.time() - started > HEALTHY_WATCH_SECONDS:
            backoff.reset()
        await asyncio.sleep(max(backoff.next_delay(), pause))


def _mend(error: Exception, plural: str) -> str | None:
    """What the user can do about an error of the main cluster, where that is clear."""
    if not isinstance(error, ApiError):
        return None
    if error.status.code == 404 and plural == CLUSTER_LINKS.plural:
        return INSTALL_CRD
    if error.status.code == 403:
        return f"grant svclink list and watch on {plural}"
    return None
