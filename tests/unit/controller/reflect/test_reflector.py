"""A list is complete or an error; a watch goes on from where it was, and lists anew only where nothing else helps.

Real: the reflector, the client, sockets and TLS. Substituted: the API server, by scripts, and the store, by a record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import pytest
from aiohttp import web
from attrs import define, evolve, field
from structlog.testing import capture_logs

from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.api.limits import DEFAULT_LIMITS, Limits
from svclink_controller.backoff import Backoff
from svclink_controller.reflect import reflector as reflector_module
from svclink_controller.reflect.pager import PAGE_SIZE
from svclink_controller.reflect.reflector import (
    MAX_OVERLOADS,
    WATCH_TIMEOUT_SECONDS,
    Reflector,
    reflect_for_ever,
)
from svclink_controller.wire.messages import Listing, Undecodable, WireError
from svclink_controller.wire.resources import SERVICES
from svclink_core import NamespacedName, Service
from tests.unit.controller.servers import (
    Server,
    bookmark,
    connected,
    event,
    eventually,
    page,
    refusal,
    serving,
    status_object,
    stream,
)

Answer: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def service(name: str = "web", version: str = "1", **changes: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "default",
        "resourceVersion": version,
        "uid": f"uid-of-{name}",
    }
    return {"metadata": metadata, "spec": {}, **changes}


@define
class Record:
    """A sink that remembers what it was fed, in words."""

    said: list[str] = field(factory=list)

    async def replace(self, listing: Listing[Service]) -> None:
        self.said.append(f"list of {','.join(item.metadata.name for item in listing.items)}")

    def apply(self, item: Service) -> None:
        self.said.append(f"{item.metadata.name} is at {item.metadata.resource_version}")

    def remove(self, key: NamespacedName) -> None:
        self.said.append(f"{key.name} is gone")

    def mark_undecodable(self, each: Undecodable) -> None:
        self.said.append(f"{each.key.name} makes no sense")


def says(*chunks: bytes, stay: bool = False) -> Answer:
    """A watch that says some things and ends, or stays."""

    async def say(request: web.BaseRequest) -> web.StreamResponse:
        return await stream(request, *chunks, stay=stay)

    return say


def gives(make: Callable[[], web.Response]) -> Answer:
    """An answer that is there at once."""

    async def give(_: web.BaseRequest) -> web.StreamResponse:
        return make()

    return give


STAYS = says(stay=True)


@define
class Script:
    """Answers to lists and to watches, one after the other; the last of each is given again and again."""

    lists: list[Answer]
    watches: list[Answer]

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        answers = self.watches if request.query.get("watch") == "true" else self.lists
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(request)


@asynccontextmanager
async def reflecting(
    script: Script,
    namespace: str = "",
    *,
    patient: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncIterator[tuple[Server, Reflector[Service]]]:
    """A reflector of Services of a scripted server: as patient as a real one, or one that tests need not wait for."""
    async with serving(script) as server, connected(server.url, limits) as client:
        reflector = Reflector(client, SERVICES, namespace)
        yield (
            server,
            reflector if patient else evolve(reflector, backoff=Backoff(base=0.01, cap=0.05)),
        )


@asynccontextmanager
async def watching(
    *watches: Answer,
    lists: tuple[Answer, ...] = (gives(lambda: page(service("listed"), version="50")),),
    patient: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncIterator[tuple[Server, Record, asyncio.Task[None]]]:
    """A watch from version 1, with what it was fed."""
    record = Record()
    script = Script(list(lists), list(watches))
    async with reflecting(script, patient=patient, limits=limits) as (server, reflector):
        task = asyncio.create_task(reflector.watch("1", record))
        try:
            yield server, record, task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, ApiError, TransportError, WireError):
                await task


def versions(server: Server) -> list[str]:
    """The versions that were watched from."""
    return [request.query["resourceVersion"] for request in server.watches]


# Lists


async def list_names(reflector: Reflector[Service]) -> list[str]:
    return [item.metadata.name for item in (await reflector.list_all()).items]


async def test_list_is_put_together_from_its_pages() -> None:
    """Pages are asked for one after the other with the token of the one before; the last one's version counts."""
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
async def test_list_and_watch_are_of_the_namespace(namespace: str, path: str) -> None:
    """A reflector of one namespace asks for that namespace only."""
    script = Script([gives(page)], [gives(lambda: refusal(500))])
    async with reflecting(script, namespace) as (server, reflector):
        await reflector.list_all()
        with pytest.raises(ApiError):
            await reflector.watch("1", Record())
    assert server.paths == [path, path]


