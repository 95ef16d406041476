"""The fake API server behaves as Kubernetes does, and fails as its script says.

Real: sockets, TLS, HTTP, the client. Substituted: nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from attrs import define

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from tests.builders.values import service
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import (
    Answer,
    CutWatch,
    Fault,
    Garbage,
    Hang,
    HangUp,
    Hold,
    Refuse,
    WatchError,
    ends_with,
    is_watch,
    starts_with,
)
from tests.unit.controller.http_server import connected, serving
from tests.unit.controller.responses import bookmark
from tests.unit.controller.waiting import eventually

SERVICES = "/api/v1/services"


@define
class World:
    """A fake API server and a client of it."""

    api: FakeApiServer
    client: Client

    async def get(self, path: str = SERVICES, **query: str) -> object:
        return json.loads(await self.client.get(path, query))

    async def names(self, **query: str) -> tuple[list[str], str | None]:
        """The names on a page of Services, and the token of the next page."""
        page = json.loads(await self.client.get(SERVICES, query))
        return [each["metadata"]["name"] for each in page["items"]], page["metadata"].get(
            "continue"
        )

    async def events(self, count: int, version: int) -> list[tuple[str, str]]:
        """The next lines of a watch of Services, as type and name."""
        query = {"watch": "true", "resourceVersion": str(version)}
        seen: list[tuple[str, str]] = []
        async with aclosing(self.client.lines(SERVICES, query)) as lines:
            async for line in lines:
                event = json.loads(line)
                seen.append((event["type"], event["object"].get("metadata", {}).get("name", "")))
                if len(seen) == count:
                    break
        return seen


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    api = FakeApiServer()
    async with serving(api) as server, connected(server.url) as client:
        yield World(api, client)


async def test_lists_are_paged() -> None:
    """A page has at most `limit` objects, and a token while objects are left."""
    async with world() as it:
        for name in ("a", "b", "c"):
            it.api.put(service(name))
        assert await it.names(limit="2") == (["a", "b"], "2")
        assert await it.names(**{"limit": "2", "continue": "2"}) == (["c"], None)
        assert await it.names() == (["a", "b", "c"], None)


async def test_watch_sends_what_happened_since_its_version() -> None:
    """A watch begins with the first write after its resourceVersion."""
    async with world() as it:
        it.api.put(service("before"))
        version = it.api.revision
        it.api.put(service("web"))
        it.api.put(service("web", cluster_ip="10.96.0.2"))
        it.api.send_bookmark()
        it.api.remove(service("web"))
        assert await it.events(4, version) == [
            ("ADDED", "web"),
            ("MODIFIED", "web"),
            ("BOOKMARK", ""),
            ("DELETED", "web"),
        ]


async def test_watch_from_a_compacted_version_is_expired() -> None:
    """After a compaction a watch from before it gets 410."""
    async with world() as it:
        version = it.api.revision
        it.api.compact()
        assert await it.events(1, version) == [("ERROR", "")]


@pytest.mark.parametrize("fault", [Refuse(503), Garbage(code=502), Refuse(403, "Forbidden")])
async def test_fault_applies_as_often_as_the_script_says(fault: Fault) -> None:
    """A rule is used up, counts its hits, and does not affect other requests."""
    async with world() as it:
        rule = it.api.fail(fault, when=ends_with("/services"), times=2)
        for _ in range(2):
            with pytest.raises(ApiError):
                await it.get()
        assert await it.get() == {
            "kind": "List",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": "100"},
            "items": [],
        }
        await it.get("/version")
        assert rule.hits == 2


async def test_healed_server_works() -> None:
    """`heal` ends all faults."""
    async with world() as it:
        it.api.fail(HangUp(), starts_with("/api/"))
        with pytest.raises(TransportError):
            await it.get()
        it.api.heal()
        assert await it.names() == ([], None)


async def test_answer_replaces_the_response() -> None:
    """A test can give the content of a response."""
    async with world() as it:
        it.api.fail(Answer({"metadata": 5}))
        assert await it.get() == {"metadata": 5}


async def test_held_request_is_answered_when_released() -> None:
    """A held request waits for the test, and then gets the state of that moment."""
    async with world() as it:
        hold = Hold()
        rule = it.api.fail(hold, times=1)
        request = asyncio.create_task(it.names())
        await eventually(lambda: rule.hits == 1)
        it.api.put(service("late"))
        hold.released.set()
        assert await request == (["late"], None)


async def test_hanging_request_is_never_answered() -> None:
    """Other requests go on while one hangs."""
    async with world() as it:
        rule = it.api.fail(Hang(), ends_with("/version"))
        request = asyncio.create_task(it.get("/version"))
        await eventually(lambda: rule.hits == 1)
        assert await it.names() == ([], None)
        assert not request.done()
        request.cancel()


@pytest.mark.parametrize(
    ("fault", "types"),
    [(CutWatch((bookmark("7"),)), ["BOOKMARK"]), (CutWatch(), []), (WatchError(), ["ERROR"])],
)
async def test_watch_ends(fault: Fault, types: list[str]) -> None:
    """A watch that is cut sends its lines and ends."""
    async with world() as it:
        it.api.fail(fault, is_watch)
        assert [kind for kind, _ in await it.events(9, 100)] == types


async def test_eventually_names_the_state_that_was_not_reached() -> None:
    """A test that waits in vain fails with the condition it waited for."""
    never: list[int] = []
    with pytest.raises(AssertionError, match=r"not reached.*never"):
        await eventually(lambda: bool(never), seconds=0.01)
