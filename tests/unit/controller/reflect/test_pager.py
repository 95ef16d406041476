"""However a server pages, a list is complete, or an error that says why not, and ends.

Real: the pager, the client, sockets and TLS. Substituted: the API server, by scripts. How an expired list is started
again is in test_reflector.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeAlias, cast

import pytest
from aiohttp import web

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TooLargeError, TransportError
from svclink_controller.api.limits import DEFAULT_LIMITS, Limits
from svclink_controller.backoff import Backoff
from svclink_controller.reflect import pager
from svclink_controller.reflect.pager import OVERLOAD_TRIES, Pager
from svclink_controller.wire.messages import Page
from svclink_controller.wire.reading import decode_page
from svclink_controller.wire.resources import SERVICES, Resource
from svclink_core import Service
from tests.unit.controller.servers import Server, connected, page, refusal, serving

Answer: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def service(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}"},
        "spec": {},
        **changes,
    }


@asynccontextmanager
async def paging(
    answer: Answer, limits: Limits = DEFAULT_LIMITS
) -> AsyncIterator[tuple[Server, Pager[Service]]]:
    async with serving(answer) as server, connected(server.url, limits) as client:
        yield server, Pager(client, "/api/v1/services", {}, SERVICES, Backoff(base=0.001, cap=0.01))


def endless(*items: dict[str, Any]) -> Answer:
    """A server that always has one more page."""
    tokens = count(1)

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return page(*items, token=f"t{next(tokens)}")

    return answer


@pytest.mark.parametrize(
    ("limit", "value", "items"),
    [
        ("MAX_OBJECTS", 5, (service("a"), service("b"))),
        ("MAX_OBJECTS", 5, (service("a", spec=5),)),
        ("MAX_BYTES", 2_000, (service("a"),)),
        ("MAX_PAGES", 6, ()),
    ],
    ids=["objects", "objects that make no sense", "bytes", "empty pages"],
)
async def test_list_without_an_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int, items: tuple[dict[str, Any], ...]
) -> None:
    """A server that always gives a token for one more page does not fill the memory, and the error says so."""
    monkeypatch.setattr(pager, limit, value)
    async with paging(endless(*items)) as (server, lister):
        with pytest.raises(TransportError, match="the list of services does not end"):
            await lister.list_all()
    assert 2 < len(server.requests) < 20


async def test_pages_that_come_at_once_are_taken_apart_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten clusters that answer at the same moment do not hold up everybody else for ten pages."""
    turn, seen = 0, []

    async def count() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    class Answered:
        async def get(self, *_: object, **__: object) -> bytes:
            return b'{"metadata": {"resourceVersion": "1"}, "items": []}'

    def decode(content: bytes, resource: Resource[Service]) -> Page[Service]:
        seen.append(turn)
        return decode_page(content, resource)

    monkeypatch.setattr(pager, "decode_page", decode)
    counting = asyncio.create_task(count())
    client = cast("Client", Answered())
    await asyncio.gather(
        *(Pager(client, "/x", {}, SERVICES, Backoff(1, 1)).list_all() for _ in range(10))
    )
    counting.cancel()
    assert len(set(seen)) == 10


async def test_pages_over_the_limit_are_asked_for_in_smaller_ones() -> None:
    """A cluster of large objects is listed all the same: nothing is known to be missing from a list cut short."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        start, limit = int(request.query.get("continue", "0")), int(request.query["limit"])
        end = min(start + limit, 40)
        items = [service(f"s{number}", padding="x" * 100) for number in range(start, end)]
        return page(*items, token=str(end) if end < 40 else None)

    async with paging(answer, Limits(response_bytes=3_000)) as (server, lister):
        listing = await lister.list_all()
    assert [item.metadata.name for item in listing.items] == [f"s{number}" for number in range(40)]
    assert [request.query["limit"] for request in server.requests] == ["250", "50", *["10"] * 4]


async def test_one_object_over_the_limit_is_an_error() -> None:
    """Where even a page of one object is too large, there is no list, and the asking ends."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return page(service("a", padding="x" * 3_000))

    async with paging(answer, Limits(response_bytes=3_000)) as (server, lister):
        with pytest.raises(TooLargeError):
            await lister.list_all()
    assert server.requests[-1].query["limit"] == "1"


@pytest.mark.parametrize("text", ["", "Too many requests, please try again later.\n"])
async def test_overload_in_the_middle_loses_no_page(text: str) -> None:
    """A 429, also as plain text, is waited out, and the list goes on from the page it was at."""
    answers = [
        page(service("a"), token="t"),  # noqa: S106 - a token of a list
        web.Response(status=429, text=text) if text else refusal(429, "TooManyRequests"),
        page(service("b")),
    ]

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return answers.pop(0)

    async with paging(answer) as (server, lister):
        listing = await lister.list_all()
    assert [item.metadata.name for item in listing.items] == ["a", "b"]
    assert [request.query.get("continue") for request in server.requests] == [None, "t", "t"]


async def test_overload_that_stays_is_an_error() -> None:
    """A server that never has time is somebody else's trouble after a few tries."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return refusal(429, "TooManyRequests")

    async with paging(answer) as (server, lister):
        with pytest.raises(ApiError, match="429"):
            await lister.list_all()
    assert len(server.requests) == OVERLOAD_TRIES


async def test_server_that_hangs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts connections and answers nothing is found out by asking it for one object."""
    monkeypatch.setattr(pager, "PROBE_SECONDS", 0.1)

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        return page()

    async with paging(hang) as (_, lister):
        with pytest.raises(TransportError, match="did not answer in time"):
            await lister.newest_version()


async def test_newest_version_costs_one_object() -> None:
    """Where a cluster is by now is asked without listing it."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return page(service("a"), version="77", token="more")  # noqa: S106

    async with paging(answer) as (server, lister):
        assert await lister.newest_version() == "77"
    assert [request.query["limit"] for request in server.requests] == ["1"]