async def test_list_that_expires_in_the_middle_starts_again() -> None:
    """A 410 for a later page means: from the beginning; nothing of the first pages is kept."""
    pages = (
        gives(lambda: page(service("old"), version="5", token="t")),  # noqa: S106
        gives(lambda: refusal(410, "Expired")),
        gives(lambda: page(service("new"), version="7")),
    )
    async with reflecting(Script(list(pages), [])) as (_, reflector):
        assert await list_names(reflector) == ["new"]


async def test_list_that_keeps_expiring_is_asked_for_in_one_page() -> None:
    """A server that forgets faster than it is read gets one request without a limit."""
    expired = gives(lambda: refusal(410, "Expired"))
    script = Script([expired, expired, gives(lambda: page(service("a")))], [])
    async with reflecting(script) as (server, reflector):
        assert await list_names(reflector) == ["a"]
    assert [request.query.get("limit") for request in server.requests] == [
        str(PAGE_SIZE),
        str(PAGE_SIZE),
        None,
    ]


async def test_list_that_never_gets_complete_is_an_error() -> None:
    """Where even the list in one page expires, there is no list."""
    async with reflecting(Script([gives(lambda: refusal(410, "Expired"))], [])) as (
        server,
        reflector,
    ):
        with pytest.raises(TransportError, match="expired three times"):
            await reflector.list_all()
    assert len(server.requests) == 3


@pytest.mark.parametrize("code", [401, 403, 404, 429, 500, 504])
async def test_refused_page_is_no_page(code: int) -> None:
    """A list whose second page is refused is no shorter list but an error."""
    pages = [
        gives(lambda: page(service("a"), token="t")),  # noqa: S106
        gives(lambda: refusal(code)),
    ]
    async with reflecting(Script(pages, [])) as (_, reflector):
        with pytest.raises(ApiError):
            await reflector.list_all()


async def test_list_says_what_it_could_not_understand() -> None:
    """An object of a page that makes no sense is not among the items, and not absent."""
    script = Script([gives(lambda: page(service("a"), service("b", spec=5)))], [])
    async with reflecting(script) as (_, reflector):
        listing = await reflector.list_all()
    assert [each.key.name for each in listing.undecodable] == ["b"]


async def test_garbage_is_no_list() -> None:
    """HTML with status 200 is an error."""
    script = Script([gives(lambda: web.Response(text="<html>Sign in</html>"))], [])
    async with reflecting(script) as (_, reflector):
        with pytest.raises(WireError):
            await reflector.list_all()


# Watches


async def test_watch_feeds_every_change() -> None:
    """What is added, modified and deleted is told in the order in which it comes."""
    lines = (
        event("ADDED", service("a", "2")),
        event("MODIFIED", service("a", "3")),
        event("ADDED", service("b", "4", spec=5)),
        event("DELETED", service("a", "5")),
    )
    async with watching(says(*lines, stay=True)) as (_, record, _):
        await eventually(lambda: len(record.said) == 4)
    assert record.said == ["a is at 2", "a is at 3", "b makes no sense", "a is gone"]


async def test_watch_asks_for_bookmarks_and_an_end() -> None:
    """A watch wants bookmarks, and to be ended by the server at a random time."""
    async with watching(STAYS) as (server, _, _):
        await eventually(lambda: bool(server.watches))
    query = server.watches[0].query
    assert (query["watch"], query["allowWatchBookmarks"], query["resourceVersion"]) == (
        "true",
        "true",
        "1",
    )
    assert WATCH_TIMEOUT_SECONDS[0] <= int(query["timeoutSeconds"]) <= WATCH_TIMEOUT_SECONDS[1]


