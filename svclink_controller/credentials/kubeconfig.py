"""The allow-list for kubeconfigs of remote clusters, which are untrusted input.

A kubeconfig can name programs to run, files to read and proxies to use (kubernetes/kubectl#697, CVE-2022-24817). Here
only fields that carry credentials themselves are read, every other field is refused by its name, and certificates and
keys are written anew from what was parsed. No file is opened and no program is started.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterator
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

from svclink_controller.credentials.kubeconfig_yaml import (
    INSECURE,
    INVALID,
    KubeconfigError,
    KubeconfigReason,
    YamlValue,
    load_document,
)
from svclink_controller.credentials.trust import STRICT, Trust

__all__ = ["Credentials", "KubeconfigError", "decode_base64", "parse_kubeconfig"]


MAX_CERTIFICATES: Final = 64 * 1024
MAX_KEY: Final = 8 * 1024
MAX_TOKEN: Final = 16 * 1024
MAX_SERVER: Final = 2048
MAX_KEY_BITS: Final = 8192  # a handshake with a longer one would hold up every other cluster

# Extensions are notes of other programs (minikube writes them into clusters and contexts); they are skipped.
_ALLOWED: Final = {
    "": {
        "apiVersion",
        "kind",
        "current-context",
        "clusters",
        "contexts",
        "users",
        "preferences",
        "extensions",
    },
    "clusters": {"name", "cluster"},
    "contexts": {"name", "context"},
    "users": {"name", "user"},
    "cluster": {
        "server",
        "certificate-authority-data",
        "tls-server-name",
        "insecure-skip-tls-verify",
        "extensions",
    }
    | {"disable-compression", "proxy-url"},
    "context": {"cluster", "user", "namespace", "extensions"},
    "user": {"token", "client-certificate-data", "client-key-data", "extensions"},
}
_INSECURE: Final = "insecure-skip-tls-verify"
_USE: Final = "use token, or client-certificate-data with client-key-data"
_REFUSED: Final[dict[str, tuple[KubeconfigReason, str]]] = {
    "exec": (INSECURE, f"runs a program; {_USE}"),
    "auth-provider": (INSECURE, f"runs a program or calls another server; {_USE}"),
    "tokenFile": (INSECURE, "reads a file; put its content into token"),
    "client-certificate": (
        INSECURE,
        "reads a file; put its content, in base64, into client-certificate-data",
    ),
    "client-key": (INSECURE, "reads a file; put its content, in base64, into client-key-data"),
    "certificate-authority": (
        INSECURE,
        "reads a file; put its content, in base64, into certificate-authority-data",
    ),
    "as": (INSECURE, "impersonates a user; remove it and use credentials of that user"),
    "as-uid": (INSECURE, "impersonates a user; remove it and use credentials of that user"),
    "as-groups": (INSECURE, "impersonates groups; remove it and use credentials with their rights"),
    "as-user-extra": (INSECURE, "impersonates a user; remove it and use credentials of that user"),
    "proxy-url": (
        INSECURE,
        "leads through a proxy; remove it and use a server that is reachable without",
    ),
    "username": (INVALID, f"is of basic authentication, which Kubernetes no longer has; {_USE}"),
    "password": (INVALID, f"is of basic authentication, which Kubernetes no longer has; {_USE}"),
}
"""Fields that Kubernetes knows and svclink refuses wherever they are, with the reason and the mend."""

# An unknown key is repeated in an error only if it cannot be a secret that a wrong indentation made a key.
_SHOWABLE_KEY = re.compile(r"[A-Za-z][A-Za-z-]{0,39}")
_LABEL = "[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}")
_HOST_AND_PORT = r"(?:\[([\dA-Fa-f]*:[\dA-Fa-f:.]+)\]|([^][:/]+))(?::(\d{1,5}))?"
_SERVER = re.compile(rf"https://{_HOST_AND_PORT}(?:/[-\w.~%!$&'()*+,;=:@/]*)?", re.ASCII)
_SERVER_FAULTS: Final[tuple[tuple[re.Pattern[str], KubeconfigReason, str], ...]] = (
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
    (re.compile("[^/]*//[^/]*@"), INVALID, f"holds a user name or password; remove it and {_USE}"),
    (re.compile("[^?#]*[?#]"), INVALID, "has a query or a fragment; remove it"),
)
_PROXY = re.compile(rf"https?://{_HOST_AND_PORT}/?", re.ASCII)
_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{MAX_TOKEN}}}")
_PEM_LABEL = re.compile(rb"-----BEGIN ([^\n]*?)-----")


@frozen
class Credentials:
    """Everything that is needed to reach one cluster. Certificates and keys are PEM; `server` has no `/` at its end.

    `ca_data` is empty where `insecure` is set: then anybody may pose as the cluster.
    """

    server: str
    ca_data: str = field(repr=False)
    tls_server_name: str | None = None
    token: str | None = field(default=None, repr=False)
    client_certificate: str | None = field(default=None, repr=False)
    client_key: str | None = field(default=None, repr=False)
    disable_compression: bool = False
    insecure: bool = False
    proxy: str | None = None


def decode_base64(text: str) -> bytes:
    """The bytes behind the text of `spec.kubeconfig`. White space is skipped: many tools wrap base64 into lines.

    Raises:
        KubeconfigError: The text is not base64.
    """
    return _decode("spec.kubeconfig", text)


def parse_kubeconfig(content: bytes, trust: Trust = STRICT) -> Credentials:
    """The credentials that a kubeconfig, YAML or JSON, holds for its current context.

    Only the cluster and the user of that context are used, but a bad field is refused in every entry.

    Args:
        content: The kubeconfig.
        trust: What an administrator allows it besides.

    Raises:
        KubeconfigError: The kubeconfig is refused. Nothing else is raised, whatever the bytes.
    """
    config = _object("", load_document(content), "", trust)
    for key, expected in (("apiVersion", "v1"), ("kind", "Config")):
        if config.fields.get(key, expected) != expected:
            raise config.invalid(key, f"is not {expected}; give a kubeconfig")
    clusters, users, contexts = (
        dict(_entries(config, kind, trust)) for kind in ("cluster", "user", "context")
    )
    context = _chosen(contexts, config, "current-context")
    return _credentials(_chosen(clusters, context, "cluster"), _chosen(users, context, "user"))


def _credentials(cluster: _Object, user: _Object) -> Credentials:
    """What an entry that is not used may lack, a used one may not."""
    token, (certificate, key) = _token(user), _client_certificate(user)
    if token is None and certificate is None:
        raise KubeconfigError(INVALID, user.path, f"has no credentials; {_USE}")
    insecure = cluster.flag(_INSECURE)
    return Credentials(
        server=cluster.required("server", _server(cluster)),
        ca_data=""
        if insecure
        else cluster.required("certificate-authority-data", _authorities(cluster)),
        tls_server_name=_tls_server_name(cluster),
        token=token,
        client_certificate=certificate,
        client_key=key,
        disable_compression=cluster.flag("disable-compression"),
        insecure=insecure,
        proxy=_proxy(cluster),
    )


@frozen
class _Object:
    """A mapping of the kubeconfig and where it is. It has allowed keys only; null and empty values count as absent."""

    path: str
    fields: dict[str, YamlValue] = field(repr=False)

    def where(self, key: str) -> str:
        return f"{self.path}.{key}".lstrip(".")

    def invalid(self, key: str, problem: str) -> KubeconfigError:
        return KubeconfigError(INVALID, self.where(key), problem)

    def text(self, key: str) -> str | None:
        value = self.fields.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.invalid(key, "is not a string; write it in quotes")

    def required(self, key: str, value: str | None) -> str:
        if value is None:
            raise self.invalid(key, "is missing; set it")
        return value

    def flag(self, key: str) -> bool:
        value = self.fields.get(key, False)
        if isinstance(value, bool):
            return value
        raise self.invalid(key, "is neither true nor false; write one of the two, without quotes")

    def data(self, key: str, limit: int) -> bytes | None:
        text = self.text(key)
        data = None if text is None else _decode(self.where(key), text)
        if data is not None and len(data) > limit:
            raise self.invalid(key, f"is larger than {limit} bytes; leave out what is not used")
        return data


def _object(path: str, value: YamlValue, kind: str, trust: Trust) -> _Object:
    if not isinstance(value, dict):
        raise KubeconfigError(
            INVALID, path or "kubeconfig", "is not a mapping; export the kubeconfig again"
        )
    entry = _Object(path, {key: item for key, item in value.items() if item not in (None, "")})
    for key in value:
        if key in _REFUSED and not (
            trust.allows_proxies and (kind, key) == ("cluster", "proxy-url")
        ):
            reason, problem = _REFUSED[key]
            raise KubeconfigError(reason, entry.where(key), problem)
        if key not in _ALLOWED[kind]:
            shown = (
                entry.where(key)
                if _SHOWABLE_KEY.fullmatch(key)
                else f"a field of {path or 'kubeconfig'}"
            )
            raise KubeconfigError(INVALID, shown, "is unknown to svclink; remove it")
    return entry


def _entries(config: _Object, kind: str, trust: Trust) -> Iterator[tuple[str, _Object]]:
    """The entries of one of the three lists, by name. A bad field is refused here, whether the entry is used or not."""
    items = config.fields.get(f"{kind}s", [])
    if not isinstance(items, list):
        raise config.invalid(f"{kind}s", "is not a list; export the kubeconfig again")
    names = set()
    for index, item in enumerate(items):
        named = _object(f"{kind}s[{index}]", item, f"{kind}s", trust)
        name = named.required("name", named.text("name"))
        if name in names:
            raise named.invalid(
                "name", "is the name of an earlier entry; rename or remove one of them"
            )
        names.add(name)
        entry = _object(named.where(kind), named.fields.get(kind, {}), kind, trust)
        if entry.flag(_INSECURE) and not trust.allows_insecure:
            problem = (
                "lets anybody pose as the cluster; remove it and set certificate-authority-data"
            )
            raise KubeconfigError(INSECURE, entry.where(_INSECURE), problem)
        for read in _READERS[kind]:
            read(entry)
        yield name, entry


def _chosen(entries: dict[str, _Object], by: _Object, key: str) -> _Object:
    name = by.required(key, by.text(key))
    if name not in entries:
        raise by.invalid(key, "names no entry of the kubeconfig; set it to the name of one")
    return entries[name]


# One reader a field: its value in the form svclink uses, None where it is absent, or a refusal.


def _server(cluster: _Object) -> str | None:
    if (text := cluster.text("server")) is None:
        return None
    for fault, reason, problem in _SERVER_FAULTS:
        if fault.match(text):
            raise KubeconfigError(reason, cluster.where("server"), problem)
    match = _SERVER.fullmatch(text)
    if (
        match is None
        or not _is_host(match[1] or match[2])
        or int(match[3] or 443) not in range(1, 65536)
    ):
        raise cluster.invalid("server", "is not a URL like https://host:port/path; mend it")
    return text.rstrip("/")


def _tls_server_name(cluster: _Object) -> str | None:
    name = cluster.text("tls-server-name")
    if name is None or _is_host(name):
        return name
    raise cluster.invalid("tls-server-name", "is neither a DNS name nor an IP address; mend it")


def _is_host(text: str) -> bool:
    """Whether the text is a DNS name or an IP address, without a zone (`fe80::1%eth0`)."""
    try:
        return bool(_DNS_NAME.fullmatch(text)) or "%" not in str(ipaddress.ip_address(text))
    except ValueError:
        return False


def _proxy(cluster: _Object) -> str | None:
    if (text := cluster.text("proxy-url")) is None:
        return None
    match = _PROXY.fullmatch(text)
    if (
        match is None
        or not _is_host(match[1] or match[2])
        or int(match[3] or 443) not in range(1, 65536)
    ):
        raise cluster.invalid(
            "proxy-url", "is not a URL like http://host:port, without a user; mend it"
        )
    return text


def _authorities(cluster: _Object) -> str | None:
    certificates = _certificates(cluster, "certificate-authority-data")
    return certificates.text if certificates else None


def _token(user: _Object) -> str | None:
    if (text := user.text("token")) is None:
        return None
    # Files and pipes tend to end in a newline, which no HTTP header may hold.
    if _TOKEN.fullmatch(token := text.rstrip("\r\n")):
        return token
    raise user.invalid(
        "token", f"is not 1 to {MAX_TOKEN} printable ASCII characters without spaces; copy it again"
    )


def _client_certificate(user: _Object) -> tuple[str, str] | tuple[None, None]:
    certificate, key = (
        _certificates(user, "client-certificate-data"),
        _private_key(user, "client-key-data"),
    )
    if certificate is None and key is None:
        return None, None
    if certificate is None or key is None:
        absent = "client-key-data" if certificate else "client-certificate-data"
        raise user.invalid(absent, "is missing; a certificate and its key are given together")
    if certificate.public_key != key.public_key:
        raise user.invalid(
            "client-key-data", "does not belong to client-certificate-data; give the two that do"
        )
    return certificate.text, key.text


_READERS: Final[dict[str, tuple[Callable[[_Object], object], ...]]] = {
    "cluster": (
        _server,
        _authorities,
        _tls_server_name,
        _proxy,
        lambda entry: entry.flag("disable-compression"),
    ),
    "user": (_token, _client_certificate),
    "context": (lambda entry: entry.text("cluster"), lambda entry: entry.text("user")),
}


# PEM and base64. A parser's own error is never passed on, not even as a cause: it may quote what it parsed.


@frozen
class _Pem:
    """PEM written from what was parsed, and the public key of the first certificate or of the private key."""

    public_key: PublicKeyTypes
    text: str = field(repr=False)


def _certificates(entry: _Object, key: str) -> _Pem | None:
    if (data := entry.data(key, MAX_CERTIFICATES)) is None:
        return None
    if set(_PEM_LABEL.findall(data)) != {b"CERTIFICATE"}:
        raise entry.invalid(key, "is not PEM that holds certificates and nothing else; give that")
    try:
        certificates = load_pem_x509_certificates(data)
        public_keys = [certificate.public_key() for certificate in certificates]
        text = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
    except Exception:  # noqa: BLE001 - however a parser fails on hostile bytes, they are no certificate
        raise entry.invalid(key, "holds a broken certificate; copy it again") from None
    return _Pem(public_keys[0], text.decode())


def _private_key(entry: _Object, key: str) -> _Pem | None:
    if (data := entry.data(key, MAX_KEY)) is None:
        return None
    if b"ENCRYPTED" in data:
        raise entry.invalid(
            key, "is encrypted, and there is nobody to ask for the password; decrypt it"
        )
    try:
        # Validating an RSA key of 8192 bits takes 5 s and is no use: with a broken one, the handshake fails.
        private_key = load_pem_private_key(data, password=None, unsafe_skip_rsa_key_validation=True)
        public_key = private_key.public_key()
        text = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    except Exception:  # noqa: BLE001 - as above
        raise entry.invalid(key, "is not a private key in PEM; copy it again") from None
    if getattr(public_key, "key_size", 0) > MAX_KEY_BITS:
        raise entry.invalid(key, f"is longer than {MAX_KEY_BITS} bits; use a shorter key")
    return _Pem(public_key, text.decode())


def _decode(where: str, text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise KubeconfigError(
            INVALID, where, "is not base64; encode it with `base64 -w0`"
        ) from None
