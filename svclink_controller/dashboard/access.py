"""Who may read the page: only a browser on this machine that was given the token.

Other pages in that browser can send requests to loopback, and may resolve a name of their own to
it (DNS rebinding). Their requests carry their own name in `Host` or `Origin`.
"""

from __future__ import annotations

import secrets
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from attrs import field, frozen

LOCAL_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
"""The names that a browser on this machine uses. A port that ssh forwards may be another one."""

PROTECTED: Final = "/api/"
"""The paths that need the token. The others are the same for everyone."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The headers of every answer."""

NOT_GIVEN: Final = "the token is missing or wrong: open the address that svclink dashboard printed"
WRONG_HOST: Final = "this is not a loopback address: open http://127.0.0.1:PORT"
WRONG_ORIGIN: Final = "pages from other origins cannot read this"


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(32)


@frozen
class Gate:
    """Lets the requests of the page through, and no others.

    Args:
        token: What requests for data must carry.
    """

    token: str = field(repr=False)

    def refusal(self, request: web.BaseRequest) -> tuple[int, str] | None:
        """The status and the sentence of the answer to a request that is refused, else None."""
        host = request.headers.get("Host", "")
        if _name_of(f"//{host}") not in LOCAL_HOSTS:
            return 403, WRONG_HOST
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            return 403, WRONG_ORIGIN
        if not request.path.startswith(PROTECTED):
            return None  # A link on any page may lead to this one.
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return 403, WRONG_ORIGIN
        return None if self._has_token(request) else (401, NOT_GIVEN)

    def _has_token(self, request: web.BaseRequest) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            given = request.query.get("token", "")
        # Bytes that are no text, in a header or a query, are no token either.
        return secrets.compare_digest(given.encode(errors="replace"), self.token.encode())


def _name_of(address: str) -> str | None:
    """The host in an address, without its port; None if there is none."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def middleware_of(gate: Gate) -> Middleware:
    """Answers refused requests, and turns every error into one sentence of JSON."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (refusal := gate.refusal(request)) is not None:
            return error_response(*refusal)
        try:
            return await handler(request)
        except web.HTTPException as error:
            return error_response(error.status, error.text or error.reason)

    return guard


def error_response(status: int, sentence: str) -> web.Response:
    """An error as JSON."""
    return web.json_response({"error": sentence}, status=status)


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that every answer has."""
    response.headers.update(HEADERS)
    response.headers.pop("Server", None)