async def test_watch_that_ended_goes_on_from_the_last_version() -> None:
    """After the end of a stream, the next one starts where it was; nothing is listed."""
    first = says(event("ADDED", service("a", "7")), event("DELETED", service("a", "9")))
    async with watching(first, STAYS) as (server, _, _):
        await eventually(lambda: len(server.watches) == 2)
    assert (versions(server), server.lists) == (["1", "9"], [])


async def test_bookmark_moves_the_version() -> None:
    """A bookmark feeds nothing, and the next watch starts from it."""
    async with watching(says(bookmark("42")), STAYS) as (server, record, _):
        await eventually(lambda: len(server.watches) == 2)
    assert (versions(server), record.said) == (["1", "42"], [])


async def test_object_that_makes_no_sense_moves_the_version() -> None:
    """The watch does not come back to an object nobody understands."""
    async with watching(says(event("ADDED", service("a", "8", spec=5))), STAYS) as (server, _, _):
        await eventually(lambda: len(server.watches) == 2)
    assert versions(server) == ["1", "8"]


async def test_event_without_version_leaves_the_version_alone() -> None:
    """A bookmark that says nothing does not make the watch begin from nothing."""
    async with watching(says(bookmark("42"), bookmark("")), STAYS) as (server, _, _):
        await eventually(lambda: len(server.watches) == 2)
    assert versions(server) == ["1", "42"]


EXPIRED_EVENT = says(event("ERROR", status_object(410, "Expired")))
EXPIRED_STATUS = gives(lambda: refusal(410, "Expired"))
TOO_LARGE = gives(
    lambda: refusal(504, "Timeout", "Too large resource version", cause="ResourceVersionTooLarge")
)
TOO_LARGE_EVENT = says(
    event("ERROR", status_object(504, "Timeout", cause="ResourceVersionTooLarge"))
)


@pytest.mark.parametrize("expired", [EXPIRED_EVENT, EXPIRED_STATUS, TOO_LARGE, TOO_LARGE_EVENT])
async def test_version_the_server_does_not_know_is_listed_anew(expired: Answer) -> None:
    """410 in either form, and 504 for a version of the future: list, replace, and watch from the list."""
    async with watching(expired, STAYS) as (server, record, _):
        await eventually(lambda: len(server.watches) == 2)
    assert record.said == ["list of listed"]
    assert versions(server) == ["1", "50"]


async def test_cluster_that_went_back_is_listed_anew() -> None:
    """An API server restored from a backup takes a watch from the future and says nothing: its list is believed."""
    restored = gives(lambda: page(service("restored"), version="40"))
    async with watching(says(bookmark("90")), STAYS, lists=(restored,)) as (server, record, _):
        await eventually(lambda: len(server.watches) == 2)
    assert record.said == ["list of restored"]
    assert versions(server) == ["1", "40"]


async def test_cluster_that_is_where_it_was_is_not_listed_anew() -> None:
    """Nothing happened while no watch was open: the next one goes on, and one object was asked for."""
    same = gives(lambda: page(service("a"), version="90"))
    async with watching(says(bookmark("90")), STAYS, lists=(same,)) as (server, record, _):
        await eventually(lambda: len(server.watches) == 2)
    assert (versions(server), server.lists, record.said) == (["1", "90"], [], [])


async def test_list_that_fails_after_a_410_is_the_owners_business() -> None:
    """Where the new list is refused, the watch ends with that refusal."""
    async with watching(EXPIRED_STATUS, lists=(gives(lambda: refusal(403)),)) as (_, record, task):
        with pytest.raises(ApiError, match="403"):
            await task
    assert record.said == []


