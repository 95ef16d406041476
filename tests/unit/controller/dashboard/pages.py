"""A dashboard server on loopback, and requests as a browser sends them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from attrs import frozen

from svclink_controller.dashboard.access import Gate
from svclink_controller.dashboard.board import Board
from svclink_controller.dashboard.connections import LIMITS, ConnectionLimits
from svclink_controller.dashboard.documents import SourceName
from svclink_controller.dashboard.event_stream import EventStream
from svclink_controller.dashboard.facts import Facts
from svclink_controller.dashboard.page_files import INDEX, PageFile
from svclink_controller.dashboard.server import DashboardServer, serving_dashboard

TOKEN: Final = "the-token"  # noqa: S105 - not a secret
FILES: Final = {
    INDEX: PageFile(b"<!doctype html><title>svclink</title>", "text/html"),
    "js/app.js": PageFile(b"export {}", "text/javascript"),
    "logo.png": PageFile(b"\x89PNG", "image/png"),
}


@frozen
class Answer:
    """The response to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@frozen
class Browser:
    """Sends requests to the page at an address."""

    address: str
    session: aiohttp.ClientSession

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """The answer to a request with the token."""
        given = {"Authorization": f"Bearer {TOKEN}"} | headers
        async with self.session.request(method, self.address + path, headers=given) as response:
            return Answer(response.status, response.headers, await response.read())

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """The names and the data of the events of the page."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.session.get(f"{self.address}/api/events", headers=headers) as response:
            assert response.status == 200, await response.text()
            yield read_events(response.content)


async def read_events(content: aiohttp.StreamReader) -> AsyncIterator[tuple[str, Any]]:
    """The events of a stream, each with its data."""
    name = ""
    while True:
        line = (await content.readuntil(b"\n")).decode().rstrip("\n")
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


@asynccontextmanager
async def browsing(
    board: Board,
    facts: Facts,
    port: int = 0,
    *,
    limits: ConnectionLimits = LIMITS,
    **stream: float,
) -> AsyncIterator[Browser]:
    """A browser of a page that shows a board."""
    events = EventStream(
        board,
        SourceName("clusters", "main"),
        "2026-07-01T12:00:00Z",
        **({"pause_seconds": 0} | stream),
    )
    server = DashboardServer(Gate(TOKEN), events, facts, FILES)
    async with (
        serving_dashboard(server, port, limits) as served,
        aiohttp.ClientSession(read_bufsize=2**24) as session,
    ):
        yield Browser(f"http://127.0.0.1:{served}", session)
