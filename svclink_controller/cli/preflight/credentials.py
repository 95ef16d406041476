"""When the credentials of a link expire, according to its token (JWT) and certificates."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from cryptography.x509 import Certificate, load_pem_x509_certificates

from svclink_controller.cli.preflight.results import Result, Severity
from svclink_controller.credentials.kubeconfig import Credentials

SOON_SECONDS: Final = 7 * 86_400


def check_credentials(cluster: str, credentials: Credentials, now: float, fix: str) -> list[Result]:
    """Whether the credentials in a kubeconfig are valid now and for another week.

    Args:
        cluster: Name of the link.
        credentials: What the allow-list accepted.
        now: POSIX seconds.
        fix: The command that creates new ones.
    """
    level, message, needed_fix = _validity(credentials, now, fix)
    return [Result(level, cluster, "credentials", message, needed_fix)]


def _validity(credentials: Credentials, now: float, fix: str) -> tuple[Severity, str, str]:
    """Level, message and fix, for the token or certificate that expires first."""
    last_start, starting = max(_starts(credentials), default=(now, ""))
    first_end, ending = min(_ends(credentials), default=(math.inf, ""))
    if first_end <= now:
        return "fail", f"{ending} expired at {_text(first_end)}", fix
    if last_start > now:
        return "fail", f"{starting} is not valid before {_text(last_start)}", fix
    if first_end <= now + SOON_SECONDS:
        return "warn", f"{ending} expires at {_text(first_end)}", fix
    if first_end == math.inf:
        return "ok", "have no expiry date", ""
    return "ok", f"valid until {_text(first_end)}", ""


def _ends(credentials: Credentials) -> Iterator[tuple[float, str]]:
    if (expiry := expiry_of(credentials.token)) is not None:
        yield expiry, "the token"
    for certificate in _own(credentials):
        yield certificate.not_valid_after_utc.timestamp(), "the client certificate"
    if credentials.ca_data:
        # One valid authority is enough.
        authorities = load_pem_x509_certificates(credentials.ca_data.encode())
        yield (
            max(each.not_valid_after_utc.timestamp() for each in authorities),
            "the CA certificate",
        )


def _starts(credentials: Credentials) -> Iterator[tuple[float, str]]:
    for certificate in _own(credentials):
        yield certificate.not_valid_before_utc.timestamp(), "the client certificate"


def _own(credentials: Credentials) -> list[Certificate]:
    """The client certificate without the authorities that follow it."""
    if credentials.client_certificate is None:
        return []
    return load_pem_x509_certificates(credentials.client_certificate.encode())[:1]


def expiry_of(token: str | None) -> float | None:
    """The `exp` of a JWT in POSIX seconds (RFC 7519); None if it has none or is not a JWT."""
    parts = (token or "").split(".")
    if len(parts) != 3:
        return None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return _CLAIMS.decode(payload).exp
    except (ValueError, msgspec.MsgspecError):
        return None


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Claims(msgspec.Struct):
    exp: float | None = None


_CLAIMS: Final = msgspec.json.Decoder(_Claims)