async def test_overload_is_waited_out() -> None:
    """A 429 ends nothing: the watch goes on from where it was, after the time the server asked for."""
    async with watching(
        says(bookmark("9")), gives(lambda: refusal(429, "TooManyRequests", retry_after=1)), STAYS
    ) as (
        server,
        record,
        _,
    ):
        await eventually(lambda: len(server.watches) == 3)
    assert (versions(server), server.lists, record.said) == (["1", "9", "9"], [], [])


async def test_overload_that_stays_is_the_owners_business() -> None:
    """A server that never has time for a watch is not known any more, however alive it is."""
    async with watching(gives(lambda: refusal(429, "TooManyRequests"))) as (server, _, task):
        with pytest.raises(ApiError, match="429"):
            await task
    assert len(server.watches) > MAX_OVERLOADS


@pytest.mark.parametrize("code", [400, 401, 403, 404, 500, 503, 504])
async def test_any_other_refusal_is_the_owners_business(code: int) -> None:
    """What a reflector cannot mend ends the watch."""
    async with watching(gives(lambda: refusal(code))) as (_, _, task):
        with pytest.raises(ApiError, match=str(code)):
            await task


async def test_any_other_error_event_is_the_owners_business() -> None:
    """An ERROR event that is no 410 ends the watch as an error answer would."""
    async with watching(says(event("ERROR", status_object(500, "InternalError")))) as (_, _, task):
        with pytest.raises(ApiError, match="500 InternalError"):
            await task


async def test_garbage_ends_the_watch() -> None:
    """A line that is no watch event is an error, not a change."""
    async with watching(says(b"<html>\n")) as (_, record, task):
        with pytest.raises(WireError):
            await task
    assert record.said == []


async def test_broken_connection_is_the_owners_business() -> None:
    """A stream that breaks off ends the watch."""

    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(bookmark("9"))
        assert request.transport is not None
        request.transport.abort()
        return response

    async with watching(break_off) as (_, _, task):
        with pytest.raises(TransportError):
            await task


async def test_silence_is_no_trouble() -> None:
    """A watch that says nothing for long is asked for again from the same version."""
    limits = Limits(watch_silence_seconds=0.1)
    said = says(bookmark("9"), stay=True)
    async with watching(said, STAYS, limits=limits) as (server, record, task):
        await eventually(lambda: len(server.watches) >= 3)
        assert not task.done()
    assert versions(server)[:3] == ["1", "9", "9"]
    assert (server.lists, record.said) == ([], [])


async def test_server_that_ends_every_watch_at_once_is_not_hammered() -> None:
    """However a server ends its watches, it is not asked again and again without a pause."""

    async def count(behaviour: Answer) -> int:
        async with watching(behaviour, patient=True) as (server, _, _):
            await asyncio.sleep(1)
            asked = len(server.requests)
            await eventually(lambda: len(server.requests) >= 2)  # It has not given up either.
            return asked

    behaviours = {
        "closes": says(),
        "says something and closes": says(bookmark("9")),
        "410": EXPIRED_STATUS,
        "410 event": EXPIRED_EVENT,
        "says something and 410": says(bookmark("9"), event("ERROR", status_object(410))),
    }
    counts = dict(
        zip(behaviours, await asyncio.gather(*map(count, behaviours.values())), strict=True)
    )
    assert {name: asked < 60 for name, asked in counts.items()} == dict.fromkeys(
        behaviours, True
    ), counts


@pytest.mark.parametrize(("healthy_after", "expected"), [(-1, {0, 1}), (60, {4, 5, 6, 7})])
async def test_only_a_stream_that_lived_makes_up_for_those_before(
    monkeypatch: pytest.MonkeyPatch, healthy_after: float, expected: set[int]
) -> None:
    """A server that sends an event and hangs up, again and again, is asked less and less often."""
    monkeypatch.setattr(reflector_module, "HEALTHY_WATCH_SECONDS", healthy_after)
    script = Script([gives(lambda: page(version="50"))], [says(bookmark("9"))])
    async with reflecting(script) as (server, reflector):
        task = asyncio.create_task(reflector.watch("1", Record()))
        await eventually(lambda: len(server.watches) == 6)
        task.cancel()
        await asyncio.wait({task})
        assert reflector._backoff.failures in expected


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


