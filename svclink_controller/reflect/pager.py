"""Lists one kind of one cluster page by page, like client-go's ListPager."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final, Generic

import structlog
from attrs import define, evolve, frozen

from svclink_controller.api.client import Client
from svclink_controller.api.errors import (
    ApiError,
    BudgetExceededError,
    TooLargeError,
    TransportError,
)
from svclink_controller.backoff import Backoff
from svclink_controller.loop_turns import in_turns, next_turn
from svclink_controller.wire.messages import Listing, Page, T, TooManyItemsError, Undecodable
from svclink_controller.wire.reading import MAX_PAGE_ITEMS, decode_page
from svclink_controller.wire.resources import Resource

SMALLER_PAGES: Final = 8
"""Pages that are too large are requested anew in pages smaller by this factor."""

PROBE_SECONDS: Final = 15
"""Time-out of a request for one object."""

LARGE_PAGE_BYTES: Final = 2**20
"""Two larger pages are not held at once: the next one is requested after decoding this one."""

COUNTING_STEP_BYTES: Final = 2**17
"""The memory of a list is counted in steps of this size: to count each object takes longer."""

OVERLOAD_TRIES: Final = 4
MAX_EXPIRED_LISTS: Final = 3

log = structlog.get_logger()


@frozen
class ListLimits:
    """Time-outs of the requests of a list. The budget of the cluster limits the list as a whole.

    Args:
        page_seconds: Time-out of one page.
        probe_seconds: Time-out of a request for the newest resourceVersion.
    """

    page_seconds: float = 120
    probe_seconds: float = PROBE_SECONDS


LIST_LIMITS: Final = ListLimits()


@define
class Pager(Generic[T]):
    """Lists the objects under a path. A list is complete, or it is an error.

    Decoded objects count against the memory budget until `Reading.shrink` releases them.

    Args:
        client: The cluster.
        path: The path of the collection.
        selection: Query parameters that select objects.
        resource: How to decode the objects.
        backoff: The pauses for an overloaded server that sends no Retry-After.
        limits: Time-outs of its requests.
    """

    client: Client
    path: str
    selection: Mapping[str, str]
    resource: Resource[T]
    backoff: Backoff
    limits: ListLimits = LIST_LIMITS

    async def list_all(self) -> Listing[T]:
        """The complete list.

        Raises:
            BudgetExceededError: The list takes too long, or too much memory.
            ApiError, TransportError, WireError: There is no complete list.
        """
        budget = self.client.reading.account.budget
        deadline = asyncio.timeout(budget.list_seconds)
        try:
            async with deadline:
                return await self._list_until_complete()
        except TimeoutError as error:
            raise BudgetExceededError(budget.list_seconds_excess) from error
        except TooManyItemsError as error:
            raise BudgetExceededError(str(error)) from error

    async def _list_until_complete(self) -> Listing[T]:
        """The list, requested anew in smaller pages if they are too large, or after it expired.

        A list that expires between two pages starts again, and the third time it is requested in
        pages as large as possible. The token of an expired list would continue with a later state,
        and nothing could be concluded from such a list.
        """
        limit, expired = self.resource.page_size, 0
        while expired < MAX_EXPIRED_LISTS:
            try:
                return await self._list(limit)
            except TooLargeError:
                if limit <= (smallest := self.client.limits.always_fitting):
                    raise
                limit = max(limit // SMALLER_PAGES, smallest)
            except ApiError as error:
                if error.status.code != 410:
                    raise
                expired += 1
                limit = limit if expired < MAX_EXPIRED_LISTS - 1 else MAX_PAGE_ITEMS
        raise TransportError(
            f"the list of {self.resource.plural} expired three times before it was complete"
        )

    async def newest_version(self) -> str:
        """The newest resourceVersion of the cluster, from a list of one object."""
        content = await self._get({"limit": "1"}, "", self.limits.probe_seconds)
        return decode_page(content, self.resource).resource_version

    async def _list(self, limit: int) -> Listing[T]:
        listing: Listing[T] = Listing([], [], "")
        try:
            version = await self._read_pages({"limit": str(limit)}, listing)
        except BaseException:
            self.client.reading.shrink(listing.memory)
            raise
        log_undecodable(self.resource, listing.undecodable)
        return evolve(listing, resource_version=version)

    async def _read_pages(self, query: Mapping[str, str], listing: Listing[T]) -> str:
        """Add the objects of all pages to a list. Returns the resourceVersion of the last page."""
        budget, size = self.client.reading.account.budget, 0
        request = asyncio.ensure_future(self._get(query, ""))
        try:
            while True:
                content = await request
                # Pages of many clusters can arrive at once, and a page of 9 MB takes 15 ms to
                # split.
                await next_turn()
                page = decode_page(content, self.resource)
                token, version = page.continue_token, page.resource_version
                is_large = len(content) > LARGE_PAGE_BYTES
                if token and not is_large:  # The next page comes while this one is decoded.
                    request = asyncio.ensure_future(self._get(query, token))
                size += len(content)
                if size > budget.list_bytes:
                    raise BudgetExceededError(budget.list_bytes_excess)
                await self._add(page, len(content), listing)
                del content, page  # Free a large page before the next one comes.
                if not token:
                    return version
                if is_large:
                    request = asyncio.ensure_future(self._get(query, token))
        finally:
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)

    async def _get(
        self, limit: Mapping[str, str], token: str, seconds: float | None = None
    ) -> bytes:
        """One page; `seconds` replaces its usual time-out.

        An overloaded server is asked again, because an error would discard all earlier pages.
        """
        seconds = self.limits.page_seconds if seconds is None else seconds
        query = {**self.selection, **limit, **({"continue": token} if token else {})}
        for _ in range(OVERLOAD_TRIES - 1):
            try:
                return await self.client.get(self.path, query, seconds=seconds)
            except ApiError as error:
                if error.status.code != 429:
                    raise
                await asyncio.sleep(max(error.status.retry_after or 0, self.backoff.next_delay()))
        return await self.client.get(self.path, query, seconds=seconds)

    async def _add(self, page: Page[T], size: int, listing: Listing[T]) -> None:
        reading = self.client.reading
        reading.grow(size)
        try:
            await in_turns(self._decode_into(listing, page), share=reading.account.list_share)
        finally:
            reading.shrink(size)

    def _decode_into(self, listing: Listing[T], page: Page[T]) -> Iterator[None]:
        account, uncounted = self.client.reading.account, 0
        keeps = self.resource.keeps
        for each in page.objects:
            if keeps is None or keeps(each):
                listing.add(each)
                uncounted += account.new_memory(each)
            if uncounted > COUNTING_STEP_BYTES:
                self._count(uncounted, listing)
                uncounted = 0
            yield
        self._count(uncounted, listing)

    def _count(self, memory: int, listing: Listing[T]) -> None:
        listing.memory += memory
        self.client.reading.grow(memory)


def log_undecodable(resource: Resource[T], undecodable: list[Undecodable]) -> None:
    """Log which objects could not be decoded, and why."""
    for each in undecodable:
        log.warning(
            "object not decoded",
            kind=resource.plural,
            object=str(each.key),
            problem=each.problem,
        )
