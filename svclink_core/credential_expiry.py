"""When the credentials of a link expire: one rule for its status, its Events and `svclink check`.

The clock is the wall clock, because certificates and tokens name its times.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from attrs import frozen

from svclink_core.link_reasons import LinkReason

SOON_SECONDS: Final = 7 * 86_400
"""How long before its end a credential expires soon."""


@frozen
class Expiry:
    """When one credential expires.

    Args:
        at: POSIX seconds.
        credential: What expires, for example `the token`.
        shown: The same time as RFC 3339.
    """

    at: float
    credential: str
    shown: str


@frozen
class CredentialState:
    """Whether a link's credentials have expired or will expire soon.

    Args:
        reason: `CREDENTIALS_VALID`, `CREDENTIALS_EXPIRE_SOON` or `CREDENTIALS_EXPIRED`.
        text: Which credentials the state refers to, with their times.
        expire: When the first of them expires, as RFC 3339; None if none has an expiry date.
    """

    reason: LinkReason
    text: str
    expire: str | None = None


def credential_state(expiries: Collection[Expiry], now: float) -> CredentialState:
    """Return the state of a link's credentials. The first one to expire decides.

    >>> token = Expiry(1_000_000, "the token", "1970-01-12T13:46:40Z")
    >>> credential_state([token], 900_000).text
    'the token expires at 1970-01-12T13:46:40Z'

    Args:
        expiries: The expiry times of credentials that have one.
        now: POSIX seconds.
    """
    ordered = _ordered(expiries)
    if not ordered:
        return CredentialState(LinkReason.CREDENTIALS_VALID, "no expiry date")
    first = ordered[0]
    reason = _reason(first, now)
    if reason is LinkReason.CREDENTIALS_VALID:
        return CredentialState(reason, f"valid until {first.shown}", first.shown)
    concerned = [each for each in ordered if _reason(each, now) is not LinkReason.CREDENTIALS_VALID]
    return CredentialState(reason, _sentence(concerned, now), first.shown)


def expired_credentials(expiries: Collection[Expiry], now: float) -> str:
    """Which credentials have expired, and when; empty if none has. Arguments as above."""
    return _sentence([each for each in _ordered(expiries) if each.at <= now], now)


def next_credential_change(expiries: Collection[Expiry], now: float) -> float | None:
    """When `credential_state` changes next, in POSIX seconds; None if it does not change any more.

    Arguments as for `credential_state`.
    """
    times = [time for each in expiries for time in (each.at - SOON_SECONDS, each.at)]
    return min((time for time in times if time > now), default=None)


def _ordered(expiries: Collection[Expiry]) -> list[Expiry]:
    return sorted(expiries, key=lambda each: (each.at, each.credential))


def _reason(expiry: Expiry, now: float) -> LinkReason:
    if expiry.at <= now:
        return LinkReason.CREDENTIALS_EXPIRED
    is_soon = expiry.at - SOON_SECONDS <= now
    return LinkReason.CREDENTIALS_EXPIRE_SOON if is_soon else LinkReason.CREDENTIALS_VALID


def _sentence(expiries: Collection[Expiry], now: float) -> str:
    return "; ".join(
        f"{each.credential} {'expired' if each.at <= now else 'expires'} at {each.shown}"
        for each in expiries
    )
