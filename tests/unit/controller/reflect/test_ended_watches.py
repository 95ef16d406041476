"""A watch that ends, whichever side ended it, goes on from its version; silence is not health.

Real: the reflector, the client, sockets and TLS. Substituted: the API server, by scripts, the
store, by a record, and where silence lasts for minutes, the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from attrs import define, evolve, field
from structlog.testing import capture_logs

from svclink_controller.api.errors import ApiError, TransportError
from tests.unit.controller.http_server import Server
from tests.unit.controller.reflect.scripts import (
    STAYS_OPEN,
    Answer,
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
from tests.unit.controller.responses import bookmark, event, page, refusal, status_object
from tests.unit.controller.waiting import eventually, in_background

HALF_A_LINE = event("ADDED", service("a", "10"))[:40]


@pytest.mark.parametrize(
    "ends",
    [
        sends(bookmark("9")),
        sends(bookmark("9"), HALF_A_LINE),
        breaks(bookmark("9")),
        breaks(bookmark("9"), HALF_A_LINE),
        sends(bookmark("9"), event("ERROR", status_object(500, "InternalError"))),
        sends(bookmark("9"), event("ERROR", status_object(403, "Forbidden"))),
    ],
    ids=["closed", "closed in a line", "cut", "cut in a line", "error 500", "error 403"],
)
async def test_watch_that_ends_goes_on_from_its_version(ends: Answer) -> None:
    """Only a new request shows whether the cluster is lost, so nothing is listed."""
    async with watching(ends, STAYS_OPEN) as (server, record, task):
        await eventually(lambda: len(server.watches) == 2)
        assert not task.done()
    assert (versions(server), server.lists, record.received) == (["1", "9"], [], [])


async def test_many_cuts_lead_to_no_list() -> None:
    """A proxy that cuts every watch before a bookmark comes costs no list."""
    async with watching(breaks()) as (server, record, task):
        await eventually(lambda: len(server.watches) >= 20)
        assert not task.done()
    assert (set(versions(server)), server.lists, record.received) == ({"1"}, [], [])


@pytest.mark.parametrize("refuses", [gives(lambda: refusal(503)), breaks(b"{")])
async def test_request_that_fails_after_a_cut_ends_the_watch(refuses: Answer) -> None:
    """The cluster is lost when a new request fails."""
    async with watching(breaks(bookmark("9")), lists=(refuses,)) as (server, record, task):
        with pytest.raises((ApiError, TransportError)):
            await task
    assert (len(server.watches), record.received) == (1, [])


async def test_overloaded_server_is_not_lost_after_a_cut() -> None:
    """A 429 asks for patience."""
    busy = gives(lambda: refusal(429, "TooManyRequests"))
    newest = gives(lambda: page(version="9"))
    async with watching(breaks(bookmark("9")), STAYS_OPEN, lists=(busy, newest)) as (server, _, _):
        await eventually(lambda: len(server.watches) == 2)
    assert versions(server) == ["1", "9"]


async def test_version_that_expires_after_many_cuts_is_followed_by_one_list() -> None:
    """Without a bookmark the version gets too old at last; one list helps."""
    expired = sends(event("ERROR", status_object(410, "Expired")))
    cuts = [breaks()] * 5
    async with watching(*cuts, expired, STAYS_OPEN) as (server, record, _):
        await eventually(lambda: len(server.watches) == 7)
    assert versions(server) == ["1"] * 6 + ["50"]
    assert record.received == ["list of listed"]


# Silence


async def test_silent_watch_is_replaced() -> None:
    """A watch that sends nothing for some time is started again from the same version."""
    says = sends(bookmark("9"), stay=True)
    async with watching(says, silence_seconds=0.3) as (server, record, task):
        await eventually(lambda: versions(server).count("9") >= 2)
        assert not task.done()
    # On a busy machine, a watch may be replaced before it has said anything.
    assert versions(server) == sorted(versions(server))
    assert (server.lists, record.received) == ([], [])


async def test_server_that_withholds_the_headers_is_silent() -> None:
    """A proxy may hold back the whole response of a watch."""

    async def withhold(_: object) -> None:
        await asyncio.Event().wait()

    async with watching(withhold, STAYS_OPEN, silence_seconds=0.05) as (server, _, task):  # type: ignore[arg-type]
        await eventually(lambda: len(server.watches) >= 2)
        assert not task.done()
    assert set(versions(server)) == {"1"}


async def test_bytes_that_make_no_event_are_silence() -> None:
    """A server that drips spaces or empty lines says nothing."""

    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"\n")
            await asyncio.sleep(0.005)

    async with watching(drip, silence_seconds=0.05) as (server, _, task):
        await eventually(lambda: len(server.watches) >= 3)
        assert not task.done()


async def test_watch_with_events_is_not_replaced() -> None:
    """Each event starts the time again."""

    async def talk(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for version in range(10, 40):
            await response.write(bookmark(str(version)))
            await asyncio.sleep(0.01)
        await response.write(event("ADDED", service("done", "50")))
        await asyncio.Event().wait()
        return response

    async with watching(talk, silence_seconds=2) as (server, record, _):
        await eventually(lambda: record.received == ["done at 50"])
    assert versions(server) == ["1"]


@define
class Minutes:
    """A clock on which every pause takes 100 seconds."""

    seconds: float = 0
    silences: list[float | None] = field(factory=list)

    async def sleep(self, _: float) -> None:
        self.seconds += 100
        await asyncio.sleep(0)

    def now(self) -> float:
        return self.seconds


@asynccontextmanager
async def silent(
    watches: Sequence[Answer], *lists: Answer
) -> AsyncIterator[tuple[Server, Record, Minutes]]:
    """A reflector whose watches end after some seconds, and what it passes on and reports."""
    minutes, record = Minutes(), Record()
    probe = gives(lambda: page(service("listed"), version="50"))
    script = Script(list(lists) or [probe], list(watches))
    async with reflecting(script) as (server, made):
        reflector = evolve(
            made, sleep=minutes.sleep, now=minutes.now, on_silence=minutes.silences.append
        )
        async with in_background(reflector.watch("1", record)):
            yield server, record, minutes


async def test_kind_is_listed_again_after_a_long_silence() -> None:
    """Where lists answer and watches send nothing, lists bring the changes, again and again."""
    with capture_logs() as logs:
        async with silent([sends()]) as (server, record, minutes):
            await eventually(lambda: len(record.received) >= 2)
            assert set(record.received) == {"list of listed"}
            assert versions(server)[:7] == ["1"] * 6 + ["50"]
    assert minutes.silences[:2] == [700, 1000]
    (first, *_) = [entry for entry in logs if entry["event"] == "watch silent"]
    assert (first["kind"], first["seconds"]) == ("services", 700)
    assert "buffering" in first["fix"]


async def test_silence_ends_with_the_first_event() -> None:
    """A bookmark is enough."""
    watches = [*[sends()] * 6, sends(bookmark("60"), stay=True)]
    async with silent(watches) as (_, record, minutes):
        await eventually(lambda: None in minutes.silences)
    assert (minutes.silences, record.received) == ([700, None], ["list of listed"])


async def test_silence_is_reported_once_lists_answer() -> None:
    """A cluster whose lists fail is lost, and not silent."""
    answers = [*[gives(lambda: page(version="1"))] * 5, gives(lambda: refusal(503))]
    async with silent([sends()], *answers) as (server, record, minutes):
        await eventually(lambda: len(server.lists) == 1)
        await asyncio.sleep(0)
    assert (minutes.silences, record.received) == ([], [])


async def test_watch_after_a_silent_one_is_shorter() -> None:
    """The server then ends it before a proxy does, and sends a bookmark first."""
    async with watching(breaks(), STAYS_OPEN) as (server, _, _):
        await eventually(lambda: len(server.watches) == 2)
    lifetimes = [int(request.query["timeoutSeconds"]) for request in server.watches]
    assert lifetimes[0] >= 300
    assert lifetimes[1] == 5
