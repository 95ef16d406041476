"""Reads the fields of clusters, users and contexts: each value is checked, or refused.

Each reader returns the value in the form that svclink uses, or None if the field is absent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from svclink_controller.credentials.allowed_fields import USE_CREDENTIALS, KubeconfigMapping
from svclink_controller.credentials.errors import (
    INSECURE,
    INVALID,
    KubeconfigError,
    KubeconfigReason,
)
from svclink_controller.credentials.pem import MAX_PEM, PemField, authorities, client_key_pair

EntryKind: TypeAlias = Literal["cluster", "user", "context"]

MAX_TOKEN: Final = 16 * 1024
MAX_SERVER: Final = 2048

# Underscores are not allowed in host names, but common outside the public web.
_LABEL = "[A-Za-z0-9_](?:[-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}\.?\Z)(?:{_LABEL}\.)*{_LABEL}\.?")
_HOST_AND_PORT = r"(?:\[([\dA-Fa-f]*:[\dA-Fa-f:.]+)\]|([^][:/]+))(?::(\d{1,5}))?"
_SERVER = re.compile(rf"(?i:https)://{_HOST_AND_PORT}(?:/[-\w.~%!$&'()*+,;=:@/]*)?", re.ASCII)
_PROXY = re.compile(rf"(?i:https?)://{_HOST_AND_PORT}/?", re.ASCII)
_BASE64_OF_JWT = re.compile("ZXlK[A-Za-z0-9+/]+={0,2}", re.ASCII)
_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{MAX_TOKEN}}}")

_SERVER_PROBLEMS: Final[tuple[tuple[re.Pattern[str], KubeconfigReason, str], ...]] = (
    (
        re.compile(rf".{{{MAX_SERVER + 1}}}", re.DOTALL),
        INVALID,
        f"is longer than {MAX_SERVER} characters; shorten it",
    ),
    (
        re.compile("http://", re.IGNORECASE),
        INSECURE,
        "sends the credentials unencrypted; use the https URL",
    ),
    (
        re.compile("[^/]*//[^/]*@"),
        INVALID,
        f"contains a user name or password; remove it and {USE_CREDENTIALS}",
    ),
    (re.compile("[^?#]*[?#]"), INVALID, "has a query or a fragment; remove it"),
)
"""Frequent mistakes in a server, each with an error of its own."""


def read_server(cluster: KubeconfigMapping) -> str | None:
    """The https URL of the API server, without `/` at its end."""
    if (text := cluster.text("server")) is None:
        return None
    for pattern, reason, problem in _SERVER_PROBLEMS:
        if pattern.match(text):
            raise KubeconfigError(reason, cluster.where("server"), problem)
    if not _is_url(text, _SERVER):
        raise cluster.invalid("server", "must be a URL like https://host:port/path; correct it")
    return "https" + text[len("https") :].rstrip("/")


def read_certificate_authority(cluster: KubeconfigMapping) -> str | None:
    """The certificates that the server's certificate is verified with, as PEM."""
    found = authorities(cluster, "certificate-authority-data")
    return found.text if found else None


def read_tls_server_name(cluster: KubeconfigMapping) -> str | None:
    """The name that the server's certificate must be for; certificates have no dot at the end."""
    name = cluster.text("tls-server-name")
    if name is None:
        return None
    if _is_host(name):
        return name.removesuffix(".")
    raise cluster.invalid("tls-server-name", "must be a DNS name or an IP address; correct it")


def read_proxy(cluster: KubeconfigMapping) -> str | None:
    """The URL of an HTTP proxy."""
    text = cluster.text("proxy-url")
    if text is None or _is_url(text, _PROXY):
        return text
    if text.lower().startswith("socks"):
        problem = "is not an HTTP proxy; use one like http://host:port (svclink cannot use SOCKS)"
        raise cluster.invalid("proxy-url", problem)
    problem = "must be a URL like http://host:port, with no user name or path; correct it"
    raise cluster.invalid("proxy-url", problem)


def read_disable_compression(cluster: KubeconfigMapping) -> bool:
    """Whether responses are to be sent uncompressed."""
    return cluster.flag("disable-compression")


def read_token(user: KubeconfigMapping) -> str | None:
    """The bearer token."""
    if (text := user.text("token")) is None:
        return None
    # Files and pipes often end in a newline, which an HTTP header cannot hold.
    stripped = text.rstrip("\r\n")
    if _BASE64_OF_JWT.match(stripped):
        raise user.invalid(
            "token", "is a base64-encoded token; decode it (Secrets encode their data)"
        )
    if _TOKEN.fullmatch(stripped):
        return stripped
    problem = f"must have 1 to {MAX_TOKEN} printable ASCII characters and no spaces; copy it again"
    raise user.invalid("token", problem)


def read_client_certificate(user: KubeconfigMapping) -> tuple[str, str] | tuple[None, None]:
    """The client certificate and its key, both as PEM."""
    certificate, key = (
        PemField(name, user.data(name, MAX_PEM))
        for name in ("client-certificate-data", "client-key-data")
    )
    return client_key_pair(user, certificate, key)


READERS: Final[dict[EntryKind, tuple[Callable[[KubeconfigMapping], object], ...]]] = {
    "cluster": (
        read_server,
        read_certificate_authority,
        read_tls_server_name,
        read_proxy,
        read_disable_compression,
    ),
    "user": (read_token, read_client_certificate),
    "context": (lambda context: context.text("cluster"), lambda context: context.text("user")),
}
"""The readers of each kind of entry; they check unused entries as well."""


def _is_url(text: str, pattern: re.Pattern[str]) -> bool:
    match = pattern.fullmatch(text)
    if match is None:
        return False
    ipv6, name, port = match[1], match[2], match[3]
    return _is_host(ipv6 or name) and int(port or 443) in range(1, 65536)


def _is_host(text: str) -> bool:
    """Whether the text is a DNS name or an IP address without a zone (`fe80::1%eth0`)."""
    try:
        return bool(_DNS_NAME.fullmatch(text)) or "%" not in str(ipaddress.ip_address(text))
    except ValueError:
        return False
