"""The faults of a `FaultProxy`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeAlias


@dataclass(frozen=True)
class Passing:
    """Everything is forwarded."""


@dataclass(frozen=True)
class Refusing:
    """New connections are refused; existing ones go on."""


@dataclass(frozen=True)
class Hanging:
    """Connections are accepted and stay open, and nothing is forwarded until the fault is over."""


@dataclass(frozen=True)
class Delaying:
    """All data is forwarded with this delay."""

    seconds: float


@dataclass(frozen=True)
class Throttling:
    """At most this many bytes a second are forwarded in each direction of each connection."""

    bytes_per_second: int


@dataclass(frozen=True)
class Truncating:
    """A connection is closed cleanly after the server has sent this many bytes on it."""

    after: int


@dataclass(frozen=True)
class Corrupting:
    """After this many bytes from the server, one bit of every byte is flipped."""

    after: int


@dataclass(frozen=True)
class Answering:
    """The proxy answers requests whose request line contains this text; others are forwarded.

    Needs a proxy that terminates TLS.
    """

    status: int
    text: str = ""
    body: bytes = b"out of order\n"
    headers: tuple[str, ...] = ("Content-Type: text/plain",)

    def matches(self, request: bytes) -> bool:
        return self.text.encode() in request.split(b"\r\n", 1)[0]

    @property
    def response(self) -> bytes:
        status_line = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"
        length = f"Content-Length: {len(self.body)}"
        head = "\r\n".join([status_line, *self.headers, length, "Connection: close"])
        return f"{head}\r\n\r\n".encode() + self.body


@dataclass(frozen=True)
class Shortening:
    """Watches are requested with this timeout, so that the server soon ends them.

    Needs a proxy that terminates TLS.
    """

    seconds: int

    def shorten(self, request: bytes) -> bytes:
        return re.sub(rb"timeoutSeconds=\d+\b", b"timeoutSeconds=%03d" % self.seconds, request)


@dataclass(frozen=True)
class CuttingIdle:
    """A connection that carries no data for this long is closed cleanly, as HAProxy does."""

    seconds: float


@dataclass(frozen=True)
class Silencing:
    """A watch starts, and its events are held back until the fault is over, as by a buffer.

    It applies to watches whose request line contains this text, and needs a proxy that terminates
    TLS.
    """

    text: str = ""

    def matches(self, request_line: bytes) -> bool:
        return is_watch(request_line) and self.text.encode() in request_line


@dataclass(frozen=True)
class Flooding:
    """Every event of a watch is sent this many times.

    Needs a proxy that terminates TLS.
    """

    copies: int


def is_watch(request_line: bytes) -> bool:
    return b"watch=true" in request_line


Fault: TypeAlias = (
    Passing
    | Refusing
    | Hanging
    | Delaying
    | Throttling
    | Truncating
    | Corrupting
    | Answering
    | Shortening
    | CuttingIdle
    | Silencing
    | Flooding
)
NEEDS_HTTP: Final = (Answering, Shortening, Silencing, Flooding)
PASSING: Final = Passing()
