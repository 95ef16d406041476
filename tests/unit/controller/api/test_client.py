"""A client sends requests unchanged, and gives up on servers that send nothing.

Real: sockets, TLS, HTTP and the client. Substituted: the API server, by handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiohttp import web

from svclink_controller.api.client import Client
from svclink_controller.api.errors import CutError, FencedError, TransportError
from tests.unit.controller.api.peers import never, say_yes
from tests.unit.controller.http_server import (
    TOKEN,
    connected,
    connecting,
    read_lines,
    serving,
    with_certificate,
)
from tests.unit.controller.responses import answer


async def test_token_is_sent_as_bearer() -> None:
    """The token of the credentials is in the Authorization header."""
    async with serving(say_yes) as server, connected(server.url) as client:
        await client.get("/version")
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_client_certificate_is_presented_in_the_handshake() -> None:
    """The server sees the client certificate of the credentials."""
    presented: list[Any] = []

    async def look(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        presented.append(request.transport.get_extra_info("peercert"))
        return answer({})

    async with serving(look) as server, connecting(with_certificate(server.url)) as client:
        await client.get("/version")
    assert ("DNS", "svclink.test") in presented[0]["subjectAltName"]
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("call", "method", "content_type"),
    [
        (lambda client: client.post("/a", {"b": [1, None]}), "POST", "application/json"),
        (lambda client: client.put("/a", {"b": [1, None]}), "PUT", "application/json"),
        (lambda client: client.delete("/a", {"b": [1, None]}), "DELETE", "application/json"),
        (
            lambda client: client.merge_patch("/a", {"b": [1, None]}),
            "PATCH",
            "application/merge-patch+json",
        ),
    ],
)
async def test_body_arrives_unchanged(
    call: Callable[[Client], Coroutine[None, None, bytes]], method: str, content_type: str
) -> None:
    """A write sends its body as JSON, nulls included, with the content type of its verb."""
    async with serving(say_yes) as server, connected(server.url) as client:
        await call(client)
    request = server.requests[0]
    assert (request.method, request.headers["Content-Type"], request.json) == (
        method,
        content_type,
        {"b": [1, None]},
    )


async def test_query_arrives_unchanged() -> None:
    """Characters with a meaning in URLs reach the server as part of the value."""
    async with serving(say_yes) as server, connected(server.url) as client:
        await client.get("/api", {"continue": "a+b/c=&d e", "limit": "5"})
    assert server.requests[0].query == {"continue": "a+b/c=&d e", "limit": "5"}


async def test_path_of_the_server_is_kept() -> None:
    """Requests to a server under a path, for example behind a proxy, keep that path."""
    async with serving(say_yes) as server, connected(f"{server.url}/k8s/clusters/c-1") as client:
        await client.get("/version")
    assert server.paths == ["/k8s/clusters/c-1/version"]


async def test_request_without_response_times_out() -> None:
    """A request to a server that accepts it and sends nothing fails after its time-out."""
    async with serving(never) as server, connected(server.url) as client:
        with pytest.raises(TransportError, match="did not answer in time"):
            await client.get("/version", seconds=0.2)


async def test_watch_that_breaks_is_distinguished_from_one_that_is_refused() -> None:
    """A connection that breaks after the watch began is cut; the server may still answer."""

    async def cut(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{}\n")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(cut) as server, connected(server.url) as client:
        with pytest.raises(CutError):
            await read_lines(client)
    async with connected(server.url) as client:
        with pytest.raises(TransportError) as refused:
            await read_lines(client)
        assert not isinstance(refused.value, CutError)


async def test_closed_client_raises_what_a_lost_connection_raises() -> None:
    """A request after `close` raises TransportError, not an error of the program."""
    async with serving(say_yes) as server, connected(server.url) as client:
        await client.get("/version")
        await client.close()
        with pytest.raises(TransportError):
            await client.get("/version")


async def test_fenced_client_sends_reads_only() -> None:
    """While `may_write` is False, a fenced client sends no write, and reads work."""
    may_write = False

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return answer({})

    async with serving(handler) as server, connected(server.url) as client:
        fenced = client.fenced(lambda: may_write)
        for write in (fenced.post, fenced.put, fenced.merge_patch, fenced.delete):
            with pytest.raises(FencedError):
                await write("/x", {})
        await fenced.get("/x")
        assert [request.method for request in server.requests] == ["GET"]
        may_write = True
        for write in (fenced.post, fenced.put, fenced.merge_patch, fenced.delete):
            await write("/x", {})
        assert len(server.requests) == 5
