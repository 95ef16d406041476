"""Responses of an API server, for tests."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from svclink_core.codec import Json


def answer(content: Json, status: int = 200) -> web.Response:
    """A JSON response."""
    return web.json_response(content, status=status)


def refusal(
    code: int,
    reason: str = "",
    message: str = "no",
    *,
    retry_after: int | None = None,
    cause: str | None = None,
) -> web.Response:
    """A Status, as an API server returns with an error."""
    return answer(status_object(code, reason, message, retry_after=retry_after, cause=cause), code)


def status_object(
    code: int,
    reason: str = "",
    message: str = "no",
    *,
    retry_after: int | None = None,
    cause: str | None = None,
) -> dict[str, Json]:
    """A meta/v1 Status."""
    details: dict[str, Json] = {}
    if retry_after is not None:
        details["retryAfterSeconds"] = retry_after
    if cause is not None:
        details["causes"] = [{"reason": cause, "message": "because"}]
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


def page(*items: Json, version: str = "1", token: str | None = None) -> web.Response:
    """One page of a list."""
    metadata: dict[str, Json] = {"resourceVersion": version}
    if token is not None:
        metadata["continue"] = token
    return answer({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": list(items)})


def event(kind: str, content: Json) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": kind, "object": content}).encode() + b"\n"


def bookmark(version: str) -> bytes:
    """A bookmark of a watch."""
    return event("BOOKMARK", {"kind": "Service", "metadata": {"resourceVersion": version}})


async def stream(
    request: web.BaseRequest, *chunks: bytes, stay: bool = False
) -> web.StreamResponse:
    """A watch that sends some lines, and then ends or stays open until the client closes it."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
    if stay:
        await asyncio.Event().wait()
    await response.write_eof()
    return response
