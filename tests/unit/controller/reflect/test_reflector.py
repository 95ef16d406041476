"""A list is complete or an error.

A watch continues from its last version, and lists only if it must.

Real: the reflector, the client, sockets and TLS. Substituted: the API server, by scripts, the
    store,
by a record, and where a test counts pauses, the clock.
"""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.reflect.reflector import MAX_OVERLOADS, WATCH_TIMEOUT_SECONDS, Reflector
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.reading import MAX_PAGE_ITEMS
from svclink_controller.wire.resources import PAGE_SIZE
from svclink_core import Service
from tests.unit.controller.reflect.scripts import (
    STAYS_OPEN,
    Answer,
    Pauses,
    Record,
    Script,
    breaks,
    gives,
    reflecting,
    sends,
    service,
    versions,
    watching,
)
from tests.unit.controller.responses import bookmark, event, page, refusal, status_object, stream
from tests.unit.controller.waiting import eventually

# Lists


async def list_names(reflector: Reflector[Service]) -> list[str]:
    return [item.metadata.name for item in (await reflector.list_all()).items]


async def test_list_has_the_items_of_all_pages() -> None:
    """Each page is requested with the token of the previous one; the last has the version."""
    pages = (
        gives(lambda: page(service("a"), version="5", token="t 1&")),  # noqa: S106 - a token of a list
        gives(lambda: page(service("b"), version="5", token="t2")),  # noqa: S106
        gives(lambda: page(service("c"), version="6")),
    )
    async with reflecting(Script(list(pages), [])) as (server, reflector):
        listing = await reflector.list_all()
    assert [item.metadata.name for item in listing.items] == ["a", "b", "c"]
    assert listing.resource_version == "6"
    assert [request.query.get("continue") for request in server.requests] == [None, "t 1&", "t2"]
    assert {request.query["limit"] for request in server.requests} == {str(PAGE_SIZE)}


@pytest.mark.parametrize(
    ("namespace", "path"), [("", "/api/v1/services"), ("prod", "/api/v1/namespaces/prod/services")]
)
async def test_list_and_watch_read_one_namespace(namespace: str, path: str) -> None:
    """A reflector of one namespace requests only that namespace."""
    script = Script([gives(page)], [gives(lambda: refusal(500))])
    async with reflecting(script, namespace) as (server, reflector):
        await reflector.list_all()
        with pytest.raises(ApiError):
            await reflector.watch("1", Record())
    assert server.paths == [path, path]


async def test_list_that_expires_between_pages_starts_again() -> None:
    """After a 410 for a later page, nothing of the first pages is kept."""
    pages = (
        gives(lambda: page(service("old"), version="5", token="t")),  # noqa: S106
        gives(lambda: refusal(410, "Expired")),
        gives(lambda: page(service("new"), version="7")),
    )
    async with reflecting(Script(list(pages), [])) as (_, reflector):
        assert await list_names(reflector) == ["new"]


async def test_list_that_keeps_expiring_is_requested_in_large_pages() -> None:
    """A list that expires twice is requested in pages as large as svclink reads."""
    expired = gives(lambda: refusal(410, "Expired"))
    script = Script([expired, expired, gives(lambda: page(service("a")))], [])
    async with reflecting(script) as (server, reflector):
        assert await list_names(reflector) == ["a"]
    assert [request.query.get("limit") for request in server.requests] == [
        str(PAGE_SIZE),
        str(PAGE_SIZE),
        str(MAX_PAGE_ITEMS),
    ]


async def test_list_that_always_expires_is_an_error() -> None:
    """If the list in large pages expires too, there is no list."""
    async with reflecting(Script([gives(lambda: refusal(410, "Expired"))], [])) as (
        server,
        reflector,
    ):
        with pytest.raises(TransportError, match="expired three times"):
            await reflector.list_all()
    assert len(server.requests) == 3


@pytest.mark.parametrize("code", [401, 403, 404, 429, 500, 504])
async def test_list_with_a_refused_page_is_an_error(code: int) -> None:
    """A refused second page does not make a shorter list."""
    pages = [
        gives(lambda: page(service("a"), token="t")),  # noqa: S106
        gives(lambda: refusal(code)),
    ]
    async with reflecting(Script(pages, [])) as (_, reflector):
        with pytest.raises(ApiError):
            await reflector.list_all()


