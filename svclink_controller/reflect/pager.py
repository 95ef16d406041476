"""Lists one kind of one cluster, page by page, as client-go's ListPager. A list is complete or it is an error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Generic

import structlog
from attrs import define, evolve

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TooLargeError, TransportError
from svclink_controller.backoff import Backoff
from svclink_controller.loop_turns import in_turns, next_turn
from svclink_controller.wire.messages import Listing, Page, Undecodable
from svclink_controller.wire.reading import T, decode_page
from svclink_controller.wire.resources import Resource

PAGE_SIZE: Final = 250
LIST_SECONDS: Final = 120
PROBE_SECONDS: Final = 15
"""For one object. After a watch was silent, it tells within 90 s in all that a server hangs."""

MAX_OBJECTS: Final = 250_000
MAX_BYTES: Final = 2**30
MAX_PAGES: Final = 20_000
"""Where a list ends at the latest: a server that always has one more page would fill the memory."""

LARGE: Final = 2**20
"""Bytes of a page that is not worth having in the memory beside the one before it."""

OVERLOAD_TRIES: Final = 4

log = structlog.get_logger()


@define
class Pager(Generic[T]):
    """Lists what is under a path, as far as the selection goes.

    Args:
        client: The cluster.
        path: The collection.
        selection: Query parameters that choose objects.
        resource: How they are decoded.
        backoff: How long a server with too much to do is left alone that does not say so itself.
    """

    client: Client
    path: str
    selection: Mapping[str, str]
    resource: Resource[T]
    backoff: Backoff

    async def list_all(self) -> Listing[T]:
        """The complete list.

        Where it expires in the middle it is started again, and at last asked for in one page. The token of an expired
        list would give the rest of a later one (kubernetes-semantics 6.5), from which nothing could be concluded.

        Raises:
            ApiError, TransportError, WireError: There is no complete list.
        """
        limit, expired = PAGE_SIZE, 0
        while expired < 3:
            try:
                return await self._list(limit)
            except TooLargeError:
                if limit <= 1:
                    raise
                limit = max(limit // 5, 1)
            except ApiError as error:
                if error.status.code != 410:
                    raise
                expired += 1
                limit = limit if expired < 2 else 0
        raise TransportError(
            f"the list of {self.resource.plural} expired three times before it was complete"
        )

    async def newest_version(self) -> str:
        """The resourceVersion the cluster is at now."""
        content = await self.client.get(
            self.path, {**self.selection, "limit": "1"}, seconds=PROBE_SECONDS
        )
        return decode_page(content, self.resource).resource_version

    async def _list(self, limit: int) -> Listing[T]:
        listing: Listing[T] = Listing([], [], "")
        size = pages = 0
        first = {"limit": str(limit)} if limit else {}
        coming = asyncio.ensure_future(self._get(first, ""))
        try:
            while True:
                content = await coming
                # Pages of many clusters can come at once, and each of 9 MB takes 15 ms to take apart.
                await next_turn()
                page = decode_page(content, self.resource)
                token, version, is_large = (
                    page.continue_token,
                    page.resource_version,
                    len(content) > LARGE,
                )
                if token and not is_large:
                    coming = asyncio.ensure_future(
                        self._get(first, token)
                    )  # While this one is decoded.
                size, pages = size + len(content), pages + 1
                await self._add(page, listing)
                del content, page  # A large one goes before the next one comes.
                self._require_an_end(listing, size, pages)
                if not token:
                    report(self.resource, listing.undecodable)
                    return evolve(listing, resource_version=version)
                if is_large:
                    coming = asyncio.ensure_future(self._get(first, token))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _get(self, limit: Mapping[str, str], token: str) -> bytes:
        """One page. A server with too much to do is asked again before the pages that are there already are lost."""
        query = {**self.selection, **limit, **({"continue": token} if token else {})}
        for _ in range(OVERLOAD_TRIES - 1):
            try:
                return await self.client.get(self.path, query, seconds=LIST_SECONDS)
            except ApiError as error:
                if error.status.code != 429:
                    raise
                await asyncio.sleep(max(error.status.retry_after or 0, self.backoff.next_delay()))
        return await self.client.get(self.path, query, seconds=LIST_SECONDS)

    async def _add(self, page: Page[T], listing: Listing[T]) -> None:
        for each in await in_turns(page.objects):
            listing.add(each)

    def _require_an_end(self, listing: Listing[T], size: int, pages: int) -> None:
        count = len(listing.items) + len(listing.undecodable)
        if count > MAX_OBJECTS or size > MAX_BYTES or pages > MAX_PAGES:
            raise TransportError(
                f"the list of {self.resource.plural} does not end: {count} objects of {size} bytes in {pages} pages are"
                f" more than the {MAX_OBJECTS} objects, {MAX_BYTES} bytes and {MAX_PAGES} pages svclink reads"
            )


def report(resource: Resource[T], undecodable: list[Undecodable]) -> None:
    """Log which objects make no sense, and why."""
    for each in undecodable:
        log.warning(
            "object not understood",
            kind=resource.plural,
            object=str(each.key),
            problem=each.problem,
        )
