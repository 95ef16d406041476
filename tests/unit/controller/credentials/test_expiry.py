"""The expiry dates of a kubeconfig are read from whatever its token and certificates hold.

Real: certificates, PEM and JWT. Substituted: nothing.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.credentials.expiry import (
    MAX_SECONDS,
    expiries_of,
    start_of,
    token_expiry,
)
from svclink_controller.credentials.kubeconfig import Credentials, parse_kubeconfig
from svclink_core.credential_expiry import Expiry
from tests.unit.controller.credentials.kubeconfigs import (
    Json,
    as_yaml,
    b64,
    edited,
    with_certificate,
)

KEY = ec.generate_private_key(ec.SECP256R1())
KEY_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
END = "20550101000000Z"


def certificate(start: str = "20510101000000Z", end: str = END) -> bytes:
    """A certificate with these ASN.1 times, in DER. Its signature is not valid."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "svclink.test")])
    made = (
        x509.CertificateBuilder(name, name, KEY.public_key(), 5)
        .not_valid_before(datetime(2051, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2055, 1, 1, tzinfo=UTC))
        .sign(KEY, hashes.SHA256())
    )
    der = made.public_bytes(Encoding.DER)
    return der.replace(b"20510101000000Z", start.encode()).replace(END.encode(), end.encode())


def as_pem(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{b64(der)}\n-----END CERTIFICATE-----\n"


def jwt(payload: bytes) -> str:
    return f"e30.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.c2lnbmF0dXJl"


def claims(exp: Any) -> str:
    """A token that ends at this time."""
    return jwt(json.dumps({"exp": exp}).encode())


NOTHING = Credentials("https://remote.example", "")


def test_every_credential_is_read() -> None:
    """Token, client certificate and CA have one expiry date each."""
    credentials = Credentials(
        "https://remote.example",
        ca_data=as_pem(certificate(end="20520101000000Z")) + as_pem(certificate()),
        token=claims(86_400),
        client_certificate=as_pem(certificate()) + as_pem(certificate(end="20530101000000Z")),
    )
    assert expiries_of(credentials) == (
        Expiry(86_400, "the token", "1970-01-02T00:00:00Z"),
        Expiry(2_682_374_400, "the client certificate", "2055-01-01T00:00:00Z"),
        Expiry(2_682_374_400, "the CA certificate", "2055-01-01T00:00:00Z"),
    )
    assert start_of(credentials) == datetime(2051, 1, 1, tzinfo=UTC).timestamp()


def test_credentials_may_have_no_expiry_date() -> None:
    """A token without a date, and the certificate authorities of the system, have none."""
    assert expiries_of(evolve(NOTHING, token=claims(None))) == ()
    assert expiries_of(evolve(NOTHING, ca_data="not PEM")) == ()
    assert start_of(NOTHING) == 0


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (None, None),
        ("abc", None),
        ("a.b.c", None),
        ("e30.e30.x", None),
        ("e30.\u00fc.x", None),
        (claims(12), 12),
        (claims(12.5), 12.5),
        (claims("12"), None),
        (jwt(b'{"exp":true}'), None),
        (claims(None), None),
        (claims([12]), None),
        (claims(float("nan")), None),
        (claims(float("inf")), None),
        (claims(-(10**300)), 0),
        (claims(MAX_SECONDS), MAX_SECONDS),
        (claims(MAX_SECONDS + 1), None),
        (claims(1e300), None),
        (claims(10**400), None),
        (jwt(b"[]"), None),
        (jwt(b"\xff"), None),
        (jwt(b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b',"exp":12}'), None),
    ],
)
def test_expiry_of_tokens(token: str | None, expected: float | None) -> None:
    """Only a JWT has an expiry date; whatever else a token holds is not an error."""
    assert token_expiry(token) == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(
    st.text()
    | st.binary().map(jwt)
    | _JSON.map(claims)
    | _JSON.map(lambda value: jwt(json.dumps(value).encode()))
)
def test_any_token_can_be_read(token: str) -> None:
    """Every expiry date can be shown in the status, where the CRD demands RFC 3339."""
    for expiry in expiries_of(evolve(NOTHING, token=token)):
        assert 0 <= expiry.at <= MAX_SECONDS
        assert datetime.fromisoformat(expiry.shown).timestamp() == int(expiry.at)
        assert token not in repr(expiry)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("00000101000000Z", "1970-01-01T00:00:00Z"),
        ("00010101000000Z", "1970-01-01T00:00:00Z"),
        ("99991231235959Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_certificates_of_any_age_can_be_read(time: str, expected: str) -> None:
    """X.509 has a year 0, which Python has not, and years that RFC 3339 shows with four digits."""
    user: Json = {
        "client-certificate-data": b64(as_pem(certificate(time, time)).encode()),
        "client-key-data": b64(KEY_PEM),
    }
    credentials = parse_kubeconfig(as_yaml(edited(with_certificate(), ("users", 0, "user"), user)))
    (found,) = [each for each in expiries_of(credentials) if "client" in each.credential]
    assert found.shown == expected
    assert start_of(credentials) == found.at
