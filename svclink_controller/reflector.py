"""Lists one kind of one cluster, then watches it. A list is complete or it is an error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Generic, Protocol

import structlog
from attrs import define, evolve, field

from svclink_controller.backoff import Backoff
from svclink_controller.clients import ApiError, Client, SilenceError, TransportError
from svclink_controller.wire import (
    CLUSTER_LINKS,
    Bookmark,
    Changed,
    Deleted,
    Listing,
    Resource,
    Status,
    T,
    Undecodable,
    WatchEvent,
    WireError,
    decode_event,
    decode_page,
)
from svclink_core.meta_v1 import NamespacedName

PAGE_SIZE: Final = 250
WATCH_SECONDS: Final = (300, 600)
"""A watch is asked to end after a random time in between, so that those of many clusters do not end at once."""

HEALTHY_SECONDS: Final = 60
"""A stream that lived this long, or brought an event, was a good one."""

log = structlog.get_logger()


class ExpiredError(Exception):
    """The resourceVersion is too old (410) or unknown (504): only a new list helps."""


class Sink(Protocol[T]):
    """What a reflector feeds."""

    def replace(self, listing: Listing[T]) -> None:
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

    Raises out of `list_all` and `watch` what it cannot mend itself; the owner of the connection decides what then.
    """

    client: Client
    resource: Resource[T]
    namespace: str = ""
    field_selector: str = ""
    _backoff: Backoff = field(factory=lambda: Backoff(base=0.5, cap=30))

    async def list_all(self) -> Listing[T]:
        """The complete list, page by page. A list that expires in the middle is started again, once unpaged."""
        for limit in (PAGE_SIZE, PAGE_SIZE, 0):
            try:
                return await self._list(limit)
            except ApiError as error:
                if error.status.code != 410:
                    raise
        raise TransportError(f"the list of {self.resource.plural} expired three times before it was complete")

    async def watch(self, resource_version: str, sink: Sink[T]) -> None:
        """Feed changes since a list to the sink, for ever; list again where the server has forgotten too much."""
        version = resource_version
        while True:
            try:
                version = await self._follow(version, sink)
            except ExpiredError:
                await asyncio.sleep(self._backoff.next_delay())
                listing = await self.list_all()
                sink.replace(listing)
                version = listing.resource_version

    async def _list(self, limit: int) -> Listing[T]:
        listing: Listing[T] = Listing([], [], "")
        token = ""
        while True:
            query = self._selection | ({"limit": str(limit)} if limit else {})
            if token:
                query["continue"] = token
            page = decode_page(await self.client.get(self._path, query, seconds=120), self.resource)
            listing.items.extend(page.items)
            listing.undecodable.extend(page.undecodable)
            token = page.continue_token
            if not token:
                self._report(listing.undecodable)
                return evolve(listing, resource_version=page.resource_version)

    async def _follow(self, version: str, sink: Sink[T]) -> str:
        """One watch request after the other; returns never, raises `ExpiredError` or what ended it."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                async with aclosing(self._events(version)) as events:
                    async for event, reached in events:
                        self._deliver(event, sink)
                        version = reached or version
                        self._backoff.reset()
            except SilenceError:
                pass  # Nothing happened. Asking again from the same place tells whether the server lives.
            except ApiError as error:
                if error.status.code != 429:
                    raise
                await asyncio.sleep(error.status.retry_after or 1)
            if loop.time() - started > HEALTHY_SECONDS:
                self._backoff.reset()
            # A server may end every watch at once, and those of many clusters may end together.
            await asyncio.sleep(self._backoff.next_delay())

    async def _events(self, version: str) -> AsyncGenerator[tuple[WatchEvent[T], str], None]:
        query = self._selection | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(*WATCH_SECONDS)),  # noqa: S311 - spreads load, guards nothing
        }
        try:
            async with aclosing(self.client.lines(self._path, query)) as lines:
                async for line in lines:
                    yield decode_event(line, self.resource)
        except ApiError as error:
            raise _expired_or(error) from error

    def _deliver(self, event: WatchEvent[T], sink: Sink[T]) -> None:
        match event:
            case Changed(item):
                sink.apply(item)
            case Deleted(key):
                sink.remove(key)
            case Bookmark():
                pass
            case Undecodable():
                self._report([event])
                sink.mark_undecodable(event)
            case Status():
                raise _expired_or(ApiError(event))

    @property
    def _path(self) -> str:
        return self.resource.path(self.namespace)

    @property
    def _selection(self) -> dict[str, str]:
        return {"fieldSelector": self.field_selector} if self.field_selector else {}

    def _report(self, undecodable: list[Undecodable]) -> None:
        for each in undecodable:
            log.warning("object not understood", kind=self.resource.plural, object=str(each.key), problem=each.problem)


def _expired_or(error: ApiError) -> Exception:
    """`ExpiredError` where a new list helps, else the error itself."""
    status = error.status
    too_large = status.code == 504 and "ResourceVersionTooLarge" in status.causes
    return ExpiredError(str(error)) if status.code == 410 or too_large else error


async def reflect_for_ever(reflector: Reflector[T], sink: Sink[T], troubled: Callable[[str], None]) -> None:
    """List and watch, and whatever breaks, list again. What broke is logged, and told to `troubled`."""
    backoff, loop = Backoff(base=0.5, cap=30), asyncio.get_running_loop()
    plural = reflector.resource.plural
    while True:
        started = loop.time()
        try:
            listing = await reflector.list_all()
            sink.replace(listing)
            await reflector.watch(listing.resource_version, sink)
        except (ApiError, TransportError, WireError) as error:
            log.warning("main cluster not read", kind=plural, problem=str(error), mend=_mend(error, plural))
            troubled(str(error))
        except Exception:
            log.exception("internal error", kind=plural)
        if loop.time() - started > HEALTHY_SECONDS:
            backoff.reset()
        await asyncio.sleep(backoff.next_delay())


def _mend(error: Exception, plural: str) -> str | None:
    """What the user can do about an error of the main cluster, where that is clear."""
    if not isinstance(error, ApiError):
        return None
    if error.status.code == 404 and plural == CLUSTER_LINKS.plural:
        return "install the ClusterLink CRD: kubectl apply -f crd/"
    if error.status.code == 403:
        return f"grant svclink get, list and watch on {plural}"
    return None
