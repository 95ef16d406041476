"""Which fields of a kubeconfig are read, and which are refused: the allow-list.

A kubeconfig can name programs to run, files to read and proxies to use (kubernetes/kubectl#697,
CVE-2022-24817). Only fields that carry credentials themselves are read; every other field is
refused by its name.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Literal, TypeAlias

from attrs import field, frozen

from svclink_controller.credentials.errors import (
    INSECURE,
    INVALID,
    KubeconfigError,
    KubeconfigReason,
)
from svclink_controller.credentials.kubeconfig_yaml import YamlValue
from svclink_controller.credentials.trust import Trust

MappingKind: TypeAlias = Literal[
    "kubeconfig",
    "clusters",
    "contexts",
    "users",
    "cluster",
    "context",
    "user",
    "argo document",
    "argo cluster",
    "argo config",
    "argo tls config",
]
"""A mapping of a kubeconfig: the whole, an item of one of its lists, or the entry in the item.

Or one of a cluster as Argo CD keeps it.
"""

_ABSENT: Final[tuple[YamlValue, ...]] = (None, "", [])

INSECURE_SKIP: Final = "insecure-skip-tls-verify"

# Extensions hold data of other programs (minikube writes them into clusters and contexts).
ALLOWED_FIELDS: Final[dict[MappingKind, AbstractSet[str]]] = {
    "kubeconfig": {
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
        INSECURE_SKIP,
        "disable-compression",
        "proxy-url",
        "extensions",
    },
    "context": {"cluster", "user", "namespace", "extensions"},
    "user": {"token", "client-certificate-data", "client-key-data", "extensions"},
    "argo document": {"argoCDCluster"},
    "argo cluster": {"server", "config"},
    "argo config": {"bearerToken", "tlsClientConfig", "disableCompression", "proxyUrl"},
    "argo tls config": {"insecure", "serverName", "caData", "certData", "keyData"},
}
"""The fields that may occur, by mapping."""

USE_CREDENTIALS: Final = "use token, or client-certificate-data with client-key-data"
_RUNS = "runs a program"
_READS = "reads a file; put its base64-encoded content into"
_IMPERSONATES = "impersonates a user; remove it and use that user's credentials"
_BASIC = f"is for basic authentication, which Kubernetes no longer supports; {USE_CREDENTIALS}"

REFUSED_FIELDS: Final[dict[str, tuple[KubeconfigReason, str]]] = {
    "exec": (INSECURE, f"{_RUNS}; {USE_CREDENTIALS}"),
    "auth-provider": (INSECURE, f"{_RUNS} or calls another server; {USE_CREDENTIALS}"),
    "tokenFile": (INSECURE, "reads a file; put its content into token"),
    "client-certificate": (INSECURE, f"{_READS} client-certificate-data"),
    "client-key": (INSECURE, f"{_READS} client-key-data"),
    "certificate-authority": (INSECURE, f"{_READS} certificate-authority-data"),
    "as": (INSECURE, _IMPERSONATES),
    "as-uid": (INSECURE, _IMPERSONATES),
    "as-groups": (
        INSECURE,
        "impersonates groups; remove it and use credentials with their permissions",
    ),
    "as-user-extra": (INSECURE, _IMPERSONATES),
    "proxy-url": (
        INSECURE,
        "uses a proxy; remove it and use a server that is reachable without one",
    ),
    "execProviderConfig": (INSECURE, f"{_RUNS}; {USE_CREDENTIALS}"),
    "awsAuthConfig": (INSECURE, f"{_RUNS}; {USE_CREDENTIALS}"),
    "username": (INVALID, _BASIC),
    "password": (INVALID, _BASIC),
}
"""Fields of Kubernetes and Argo CD that are refused anywhere, with the reason and the fix."""

_MEANT: Final = re.compile(rb"clusters|-----BEGIN ")
"""Occurs in every kubeconfig, certificate and key, and never in base64."""

# An unknown key is quoted only if it cannot be a secret that wrong indentation turned into a key.
_SHOWABLE_KEY = re.compile(r"[A-Za-z][A-Za-z-]{0,39}")


@frozen
class KubeconfigMapping:
    """A mapping with allowed fields only; null and empty values count as absent.

    Args:
        path: Where it is, for example `users[0].user`; empty for the whole kubeconfig.
        fields: Its fields.
    """

    path: str
    fields: dict[str, YamlValue] = field(repr=False)

    def where(self, key: str) -> str:
        """The path of a field."""
        return f"{self.path}.{key}".lstrip(".")

    def invalid(self, key: str, problem: str) -> KubeconfigError:
        """The error of a field that cannot be used."""
        return KubeconfigError(INVALID, self.where(key), problem)

    def text(self, key: str) -> str | None:
        """A field that must be a string if it is present."""
        value = self.fields.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.invalid(key, "is not a string; put it in quotes")

    def required(self, key: str, value: str | None) -> str:
        """The value of a field that must be present."""
        if value is None:
            raise self.invalid(key, "is missing; set it")
        return value

    def flag(self, key: str) -> bool:
        """A field that must be true or false if it is present; absent is false."""
        value = self.fields.get(key, False)
        if isinstance(value, bool):
            return value
        raise self.invalid(key, "is not a boolean; write true or false without quotes")

    def data(self, key: str, limit: int) -> bytes | None:
        """The decoded bytes of a base64 field, at most `limit` of them."""
        if (text := self.text(key)) is None:
            return None
        data = decode_base64_field(self.where(key), text)
        if len(data) > limit:
            raise self.invalid(key, f"is larger than {limit} bytes; remove what you do not use")
        return data


def checked_mapping(
    path: str, value: YamlValue, kind: MappingKind, trust: Trust
) -> KubeconfigMapping:
    """A mapping of the kubeconfig whose fields are all allowed.

    As in Kubernetes, a refused field without a value counts as absent: many tools write
    `username: null` and `proxy-url: ""`.

    Raises:
        KubeconfigError: The value is not a mapping, or has a field that is not allowed.
    """
    if not isinstance(value, dict):
        problem = "is not a mapping; export the kubeconfig again"
        raise KubeconfigError(INVALID, path or "kubeconfig", problem)
    fields = present_fields(value)
    mapping = KubeconfigMapping(path, fields)
    for key in value:
        is_allowed_proxy = trust.allows_proxies and (kind, key) == ("cluster", "proxy-url")
        if key in REFUSED_FIELDS and not is_allowed_proxy:
            if key not in fields:
                continue
            reason, problem = REFUSED_FIELDS[key]
            raise KubeconfigError(reason, mapping.where(key), problem)
        if key not in ALLOWED_FIELDS[kind]:
            is_showable = _SHOWABLE_KEY.fullmatch(key) is not None
            where = mapping.where(key) if is_showable else f"a field of {path or 'the kubeconfig'}"
            raise KubeconfigError(INVALID, where, "is unknown to svclink; remove it")
    return mapping


def present_fields(mapping: Mapping[str, YamlValue]) -> dict[str, YamlValue]:
    """The fields that have a value: in Kubernetes, null and empty mean absent."""
    return {key: item for key, item in mapping.items() if item not in _ABSENT}


def decode_base64_field(where: str, text: str) -> bytes:
    """The decoded bytes of a field; white space is skipped, as many tools wrap base64 into lines.

    Raises:
        KubeconfigError: The text is not base64, or base64 of base64.
    """
    if (data := _decoded(text)) is None:
        raise KubeconfigError(INVALID, where, "is not base64; encode it with `base64 -w0`")
    twice = _decoded(data.decode("ascii", "replace"))
    if twice is not None and _MEANT.search(twice):
        raise KubeconfigError(INVALID, where, "is base64-encoded twice; encode it only once")
    return data


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None