async def test_list_names_undecodable_objects() -> None:
    """An undecodable object is not one of the items, and not absent."""
    script = Script([gives(lambda: page(service("a"), service("b", spec=5)))], [])
    async with reflecting(script) as (_, reflector):
        listing = await reflector.list_all()
    assert [each.key.name for each in listing.undecodable] == ["b"]


async def test_html_instead_of_a_list_is_an_error() -> None:
    """HTML with status 200 is not a list."""
    script = Script([gives(lambda: web.Response(text="<html>Sign in</html>"))], [])
    async with reflecting(script) as (_, reflector):
        with pytest.raises(WireError):
            await reflector.list_all()


# Watches


async def test_watch_passes_every_change_on() -> None:
    """Objects that are added, modified and deleted reach the sink in order."""
    lines = (
        event("ADDED", service("a", "2")),
        event("MODIFIED", service("a", "3")),
        event("ADDED", service("b", "4", spec=5)),
        event("DELETED", service("a", "5")),
    )
    async with watching(sends(*lines, stay=True)) as (_, record, _):
        await eventually(lambda: len(record.received) == 4)
    assert record.received == ["a at 2", "a at 3", "b undecodable", "a removed"]


async def test_watch_requests_bookmarks_and_a_timeout() -> None:
    """A watch asks the server for bookmarks, and to end it after a random time."""
    async with watching(STAYS_OPEN) as (server, _, _):
        await eventually(lambda: bool(server.watches))
    query = server.watches[0].query
    assert (query["watch"], query["allowWatchBookmarks"], query["resourceVersion"]) == (
        "true",
        "true",
        "1",
    )
    assert WATCH_TIMEOUT_SECONDS[0] <= int(query["timeoutSeconds"]) <= WATCH_TIMEOUT_SECONDS[1]


async def test_next_watch_starts_from_the_last_version() -> None:
    """A watch that ended continues from its last version without a list."""
    first = sends(event("ADDED", service("a", "7")), event("DELETED", service("a", "9")))
    async with watching(first, STAYS_OPEN) as (server, _, _):
        await eventually(lambda: len(server.watches) == 2)
    assert (versions(server), server.lists) == (["1", "9"], [])


async def test_bookmark_moves_the_version() -> None:
    """A bookmark passes nothing on, and the next watch starts from it."""
    async with watching(sends(bookmark("42")), STAYS_OPEN) as (server, record, _):
        await eventually(lambda: len(server.watches) == 2)
    assert (versions(server), record.received) == (["1", "42"], [])


async def test_undecodable_object_moves_the_version() -> None:
    """The next watch starts after an undecodable object."""
    async with watching(sends(event("ADDED", service("a", "8", spec=5))), STAYS_OPEN) as (
        server,
        _,
        _,
    ):
        await eventually(lambda: len(server.watches) == 2)
    assert versions(server) == ["1", "8"]


async def test_event_without_version_keeps_the_version() -> None:
    """A bookmark without a version does not reset the watch."""
    async with watching(sends(bookmark("42"), bookmark("")), STAYS_OPEN) as (server, _, _):
        await eventually(lambda: len(server.watches) == 2)
    assert versions(server) == ["1", "42"]


EXPIRED_EVENT = sends(event("ERROR", status_object(410, "Expired")))
EXPIRED_STATUS = gives(lambda: refusal(410, "Expired"))
TOO_LARGE = gives(
    lambda: refusal(504, "Timeout", "Too large resource version", cause="ResourceVersionTooLarge")
)
TOO_LARGE_EVENT = sends(
    event("ERROR", status_object(504, "Timeout", cause="ResourceVersionTooLarge"))
)


@pytest.mark.parametrize("expired", [EXPIRED_EVENT, EXPIRED_STATUS, TOO_LARGE, TOO_LARGE_EVENT])
async def test_expired_version_is_followed_by_a_list(expired: Answer) -> None:
    """After a 410, or a 504 for a future version, the watch starts from a new list."""
    async with watching(expired, STAYS_OPEN) as (server, record, _):
        await eventually(lambda: len(server.watches) == 2)
    assert record.received == ["list of listed"]
    assert versions(server) == ["1", "50"]


async def test_restored_cluster_is_listed_again() -> None:
    """An API server restored from a backup accepts a watch from the future, so it is listed."""
    restored = gives(lambda: page(service("restored"), version="40"))
    async with watching(sends(bookmark("90")), STAYS_OPEN, lists=(restored,)) as (
        server,
        record,
        _,
    ):
        await eventually(lambda: len(server.watches) == 2)
    assert record.received == ["list of restored"]
    assert versions(server) == ["1", "40"]


