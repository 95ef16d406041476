"""The main cluster is listed and watched forever, whatever errors it answers with.

Real: the reflector, the client, sockets and TLS. Substituted: the API server, by scripts, the
store, by a record, and where a test counts pauses, the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from svclink_controller.reflect.reflector import ReadError, reflect_forever, warn_unread
from svclink_core import Service
from tests.unit.controller.http_server import Server
from tests.unit.controller.reflect.scripts import (
    STAYS_OPEN,
    Answer,
    Pauses,
    Record,
    Script,
    gives,
    reflecting,
    sends,
    service,
)
from tests.unit.controller.responses import event, page, refusal
from tests.unit.controller.waiting import eventually, in_background


@asynccontextmanager
async def reflecting_forever(
    script: Script, pauses: Pauses | None = None
) -> AsyncIterator[tuple[Server, Record, list[str]]]:
    """A reflection that no error ends, what it passes on, and the errors it reports."""
    record, errors = Record(), list[str]()

    def fail(error: ReadError) -> None:
        warn_unread("services", error)
        errors.append(str(error))

    async with (
        reflecting(script, pauses=pauses) as (server, reflector),
        in_background(reflect_forever(reflector, record, fail)),
    ):
        yield server, record, errors


@pytest.mark.parametrize(
    "error",
    [
        gives(lambda: refusal(403, "Forbidden")),
        gives(lambda: refusal(500)),
        gives(lambda: web.Response(text="<html>")),
        gives(lambda: web.Response(status=301, headers={"Location": "https://127.0.0.1:1/"})),
    ],
    ids=["403", "500", "HTML", "redirect"],
)
async def test_list_is_retried_until_it_succeeds(error: Answer) -> None:
    """After an error of the main cluster it is reported, and the list is requested again."""
    script = Script([error, gives(lambda: page(service("a")))], [STAYS_OPEN])
    async with reflecting_forever(script) as (_, record, errors):
        await eventually(lambda: record.received == ["list of a"])
        assert len(errors) == 1


async def test_broken_watch_is_followed_by_a_list() -> None:
    """After a watch that ended with an error, a list brings what was missed."""
    script = Script(
        [gives(lambda: page(service("a"))), gives(lambda: page(service("b")))],
        [gives(lambda: refusal(500)), STAYS_OPEN],
    )
    async with reflecting_forever(script) as (_, record, _):
        await eventually(lambda: record.received == ["list of a", "list of b"])


async def test_internal_error_does_not_end_the_reflection() -> None:
    """An error of the sink is logged, and the list is requested again."""

    class Faulty(Record):
        def apply(self, item: Service) -> None:
            super().apply(item)
            raise RuntimeError("a fault of svclink")

    record = Faulty()
    script = Script(
        [gives(lambda: page(service("a")))], [sends(event("ADDED", service("b", "2"))), STAYS_OPEN]
    )
    async with reflecting(script) as (_, reflector):
        with capture_logs() as logs:
            task = asyncio.create_task(reflect_forever(reflector, record, lambda _: None))
            await eventually(lambda: len(record.received) == 3)
            task.cancel()
            await asyncio.wait({task})
    assert record.received == ["list of a", "b at 2", "list of a"]
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["internal error"]


async def test_retry_after_is_respected() -> None:
    """After a 503 the next list comes no earlier than its Retry-After says."""
    overloaded = gives(
        lambda: web.Response(status=503, text="not ready", headers={"Retry-After": "100"})
    )
    pauses = Pauses(allowed=1)
    async with reflecting_forever(Script([overloaded], []), pauses) as (server, _, _):
        assert await pauses.all() == [100]
        assert len(server.requests) == 1


async def test_missing_permission_is_logged_with_its_fix() -> None:
    """The log names the permission to grant."""
    with capture_logs() as logs:
        async with reflecting_forever(Script([gives(lambda: refusal(403))], [])) as (
            _,
            _,
            errors,
        ):
            await eventually(lambda: bool(errors))
    assert logs[0]["fix"] == "grant svclink permission to list and watch services"


async def test_server_that_refuses_every_watch_is_not_hammered() -> None:
    """The reflector pauses longer and longer between lists if every watch is refused."""
    script = Script([gives(lambda: page(service("a")))], [gives(lambda: refusal(403))])
    pauses = Pauses(allowed=12)
    async with reflecting_forever(script, pauses):
        assert sum(await pauses.all()) > 5
