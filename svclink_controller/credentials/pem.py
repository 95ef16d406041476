"""Parses the certificates and keys of a kubeconfig, and re-encodes them as PEM.

The error of a parser is never passed on, not even as a cause: it may quote what it parsed.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509 import load_pem_x509_certificates

from svclink_controller.credentials.allowed_fields import KubeconfigMapping

MAX_PEM: Final = 64 * 1024

MAX_KEY_BITS: Final = 8192
"""A TLS handshake with a longer key would delay every other cluster."""

_PEM_LABEL: Final = re.compile(rb"-----BEGIN ([^\n]*?)-----")
_PRIVATE_KEY: Final = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----([A-Za-z0-9+/=\s]*)-----END "
)


@frozen
class Pem:
    """PEM written from what was parsed.

    Args:
        public_key: That of the first certificate, or of the private key.
        text: The PEM.
    """

    public_key: PublicKeyTypes
    text: str = field(repr=False)


@frozen
class PemField:
    """A field of a kubeconfig and the PEM in it, or None if it is absent."""

    name: str
    data: bytes | None = field(repr=False)


def authorities(entry: KubeconfigMapping, key: str) -> Pem | None:
    """The certificates in a field that may hold nothing else; None if it is absent.

    Raises:
        KubeconfigError: The field holds anything but certificates.
    """
    if (data := entry.data(key, MAX_PEM)) is None:
        return None
    if set(_PEM_LABEL.findall(data)) != {b"CERTIFICATE"}:
        raise entry.invalid(key, "must contain only PEM certificates; remove everything else")
    return _certificates(entry, key, data)


def client_key_pair(
    entry: KubeconfigMapping, certificate: PemField, key: PemField
) -> tuple[str, str] | tuple[None, None]:
    """The client certificates and the key of the first one, both as PEM.

    As with kubectl, one PEM that holds both may be the value of both fields.

    Raises:
        KubeconfigError: One of the two is missing or broken, or they do not belong together.
    """
    if certificate.data is None and key.data is None:
        return None, None
    for each in (certificate, key):
        if each.data is None:
            raise entry.invalid(each.name, "is missing; set both the certificate and its key")
    presented = _certificates(entry, certificate.name, certificate.data or b"")
    own = _private_key(entry, key.name, key.data or b"")
    if presented.public_key != own.public_key:
        problem = f"does not belong to {certificate.name}; use that certificate's key"
        raise entry.invalid(key.name, problem)
    return presented.text, own.text


def _private_key(entry: KubeconfigMapping, key: str, data: bytes) -> Pem:
    """The first private key, as PKCS #8."""
    if b"ENCRYPTED" in data:
        raise entry.invalid(key, "is encrypted, and svclink has no password for it; decrypt it")
    try:
        parsed = _first_private_key(data)
        public_key = parsed.public_key()
        text = parsed.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    except Exception:  # noqa: BLE001 - a parser can fail in any way on hostile bytes
        raise entry.invalid(key, "is not a PEM private key; copy it again") from None
    if getattr(public_key, "key_size", 0) > MAX_KEY_BITS:
        raise entry.invalid(key, f"is longer than {MAX_KEY_BITS} bits; use a shorter key")
    return Pem(public_key, text.decode())


def _certificates(entry: KubeconfigMapping, key: str, data: bytes) -> Pem:
    """The certificates without any text around them."""
    try:
        parsed = load_pem_x509_certificates(data)
        public_keys = [certificate.public_key() for certificate in parsed]
        text = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in parsed)
    except Exception:  # noqa: BLE001 - a parser can fail in any way on hostile bytes
        raise entry.invalid(
            key, "contains no certificate, or a broken one; copy it again"
        ) from None
    return Pem(public_keys[0], text.decode())


def _first_private_key(data: bytes) -> PrivateKeyTypes:
    """The first key, whatever its PEM label says: Go, and so kubectl, looks at the content too.

    Tools write PKCS #8 under `RSA PRIVATE KEY`, and PKCS #1 under `PRIVATE KEY`.
    """
    der = base64.b64decode(_PRIVATE_KEY.findall(data)[0])
    # Validating an RSA key of 8192 bits takes 5 s, and a broken key fails in the handshake.
    return load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)
