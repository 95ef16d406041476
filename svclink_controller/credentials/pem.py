"""Parses the certificates and keys of a kubeconfig, and re-encodes them as PEM.

The error of a parser is never passed on, not even as a cause: it may quote what it parsed.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates

from svclink_controller.credentials.allowed_fields import KubeconfigMapping

MAX_CERTIFICATES: Final = 64 * 1024
MAX_KEY: Final = 8 * 1024

MAX_KEY_BITS: Final = 8192
"""A TLS handshake with a longer key would delay every other cluster."""

_PEM_LABEL = re.compile(rb"-----BEGIN ([^\n]*?)-----")


@frozen
class Pem:
    """PEM written from what was parsed.

    Args:
        public_key: That of the first certificate, or of the private key.
        text: The PEM.
    """

    public_key: PublicKeyTypes
    text: str = field(repr=False)


def certificates(entry: KubeconfigMapping, key: str) -> Pem | None:
    """The certificates in a field, without any text around them; None if it is absent.

    Raises:
        KubeconfigError: The field holds anything but certificates.
    """
    if (data := entry.data(key, MAX_CERTIFICATES)) is None:
        return None
    if set(_PEM_LABEL.findall(data)) != {b"CERTIFICATE"}:
        raise entry.invalid(key, "is not PEM with certificates only; remove everything else")
    try:
        parsed = load_pem_x509_certificates(data)
        public_keys = [certificate.public_key() for certificate in parsed]
        text = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in parsed)
    except Exception:  # noqa: BLE001 - a parser can fail in any way on hostile bytes
        raise entry.invalid(key, "holds a broken certificate; copy it again") from None
    return Pem(public_keys[0], text.decode())


def private_key(entry: KubeconfigMapping, key: str) -> Pem | None:
    """The private key in a field, as PKCS #8; None if it is absent.

    Raises:
        KubeconfigError: The field holds no private key, or one that is encrypted or too long.
    """
    if (data := entry.data(key, MAX_KEY)) is None:
        return None
    if b"ENCRYPTED" in data:
        raise entry.invalid(key, "is encrypted, and svclink has no password for it; decrypt it")
    try:
        # Validating an RSA key of 8192 bits takes 5 s, and a broken key fails in the handshake.
        parsed = load_pem_private_key(data, password=None, unsafe_skip_rsa_key_validation=True)
        public_key = parsed.public_key()
        text = parsed.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    except Exception:  # noqa: BLE001 - a parser can fail in any way on hostile bytes
        raise entry.invalid(key, "is not a private key in PEM; copy it again") from None
    if getattr(public_key, "key_size", 0) > MAX_KEY_BITS:
        raise entry.invalid(key, f"is longer than {MAX_KEY_BITS} bits; use a shorter key")
    return Pem(public_key, text.decode())
