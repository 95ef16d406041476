"""Faults of the fake API server, as values: what goes wrong, for which requests, and how often.

rule = api.fail(Refuse(503), when=is_write, times=2)   # the next two writes get a 503
rule.hits                                              # how many did so far
api.heal()                                             # from now on everything works
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias, assert_never

from aiohttp import web
from attrs import define, field, frozen

from svclink_core.codec import Json
from tests.unit.controller.http_server import Request
from tests.unit.controller.responses import answer, event, refusal, status_object, stream


@frozen
class Refuse:
    """The server returns an error with a Status."""

    code: int
    reason: str = ""
    message: str = "no"
    retry_after: int | None = None
    cause: str | None = None


@frozen
class Answer:
    """The server returns this JSON instead of its own."""

    content: Json
    code: int = 200


@frozen
class Garbage:
    """The server returns text that is not JSON, for example a proxy's page."""

    text: str = "<html>Sign in</html>"
    code: int = 200
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Hang:
    """The server never answers."""


@frozen
class HangUp:
    """The server closes the connection without an answer."""


@frozen(eq=False)
class Hold:
    """The server answers normally, but only after `released.set()`."""

    released: asyncio.Event = field(factory=asyncio.Event)


@frozen
class CutWatch:
    """The watch sends these lines and ends."""

    lines: tuple[bytes, ...] = ()


@frozen
class WatchError:
    """The watch sends an ERROR event and ends."""

    code: int = 410
    reason: str = "Expired"
    cause: str | None = None


Fault: TypeAlias = Refuse | Answer | Garbage | Hang | HangUp | Hold | CutWatch | WatchError
Predicate: TypeAlias = Callable[[Request], bool]


def any_request(_: Request) -> bool:
    """Every request."""
    return True


def is_write(request: Request) -> bool:
    """POST, PUT, PATCH and DELETE."""
    return request.is_write


def is_watch(request: Request) -> bool:
    """Watches."""
    return request.is_watch


def starts_with(*paths: str) -> Predicate:
    """Requests whose path starts with one of these."""
    return lambda request: request.path.startswith(paths)


def ends_with(*paths: str) -> Predicate:
    """Requests whose path ends with one of these, for example `/clusterlinks`."""
    return lambda request: request.path.endswith(paths)


def method(*methods: str) -> Predicate:
    """Requests with one of these methods."""
    return lambda request: request.method in methods


@define(eq=False)
class Rule:
    """A fault, the requests that it applies to, and how often. `times` is None for always."""

    fault: Fault
    when: Predicate = any_request
    times: int | None = None
    hits: int = 0

    def applies_to(self, request: Request) -> bool:
        """Whether the rule is not used up and matches a request."""
        return (self.times is None or self.hits < self.times) and self.when(request)


async def respond(fault: Fault, request: web.BaseRequest) -> web.StreamResponse | None:
    """The response that a fault gives, or None if the server answers normally."""
    match fault:
        case Refuse(code, reason, message, retry_after, cause):
            return refusal(code, reason, message, retry_after=retry_after, cause=cause)
        case Answer(content, code):
            return answer(content, code)
        case Garbage(text, code, headers):
            return web.Response(text=text, status=code, headers=dict(headers))
        case Hang():
            await asyncio.Event().wait()
        case HangUp():
            assert request.transport is not None
            request.transport.abort()
        case Hold(released):
            await released.wait()
        case CutWatch(lines):
            return await stream(request, *lines)
        case WatchError(code, reason, cause):
            return await stream(request, event("ERROR", status_object(code, reason, cause=cause)))
        case unexpected:
            assert_never(unexpected)
    return None
