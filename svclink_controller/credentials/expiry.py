"""When credentials expire, according to the token (JWT) and the certificates.

A token is read without verification: a wrong date in it misleads only the link that it belongs to.
Nothing of a credential but its date is kept.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

import msgspec
from cryptography.x509 import Certificate, load_pem_x509_certificates

from svclink_controller import clock
from svclink_controller.credentials.kubeconfig import Credentials
from svclink_core.credential_expiry import Expiry

MAX_SECONDS: Final = 253_402_300_799
"""The last second of the year 9999, and of RFC 3339. What ends later has no expiry date."""


def expiries_of(credentials: Credentials) -> tuple[Expiry, ...]:
    """When the credentials in a kubeconfig expire, those that have an expiry date.

    The certificate authority is one of them: after its end the server is not trusted any more.
    """
    return tuple(Expiry(at, credential, clock.rfc3339(at)) for at, credential in _ends(credentials))


def start_of(credentials: Credentials) -> float:
    """When the client certificate becomes valid, in POSIX seconds; 0 if there is none."""
    return max(map(_start, _own(credentials)), default=0)


def token_expiry(token: str | None) -> float | None:
    """The `exp` of a JWT in POSIX seconds (RFC 7519); None if it has none or is not a JWT."""
    parts = (token or "").split(".")
    if len(parts) != 3:
        return None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        exp = _CLAIMS.decode(payload).exp
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return None if exp is None or exp > MAX_SECONDS else max(exp, 0)


def _ends(credentials: Credentials) -> Iterator[tuple[float, str]]:
    if (expiry := token_expiry(credentials.token)) is not None:
        yield expiry, "the token"
    for certificate in _own(credentials):
        yield _end(certificate), "the client certificate"
    if authorities := _certificates(credentials.ca_data):
        # One valid authority is enough.
        yield max(map(_end, authorities)), "the CA certificate"


def _own(credentials: Credentials) -> list[Certificate]:
    """The client certificate without the authorities that follow it; none, or exactly one."""
    return _certificates(credentials.client_certificate)[:1]


def _start(certificate: Certificate) -> float:
    return _posix(lambda: certificate.not_valid_before_utc)


def _end(certificate: Certificate) -> float:
    return _posix(lambda: certificate.not_valid_after_utc)


def _posix(read: Callable[[], datetime]) -> float:
    """In POSIX seconds. What is before 1970 is 1970: RFC 3339 cannot show all of it."""
    try:
        return max(read().timestamp(), 0)
    except ValueError:  # X.509 has a year 0, and Python has not.
        return 0


def _certificates(pem: str | None) -> list[Certificate]:
    """The certificates in PEM, none if it is not valid: TLS says what is wrong with it."""
    try:
        return load_pem_x509_certificates(pem.encode()) if pem else []
    except ValueError:
        return []


class _Claims(msgspec.Struct):
    exp: float | None = None


_CLAIMS: Final = msgspec.json.Decoder(_Claims)
