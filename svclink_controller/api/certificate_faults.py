"""What is wrong with the TLS of a server, and how to fix it: each fault has its own sentence."""

from __future__ import annotations

import ssl
from enum import Enum
from typing import Final

import aiohttp


class CertificateFault(Enum):
    """Why a TLS handshake failed; the value is the fix."""

    EXPIRED = (
        "renew the API server's certificate or, if its CA has expired, put the new"
        " CA into the kubeconfig"
    )
    NOT_YET_VALID = (
        "correct the clock on this machine or on the one that issued the certificate, or wait"
    )
    OTHER_NAME = (
        "set tls-server-name in the kubeconfig to a name in the certificate, or use"
        " such a name in server"
    )
    OTHER_ADDRESS = (
        "the certificate is not for this IP address: set tls-server-name in the kubeconfig to"
        " a DNS name in the certificate"
    )
    UNKNOWN_ISSUER = "put the CA that signed the server certificate into the kubeconfig"
    UNUSABLE = (
        "give the API server a certificate that is valid for servers, with a key of at least 2048"
        " bits"
    )
    CLIENT_REJECTED = (
        "the server rejected the client certificate: put a valid one, issued by the cluster's"
        " client CA, into the kubeconfig"
    )
    NO_TLS = "the server does not speak TLS on this port: check the port in the kubeconfig"
    HANDSHAKE = "check that the server supports TLS 1.2 or 1.3"


def certificate_fault(error: BaseException) -> CertificateFault:
    """The fault that an error of the TLS library is about."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return _BY_VERIFY_CODE.get(inner.verify_code, CertificateFault.UNUSABLE)
    reason = str(getattr(inner, "reason", None) or "")
    for fault, words in _BY_REASON.items():
        if any(word in reason for word in words):
            return fault
    return CertificateFault.HANDSHAKE


def tls_fault(error: BaseException) -> CertificateFault | None:
    """The fault that an error of a request is about; None if it is not about certificates.

    In TLS 1.3 the server rejects the client certificate after the handshake, when the response is
    read.
    """
    if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        return certificate_fault(error)
    cause, rejected = error.__cause__, CertificateFault.CLIENT_REJECTED
    if isinstance(error, aiohttp.ClientOSError) and isinstance(cause, ssl.SSLError):
        return rejected if certificate_fault(cause) is rejected else None
    return None


_BY_VERIFY_CODE: Final[dict[int, CertificateFault]] = {
    2: CertificateFault.UNKNOWN_ISSUER,
    9: CertificateFault.NOT_YET_VALID,
    10: CertificateFault.EXPIRED,
    18: CertificateFault.UNKNOWN_ISSUER,
    19: CertificateFault.UNKNOWN_ISSUER,
    20: CertificateFault.UNKNOWN_ISSUER,
    21: CertificateFault.UNKNOWN_ISSUER,
    62: CertificateFault.OTHER_NAME,
    64: CertificateFault.OTHER_ADDRESS,
}
"""X509_V_ERR_* of OpenSSL (openssl-verification-options), the same in every version."""

_BY_REASON: Final[dict[CertificateFault, tuple[str, ...]]] = {
    # What the server says in an alert is about the certificate of the client.
    CertificateFault.CLIENT_REJECTED: (
        "ALERT_BAD_CERTIFICATE",
        "ALERT_UNSUPPORTED_CERTIFICATE",
        "ALERT_CERTIFICATE",
        "ALERT_UNKNOWN_CA",
    ),
    CertificateFault.NO_TLS: ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"),
}
"""Parts of the reasons of OpenSSL; newer versions prefix other words."""
