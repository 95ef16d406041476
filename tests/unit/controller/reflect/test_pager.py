"""However a server pages, a list is complete, or an error that says why not.

Real: the pager, the client, sockets and TLS. Substituted: the API server, by scripts.
`test_reflector` checks how an expired list starts again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeAlias, cast

import msgspec
import pytest
from aiohttp import web
from attrs import evolve

from svclink_controller.api.client import Client
from svclink_controller.api.errors import (
    ApiError,
    BudgetExceededError,
    TooLargeError,
    TransportError,
)
from svclink_controller.api.limits import DEFAULT_LIMITS, Limits
from svclink_controller.api.spending import Account, Reading
from svclink_controller.backoff import Backoff
from svclink_controller.reflect.pager import LIST_LIMITS, OVERLOAD_TRIES, ListLimits, Pager
from svclink_controller.wire.resources import SERVICES
from svclink_core import Service
from svclink_core.budget import UNDECODABLE_BYTES, Budget, footprint
from tests.unit.controller.http_server import Server, connected, serving
from tests.unit.controller.responses import page, refusal

Answer: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def service(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}"},
        "spec": {},
        **changes,
    }


@asynccontextmanager
async def paging(
    answer: Answer,
    limits: Limits = DEFAULT_LIMITS,
    list_limits: ListLimits = LIST_LIMITS,
    account: Account | None = None,
) -> AsyncIterator[tuple[Server, Pager[Service]]]:
    backoff = Backoff(base=0.001, cap=0.01)
    async with serving(answer) as server, connected(server.url, limits, account) as client:
        yield server, Pager(client, "/api/v1/services", {}, SERVICES, backoff, list_limits)


def endless(*items: dict[str, Any]) -> Answer:
    """A server that always has one more page."""
    tokens = count(1)

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return page(*items, token=f"t{next(tokens)}")

    return answer


@pytest.mark.parametrize(
    ("budget", "items", "problem"),
    [
        (Budget(memory=5_000), (service("a"), service("b")), "raise --max-memory-per-remote"),
        (Budget(memory=5_000), (service("a", spec=5),), "raise --max-memory-per-remote"),
        (
            Budget(memory=400_000),
            (service("a", padding="x" * 50_000),),
            "a list from the cluster exceeds",
        ),
        (Budget(list_seconds=1), (), "takes more than 1 s"),
    ],
    ids=["objects", "undecodable objects", "bytes", "empty pages"],
)
async def test_list_without_end_is_an_error(
    budget: Budget, items: tuple[dict[str, Any], ...], problem: str
) -> None:
    """A server that always has one more page does not fill the memory, nor take for ever."""
    account = Account(budget)
    async with paging(endless(*items), account=account) as (server, lister):
        with pytest.raises(BudgetExceededError, match=problem):
            await lister.list_all()
        assert account.reading_bytes == 0
    assert len(server.requests) > 1


async def test_list_counts_until_its_memory_is_given_back() -> None:
    """What was listed counts until it is in the state, apart from what is there already."""
    held: list[Service] = []
    account = Account(Budget(), lambda: sum(map(footprint, held)), held.__contains__)

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return page(service("a"), service("b"), service("c", spec=5))

    async with paging(answer, account=account) as (_, lister):
        listing = await lister.list_all()
        expected = sum(map(footprint, listing.items)) + UNDECODABLE_BYTES
        assert account.reading_bytes == listing.memory == expected
        lister.client.reading.shrink(listing.memory)
        held.extend(listing.items)
        assert (await lister.list_all()).memory == UNDECODABLE_BYTES
    assert account.reading_bytes == 0


async def test_page_with_too_many_items_is_an_error_of_the_budget() -> None:
    """A server that ignores the limit of a page, and sends millions of items, is not lost."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text='{"metadata":{},"items":[' + ",".join("1" * 100_000) + "]}")

    async with paging(answer) as (_, lister):
        with pytest.raises(BudgetExceededError, match="more than 2000 services in one page"):
            await lister.list_all()


async def test_pages_that_arrive_together_are_decoded_in_turns() -> None:
    """Ten clusters that answer at the same moment do not block the event loop for ten pages."""
    turn, seen = 0, []

    async def count() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    class Answered:
        reading = Reading()

        async def get(self, *_: object, **__: object) -> bytes:
            return json.dumps(
                {"metadata": {"resourceVersion": "1"}, "items": [service("a")]}
            ).encode()

    def decode(content: bytes | msgspec.Raw) -> Service:
        seen.append(turn)
        return SERVICES.decode(content)

    resource = evolve(SERVICES, decode=decode)
    counting = asyncio.create_task(count())
    client = cast("Client", Answered())
    await asyncio.gather(
        *(Pager(client, "/x", {}, resource, Backoff(1, 1)).list_all() for _ in range(10))
    )
    counting.cancel()
    assert len(set(seen)) == 10


async def test_page_over_the_size_limit_is_requested_in_smaller_ones() -> None:
    """A cluster with large objects is listed completely."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        start, limit = int(request.query.get("continue", "0")), int(request.query["limit"])
        end = min(start + limit, 40)
        items = [service(f"s{number}", padding="x" * 100) for number in range(start, end)]
        return page(*items, token=str(end) if end < 40 else None)

    async with paging(answer, Limits(response_bytes=3_000)) as (server, lister):
        listing = await lister.list_all()
    assert [item.metadata.name for item in listing.items] == [f"s{number}" for number in range(40)]
    assert [request.query["limit"] for request in server.requests] == ["250", "31", *["3"] * 14]


async def test_one_object_over_the_limit_is_an_error() -> None:
    """If a page of one object is too large, there is no list, and no further request."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return page(service("a", padding="x" * 3_000))

    async with paging(answer, Limits(response_bytes=3_000)) as (server, lister):
        with pytest.raises(TooLargeError):
            await lister.list_all()
    assert [request.query["limit"] for request in server.requests] == ["250", "31", "3", "1"]


async def test_page_of_largest_objects_is_not_requested_in_smaller_ones() -> None:
    """A page of so few objects only exceeds the limit if one of them exceeds that of an object."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return page(service("a", padding="x" * 3_000))

    limits = Limits(response_bytes=3_000, watch_line_bytes=300)
    async with paging(answer, limits) as (server, lister):
        with pytest.raises(TooLargeError):
            await lister.list_all()
    assert [request.query["limit"] for request in server.requests] == ["250", "31", "10"]


@pytest.mark.parametrize("text", ["", "Too many requests, please try again later.\n"])
async def test_overload_between_pages_loses_no_page(text: str) -> None:
    """After a 429, even one in plain text, the list continues with the same page."""
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


async def test_lasting_overload_is_an_error() -> None:
    """A server that stays overloaded is reported after a few tries."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return refusal(429, "TooManyRequests")

    async with paging(answer) as (server, lister):
        with pytest.raises(ApiError, match="429"):
            await lister.list_all()
    assert len(server.requests) == OVERLOAD_TRIES


async def test_server_that_hangs_is_detected() -> None:
    """A request for one object times out on a server that accepts connections and never answers."""

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        return page()

    async with paging(hang, list_limits=ListLimits(probe_seconds=0.1)) as (_, lister):
        with pytest.raises(TransportError, match="did not answer in time"):
            await lister.newest_version()


async def test_newest_version_costs_one_object() -> None:
    """The newest version of a cluster is known without listing it."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return page(service("a"), version="77", token="more")  # noqa: S106

    async with paging(answer) as (server, lister):
        assert await lister.newest_version() == "77"
    assert [request.query["limit"] for request in server.requests] == ["1"]