async def test_unchanged_cluster_is_not_listed_again() -> None:
    """A cluster without changes between two watches is asked for one object only."""
    same = gives(lambda: page(service("a"), version="90"))
    async with watching(sends(bookmark("90")), STAYS_OPEN, lists=(same,)) as (server, record, _):
        await eventually(lambda: len(server.watches) == 2)
    assert (versions(server), server.lists, record.received) == (["1", "90"], [], [])


async def test_refused_list_after_a_410_ends_the_watch() -> None:
    """If the new list is refused, the watch ends with that error."""
    async with watching(EXPIRED_STATUS, lists=(gives(lambda: refusal(403)),)) as (_, record, task):
        with pytest.raises(ApiError, match="403"):
            await task
    assert record.received == []


async def test_watch_continues_after_an_overload() -> None:
    """After a 429 the watch continues from its version, when the Retry-After has passed."""
    async with watching(
        sends(bookmark("9")),
        gives(lambda: refusal(429, "TooManyRequests", retry_after=1)),
        STAYS_OPEN,
    ) as (
        server,
        record,
        _,
    ):
        await eventually(lambda: len(server.watches) == 3)
    assert (versions(server), server.lists, record.received) == (["1", "9", "9"], [], [])


async def test_lasting_overload_ends_the_watch() -> None:
    """A server that refuses every watch with 429 counts as unreachable after some tries."""
    async with watching(gives(lambda: refusal(429, "TooManyRequests"))) as (server, _, task):
        with pytest.raises(ApiError, match="429"):
            await task
    assert len(server.watches) > MAX_OVERLOADS


@pytest.mark.parametrize("code", [400, 401, 403, 404, 500, 503, 504])
async def test_other_error_ends_the_watch(code: int) -> None:
    """The watch ends with an error that a list does not fix."""
    async with watching(gives(lambda: refusal(code))) as (_, _, task):
        with pytest.raises(ApiError, match=str(code)):
            await task


async def test_html_instead_of_an_event_ends_the_watch() -> None:
    """A line that is not a watch event is an error, not a change."""
    async with watching(sends(b"<html>\n")) as (_, record, task):
        with pytest.raises(WireError):
            await task
    assert record.received == []


async def test_server_that_ends_every_watch_at_once_is_not_hammered() -> None:
    """However a server ends its watches, the reflector pauses longer and longer between them."""

    async def paused(behaviour: Answer) -> float:
        pauses = Pauses(allowed=12)
        async with watching(behaviour, pauses=pauses):
            return sum(await pauses.all())

    behaviours = {
        "closes": sends(),
        "sends an event and closes": sends(bookmark("9")),
        "breaks the connection": breaks(),
        "sends an error": sends(event("ERROR", status_object(500))),
        "410": EXPIRED_STATUS,
        "410 event": EXPIRED_EVENT,
        "sends an event and 410": sends(bookmark("9"), event("ERROR", status_object(410))),
    }
    sums = await asyncio.gather(*map(paused, behaviours.values()))
    assert {name for name, seconds in zip(behaviours, sums, strict=True) if seconds < 5} == set()


@pytest.mark.parametrize(("healthy_seconds", "expected"), [(-1, 1), (60, 6)])
async def test_only_a_healthy_watch_shortens_the_next_pause(
    healthy_seconds: float, expected: int
) -> None:
    """Pauses grow for a server that sends an event and closes the watch, again and again."""
    script = Script([gives(lambda: page(version="50"))], [sends(bookmark("9"))])
    pauses = Pauses(allowed=6)
    async with reflecting(script, pauses=pauses) as (_, reflector):
        reflector.healthy_seconds = healthy_seconds
        task = asyncio.create_task(reflector.watch("1", Record()))
        await pauses.all()
        task.cancel()
        await asyncio.wait({task})
        assert reflector._backoff.failures == expected


async def test_watch_can_be_cancelled() -> None:
    """A cancelled watch ends at once and leaves no connection."""
    gone = asyncio.Event()

    async def stay(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await stream(request, stay=True)
        finally:
            gone.set()

    async with watching(stay) as (server, _, task):
        await eventually(lambda: bool(server.watches))
        task.cancel()
        await asyncio.wait({task})
        await asyncio.wait_for(gone.wait(), 10)
