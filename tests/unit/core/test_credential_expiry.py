"""When the credentials of a link expire, one fact in each test."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_core import Expiry, LinkReason, credential_state
from svclink_core.credential_expiry import (
    SOON_SECONDS,
    expired_credentials,
    next_credential_change,
)
from tests.unit.core.strategies.statuses import expiries

NOW = 1_000_000_000.0
TOKEN, CERTIFICATE = "the token", "the client certificate"


def ends(seconds: float, credential: str = TOKEN) -> Expiry:
    """A credential that ends this long after now; that time is shown as a number of days."""
    return Expiry(NOW + seconds, credential, f"day {seconds / 86_400:g}")


DAY = 86_400


@pytest.mark.parametrize(
    ("known", "reason", "text"),
    [
        ([], LinkReason.CREDENTIALS_VALID, "no expiry date"),
        ([ends(7 * DAY + 1)], LinkReason.CREDENTIALS_VALID, f"valid until {ends(604_801).shown}"),
        ([ends(7 * DAY)], LinkReason.CREDENTIALS_EXPIRE_SOON, "the token expires at day 7"),
        ([ends(1)], LinkReason.CREDENTIALS_EXPIRE_SOON, f"the token expires at {ends(1).shown}"),
        ([ends(0)], LinkReason.CREDENTIALS_EXPIRED, "the token expired at day 0"),
        (
            [ends(3 * DAY), ends(8 * DAY, CERTIFICATE)],
            LinkReason.CREDENTIALS_EXPIRE_SOON,
            "the token expires at day 3",
        ),
        (
            [ends(3 * DAY), ends(-DAY, CERTIFICATE)],
            LinkReason.CREDENTIALS_EXPIRED,
            "the client certificate expired at day -1; the token expires at day 3",
        ),
    ],
)
def test_state(known: list[Expiry], reason: LinkReason, text: str) -> None:
    """The first end decides, a warning begins seven days before it, and names what it is about."""
    state = credential_state(known, NOW)
    assert (state.reason, state.text) == (reason, text)
    first = min(known, key=lambda each: each.at, default=None)
    assert state.expire == (None if first is None else first.shown)


def test_expired_credentials_are_named() -> None:
    """Only what has expired can be the cause of a rejection."""
    known = [ends(DAY), ends(-DAY, CERTIFICATE)]
    assert expired_credentials(known, NOW) == "the client certificate expired at day -1"
    assert expired_credentials(known[:1], NOW) == ""


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([], None),
        ([ends(0)], None),
        ([ends(8 * DAY)], DAY),
        ([ends(7 * DAY)], 7 * DAY),
        ([ends(8 * DAY), ends(DAY / 2)], DAY / 2),
    ],
)
def test_next_change(known: list[Expiry], expected: float | None) -> None:
    """The next end of a credential, or the beginning of a warning."""
    change = next_credential_change(known, NOW)
    assert (None if change is None else change - NOW) == expected


@given(expiries, st.floats(0, 2_000_000), st.floats(0, 2 * SOON_SECONDS))
def test_nothing_changes_before_the_next_change(
    known: list[Expiry], now: float, later: float
) -> None:
    """Between two changes the state stays the same, and the order of the credentials is nothing."""
    state = credential_state(known, now)
    assert credential_state(known[::-1], now) == state
    change = next_credential_change(known, now)
    if change is None or now + later < change:
        assert credential_state(known, now + later) == state
    else:
        assert change > now
        assert next_credential_change(known, change) != change
