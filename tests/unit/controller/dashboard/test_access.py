"""Which requests are answered.

Real: the gate, headers as browsers send them. Substituted: nothing.
"""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from svclink_controller.dashboard.access import (
    NOT_GIVEN,
    WRONG_HOST,
    WRONG_ORIGIN,
    Gate,
    new_token,
)

TOKEN = "the-token"  # noqa: S105 - not a secret
GATE = Gate(TOKEN)
EVENTS = "/api/events"


def refusal(path: str = EVENTS, **headers: str) -> tuple[int, str] | None:
    given = {"Host": "127.0.0.1:8080", "Authorization": f"Bearer {TOKEN}"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return GATE.refusal(make_mocked_request("GET", path, headers=given | named))


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:9", "localhost", "[::1]:80"])
def test_loopback_is_answered(host: str) -> None:
    """Also through a port that ssh forwards, which is another one."""
    assert refusal(Host=host) is None
    assert refusal(Host=host, Origin=f"http://{host}") is None


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example:8080",
        "127.0.0.1.rebound.example",
        "localhost.rebound.example:8080",
        "127.0.0.1@rebound.example",
        "192.168.0.1",
        "[::1",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", EVENTS])
def test_other_names_are_refused(host: str, path: str) -> None:
    """A name that an attacker resolves to loopback (DNS rebinding) gets not even the page."""
    assert refusal(path, Host=host) == (403, WRONG_HOST)


@pytest.mark.parametrize(
    "origin",
    ["http://attacker.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8080"],
)
def test_other_origins_are_refused(origin: str) -> None:
    """Another server on this machine is another origin, too."""
    assert refusal(Origin=origin) == (403, WRONG_ORIGIN)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_requests_of_other_sites_are_refused(site: str) -> None:
    """Browsers say so even where they send no Origin.

    The page itself can be opened from a link, or from the file that leads to it.
    """
    assert refusal(Sec_Fetch_Site=site) == (403, WRONG_ORIGIN)
    assert refusal(Sec_Fetch_Site="same-origin") is None
    assert refusal("/", Sec_Fetch_Site=site) is None


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic the-token", "Bearer \xfc"])
def test_data_needs_the_token(given: str) -> None:
    """A token that is wrong in any way is not given."""
    assert refusal(Authorization=given) == (401, NOT_GIVEN)


def test_token_may_be_in_the_query() -> None:
    """EventSource of browsers sends no headers."""
    assert refusal(f"{EVENTS}?token={TOKEN}", Authorization="") is None
    assert refusal(f"{EVENTS}?token=wrong", Authorization="") == (401, NOT_GIVEN)


@pytest.mark.parametrize("path", ["/", "/static/app.js"])
def test_page_needs_no_token(path: str) -> None:
    """It is the same for everyone, and has no data in it."""
    assert refusal(path, Authorization="") is None


def test_tokens_differ() -> None:
    """Each run has its own, and no output shows it by accident."""
    token = new_token()
    assert len(token) >= 43
    assert token != new_token()
    assert token not in repr(Gate(token))
