"""Certificates as they occur in the wild, made with every extension chosen.

Real: certificates and keys. Substituted: nothing.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import trustme
from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOUR = timedelta(hours=1)
HOST = "127.0.0.1"


@frozen
class Issued:
    """A certificate with its key, and the certificate of its issuer; None if it is a root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    issuer: Issued | None = None

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> bytes:
        encoding = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.key.private_bytes(*encoding)

    def served(self, *more: Issued) -> trustme.LeafCert:
        """The certificate as a server presents it, with others after it."""
        chain = [each.pem.encode() for each in (self, *more)]
        return trustme.LeafCert(self.key_pem, chain[0], chain[1:])


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    is_authority: bool = False,
    names: tuple[str, ...] = (),
    has_key_usage: bool = True,
    has_key_ids: bool = True,
    starts: timedelta = -HOUR,
    ends: timedelta = HOUR,
) -> Issued:
    """A certificate of an issuer; without one it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    )
    if names:
        builder = builder.add_extension(_alternative_names(names), critical=False)
    if has_key_usage:
        builder = builder.add_extension(_key_usage(is_authority=is_authority), critical=True)
    if has_key_ids:
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        signing = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(own, critical=False).add_extension(signing, critical=False)
    return Issued(builder.sign(signer, hashes.SHA256()), key, issuer)


def _alternative_names(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [
            x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
            for name in names
        ]
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
