"""Reads the user that a context of the administrator's kubeconfig names.

A token, basic authentication or a client certificate wins over a plugin, as with kubectl.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import Final, cast
from urllib.parse import quote

from attrs import evolve

from svclink_controller.credentials.administrator.access import (
    Access,
    AccessError,
    ExecPlugin,
    InteractiveMode,
)
from svclink_controller.credentials.administrator.cluster import cluster_for_plugin
from svclink_controller.credentials.administrator.entries import AdminEntry
from svclink_controller.credentials.field_values import read_token
from svclink_controller.credentials.kubeconfig import Credentials
from svclink_controller.credentials.pem import MAX_PEM, client_key_pair

API_VERSIONS: Final = tuple(f"client.authentication.k8s.io/{each}" for each in ("v1", "v1beta1"))
INTERACTIVE_MODES: Final = ("Never", "IfAvailable", "Always")

_HEADER_CHARACTERS: Final = "!#$&'*+^`|~"


def read_user(user: AdminEntry, cluster: AdminEntry, credentials: Credentials) -> Access:
    """How the user reaches a cluster.

    Raises:
        AccessError, KubeconfigError: A field cannot be used.
    """
    certificate, key = _key_pair(user)
    basic, token_file = _basic(user), user.file("tokenFile")
    plugin, provided = _plugin(user, cluster, credentials), _token_of_auth_provider(user)
    token = read_token(user) or provided
    if token is not None and basic is not None:
        raise AccessError(f"{user.path} has a token and a user name; remove one of them")
    has_credentials = any((token, token_file, basic, certificate))
    return Access(
        evolve(credentials, token=token, client_certificate=certificate, client_key=key),
        basic=basic,
        token_file=token_file,
        plugin=None if has_credentials else plugin,
        impersonation=tuple(_impersonation(user)),
    )


def _key_pair(user: AdminEntry) -> tuple[str, str] | tuple[None, None]:
    """The client certificate and its key; of a key alone only the form is checked."""
    certificate = user.pem("client-certificate")
    if certificate.data is None:
        user.text("client-key")
        user.data("client-key-data", MAX_PEM)
        return None, None
    return client_key_pair(user, certificate, user.pem("client-key"))


def _basic(user: AdminEntry) -> str | None:
    """User name and password as in the header: a proxy before the API server may want them."""
    name, password = user.text("username"), user.text("password")
    if name is None and password is None:
        return None
    return base64.b64encode(f"{name or ''}:{password or ''}".encode()).decode()


def _token_of_auth_provider(user: AdminEntry) -> str | None:
    """The token that kubectl stored for OpenID Connect; only kubectl can refresh it."""
    if (provider := user.inner("auth-provider")) is None:
        return None
    if user.inner("exec") is not None:
        raise user.invalid("auth-provider", "is set together with exec; remove one of them")
    name = provider.text("name")
    if name != "oidc":
        raise user.invalid(
            "auth-provider", f"{name!r} was removed from Kubernetes; use an exec plugin"
        )
    settings = provider.inner("config")
    token = None if settings is None else settings.text("id-token")
    if token is None:
        raise user.invalid("auth-provider", "has no id-token; log in with kubectl, or use exec")
    return token


def _plugin(user: AdminEntry, cluster: AdminEntry, credentials: Credentials) -> ExecPlugin | None:
    if (plugin := user.inner("exec")) is None:
        return None
    api_version = plugin.required("apiVersion", plugin.text("apiVersion"))
    if api_version not in API_VERSIONS:
        problem = f"is {api_version!r}, but must be one of {', '.join(API_VERSIONS)}; update it"
        raise plugin.invalid("apiVersion", problem)
    gives_cluster = plugin.flag("provideClusterInfo")
    return ExecPlugin(
        command=_command(plugin),
        arguments=plugin.texts("args"),
        environment=tuple(_environment(plugin)),
        api_version=api_version,
        interactive_mode=_interactive_mode(plugin, api_version),
        install_hint=plugin.text("installHint") or "",
        cluster=cluster_for_plugin(cluster, credentials) if gives_cluster else None,
    )


def _command(plugin: AdminEntry) -> str:
    """A name on the PATH; what contains a `/` is relative to the kubeconfig."""
    command = plugin.required("command", plugin.text("command"))
    return str(plugin.directory / command) if os.sep in command else command


def _environment(plugin: AdminEntry) -> Iterator[tuple[str, str]]:
    for variable in plugin.inner_list("env"):
        yield variable.required("name", variable.text("name")), variable.text("value") or ""


def _interactive_mode(plugin: AdminEntry, api_version: str) -> InteractiveMode:
    default = "IfAvailable" if api_version.endswith("v1beta1") else None
    mode = plugin.required("interactiveMode", plugin.text("interactiveMode") or default)
    if mode not in INTERACTIVE_MODES:
        problem = f"is {mode!r}, but must be one of {', '.join(INTERACTIVE_MODES)}; correct it"
        raise plugin.invalid("interactiveMode", problem)
    return cast("InteractiveMode", mode)


def _impersonation(user: AdminEntry) -> Iterator[tuple[str, str]]:
    """The headers for `as`, `as-uid`, `as-groups` and `as-user-extra`."""
    name, uid, groups = user.text("as"), user.text("as-uid"), user.texts("as-groups")
    extra = user.inner("as-user-extra")
    if name is None:
        if uid or groups or (extra is not None and extra.fields):
            raise user.invalid(
                "as", "is missing; it is required with as-uid, as-groups and as-user-extra"
            )
        return
    yield "Impersonate-User", _header_value(user, "as", name)
    if uid is not None:
        yield "Impersonate-Uid", _header_value(user, "as-uid", uid)
    for group in groups:
        yield "Impersonate-Group", _header_value(user, "as-groups", group)
    if extra is not None:
        for key in sorted(extra.fields):
            header = f"Impersonate-Extra-{quote(key, safe=_HEADER_CHARACTERS)}"
            for value in extra.texts(key):
                yield header, _header_value(extra, key, value)


def _header_value(entry: AdminEntry, key: str, value: str) -> str:
    """A value that an HTTP header can hold."""
    if value.isprintable():
        return value
    raise entry.invalid(key, "cannot be sent: it has a line break or control character; remove it")