# For ever, in the main cluster


@asynccontextmanager
async def reflecting_for_ever(script: Script) -> AsyncIterator[tuple[Server, Record, list[str]]]:
    """A reflection that nothing ends, what it was fed, and the troubles it told."""
    record, troubles = Record(), list[str]()
    async with reflecting(script) as (server, reflector):
        task = asyncio.create_task(reflect_for_ever(reflector, record, troubles.append))
        try:
            yield server, record, troubles
        finally:
            task.cancel()
            await asyncio.wait({task})


@pytest.mark.parametrize(
    "trouble",
    [
        gives(lambda: refusal(403, "Forbidden")),
        gives(lambda: refusal(500)),
        gives(lambda: web.Response(text="<html>")),
        gives(lambda: web.Response(status=301, headers={"Location": "https://127.0.0.1:1/"})),
    ],
    ids=["403", "500", "HTML", "redirect"],
)
async def test_list_is_tried_until_it_works(trouble: Answer) -> None:
    """Whatever the main cluster answers, it is listed in the end, and the trouble was told."""
    script = Script([trouble, gives(lambda: page(service("a")))], [STAYS])
    async with reflecting_for_ever(script) as (_, record, troubles):
        await eventually(lambda: record.said == ["list of a"])
        assert len(troubles) == 1


async def test_watch_that_broke_is_followed_by_a_list() -> None:
    """What a reflector cannot mend is mended by listing again: nothing that was missed stays unknown."""
    script = Script(
        [gives(lambda: page(service("a"))), gives(lambda: page(service("b")))],
        [gives(lambda: refusal(500)), STAYS],
    )
    async with reflecting_for_ever(script) as (_, record, _):
        await eventually(lambda: record.said == ["list of a", "list of b"])


async def test_internal_error_does_not_end_it() -> None:
    """A fault of whoever is fed is logged, and the list is made again."""

    class Faulty(Record):
        def apply(self, item: Service) -> None:
            super().apply(item)
            raise RuntimeError("a fault of svclink")

    record = Faulty()
    script = Script(
        [gives(lambda: page(service("a")))], [says(event("ADDED", service("b", "2"))), STAYS]
    )
    async with reflecting(script) as (_, reflector):
        with capture_logs() as logs:
            task = asyncio.create_task(reflect_for_ever(reflector, record, lambda _: None))
            await eventually(lambda: len(record.said) == 3)
            task.cancel()
            await asyncio.wait({task})
    assert record.said == ["list of a", "b is at 2", "list of a"]
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["internal error"]


async def test_main_cluster_is_left_alone_as_long_as_it_asks() -> None:
    """After a 503 with Retry-After the next list is not before that time."""
    overloaded = gives(
        lambda: web.Response(status=503, text="not ready", headers={"Retry-After": "100"})
    )
    async with reflecting_for_ever(Script([overloaded], [])) as (server, _, troubles):
        await eventually(lambda: bool(troubles))
        await asyncio.sleep(0.6)
        assert len(server.requests) == 1


async def test_what_to_do_is_said_where_that_is_clear() -> None:
    """A missing permission is named, so that it can be granted."""
    with capture_logs() as logs:
        async with reflecting_for_ever(Script([gives(lambda: refusal(403))], [])) as (
            _,
            _,
            troubles,
        ):
            await eventually(lambda: bool(troubles))
    assert logs[0]["mend"] == "grant svclink list and watch on services"


async def test_server_that_may_be_listed_but_not_watched_is_not_hammered() -> None:
    """Where every watch is refused, the whole cluster is not listed again and again without a pause."""
    script = Script([gives(lambda: page(service("a")))], [gives(lambda: refusal(403))])
    async with reflecting_for_ever(script) as (server, _, _):
        await asyncio.sleep(0.7)
        assert 2 <= len(server.requests) < 60
