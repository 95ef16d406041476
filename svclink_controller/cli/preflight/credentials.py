"""How long credentials last: a token that is a JWT says so, and so does a certificate. Nothing of them is shown."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from cryptography.x509 import Certificate, load_pem_x509_certificates

from svclink_controller.cli.preflight.results import Result
from svclink_controller.credentials.kubeconfig import Credentials

SOON_SECONDS: Final = 7 * 86_400


def check_credentials(
    cluster: str, credentials: Credentials, now: float, mend: str
) -> list[Result]:
    """Whether what a kubeconfig carries is valid now, and for another week.

    Args:
        cluster: Name of the link.
        credentials: What the allow-list let through.
        now: POSIX seconds.
        mend: The command that makes fresh ones.
    """
    ends = sorted(_ends(credentials))
    if ends and ends[0][0] <= now:
        return [
            Result(
                "fail", cluster, "credentials", f"{ends[0][1]} expired at {_text(ends[0][0])}", mend
            )
        ]
    starts = sorted(_starts(credentials), reverse=True)
    if starts and starts[0][0] > now:
        return [
            Result(
                "fail",
                cluster,
                "credentials",
                f"{starts[0][1]} is valid only from {_text(starts[0][0])}",
                mend,
            )
        ]
    if ends and ends[0][0] <= now + SOON_SECONDS:
        return [
            Result(
                "warn", cluster, "credentials", f"{ends[0][1]} expires at {_text(ends[0][0])}", mend
            )
        ]
    until = f"valid until {_text(ends[0][0])}" if ends else "do not say that they expire"
    return [Result("ok", cluster, "credentials", until)]


def _ends(credentials: Credentials) -> Iterator[tuple[float, str]]:
    if (expiry := expiry_of(credentials.token)) is not None:
        yield expiry, "the token"
    for certificate in _own(credentials):
        yield certificate.not_valid_after_utc.timestamp(), "the client certificate"
    if credentials.ca_data:
        # Of several authorities one that is still good is enough.
        authorities = load_pem_x509_certificates(credentials.ca_data.encode())
        yield (
            max(each.not_valid_after_utc.timestamp() for each in authorities),
            "the CA certificate",
        )


def _starts(credentials: Credentials) -> Iterator[tuple[float, str]]:
    for certificate in _own(credentials):
        yield certificate.not_valid_before_utc.timestamp(), "the client certificate"


def _own(credentials: Credentials) -> list[Certificate]:
    """The client certificate alone: those that follow it are of authorities."""
    if credentials.client_certificate is None:
        return []
    return load_pem_x509_certificates(credentials.client_certificate.encode())[:1]


def expiry_of(token: str | None) -> float | None:
    """When a token expires, in POSIX seconds; None where it is no JWT, or one that does not expire (RFC 7519 `exp`)."""
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
