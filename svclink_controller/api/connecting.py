"""Connects to API servers: main by kubeconfig or ServiceAccount, a remote by its link."""

from __future__ import annotations

import asyncio
import os
import ssl
from functools import partial
from pathlib import Path
from typing import Final

from attrs import evolve

from svclink_controller.api.client import Client
from svclink_controller.api.environment_proxy import environment_proxy
from svclink_controller.api.limits import DEFAULT_LIMITS, Limits
from svclink_controller.api.renewing import RenewingTransport
from svclink_controller.api.spending import Account, Reading
from svclink_controller.api.tls import configuration_of, remote_tls_context
from svclink_controller.api.transport import HardenedTransport
from svclink_controller.credentials.administrator.access import Access, AccessError, pod_access
from svclink_controller.credentials.administrator.kubeconfig_files import read_admin_kubeconfig
from svclink_controller.credentials.errors import INVALID
from svclink_controller.credentials.kubeconfig import Credentials, KubeconfigError
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_core.errors import SvclinkError

USER_AGENT: Final = "svclink"

POD_VARIABLE: Final = "KUBERNETES_SERVICE_HOST"
"""The environment variable that every Pod has."""


class ConfigurationError(SvclinkError):
    """The main cluster's kubeconfig or in-cluster configuration cannot be used."""


# The main cluster, and any other cluster of the user: their kubeconfig is trusted.


async def main_client(kubeconfig: Path | None, context: str | None = None) -> Client:
    """A client of the cluster that a trusted kubeconfig, or the Pod's ServiceAccount, names.

    Args:
        kubeconfig: The file, or several separated by `:` as in $KUBECONFIG; None: the
            ServiceAccount.
        context: The context of the kubeconfig to use; None: the current one.

    Raises:
        ConfigurationError: The file is missing or cannot be used; the message says why.
    """
    read = partial(_access, kubeconfig, context)
    try:
        access = await asyncio.to_thread(read)
        configuration = configuration_of(evolve(access.credentials, token=None))
        transport = await asyncio.to_thread(RenewingTransport, configuration, access, read)
        await transport.prepare()
        return _client(transport, access.credentials)
    except (AccessError, KubeconfigError, ssl.SSLError) as error:
        raise _unusable(kubeconfig, error) from error


def own_namespace(kubeconfig: Path | None, context: str | None = None) -> str:
    """The controller's namespace: that of its Pod or of the kubeconfig's context, or `default`.

    Raises:
        ConfigurationError: As for `main_client`.
    """
    return _access(kubeconfig, context).namespace


def _access(kubeconfig: Path | None, context: str | None) -> Access:
    """How the administrator reaches the cluster, as files and environment say now."""
    try:
        access = (
            pod_access(os.environ)
            if kubeconfig is None
            else read_admin_kubeconfig(_existing(kubeconfig), context)
        )
        credentials = access.credentials
        proxy = credentials.proxy or environment_proxy(credentials.server, os.environ)
        return evolve(access, credentials=evolve(credentials, proxy=proxy))
    except (AccessError, KubeconfigError) as error:
        raise _unusable(kubeconfig, error) from error


def _existing(kubeconfig: Path) -> list[Path]:
    """The files that exist; $KUBECONFIG may name missing ones beside them."""
    named = [kubeconfig, *(Path(each) for each in str(kubeconfig).split(os.pathsep) if each)]
    if named[0].exists():
        return named[:1]
    if found := [file for file in named[1:] if file.exists()]:
        return found
    is_of_environment = _is_of_environment(kubeconfig)
    fix = "correct it or pass --kubeconfig=FILE" if is_of_environment else "pass an existing one"
    raise ConfigurationError(f"{_named(kubeconfig)}: no such file: {fix}")


def _named(kubeconfig: Path) -> str:
    """A kubeconfig as its user named it."""
    return f"{'KUBECONFIG' if _is_of_environment(kubeconfig) else '--kubeconfig'}={kubeconfig}"


def _is_of_environment(kubeconfig: Path) -> bool:
    return str(kubeconfig) == os.environ.get("KUBECONFIG")


def _unusable(kubeconfig: Path | None, error: Exception) -> ConfigurationError:
    cause = "it contains a broken certificate or key" if isinstance(error, ssl.SSLError) else error
    if kubeconfig is not None:
        return ConfigurationError(f"{_named(kubeconfig)} cannot be used: {cause}")
    if POD_VARIABLE in os.environ:
        return ConfigurationError(f"the Pod's ServiceAccount cannot be used: {cause}")
    return ConfigurationError(
        f"not running in a Pod ({cause}), and the controller does not use $KUBECONFIG"
        " or ~/.kube/config: pass --kubeconfig=FILE"
    )


def cluster_entry(kubeconfig: Path | None, context: str | None) -> Credentials:
    """The cluster that `main_client` reaches, without anything of a user.

    Raises:
        ConfigurationError: As for `main_client`.
    """
    credentials = fixed_credentials(kubeconfig, context)
    return evolve(credentials, token=None, client_certificate=None, client_key=None)


def fixed_credentials(kubeconfig: Path | None, context: str | None) -> Credentials:
    """The credentials of `main_client` that do not renew themselves, as a plugin's or a Pod's do.

    Raises:
        ConfigurationError: As for `main_client`.
    """
    return _access(kubeconfig, context).credentials


# A remote cluster: its kubeconfig is untrusted.


async def remote_client(
    credentials: Credentials,
    trust: Trust = STRICT,
    limits: Limits = DEFAULT_LIMITS,
    account: Account | None = None,
) -> Client:
    """A client of a remote cluster, which connects to no denied address.

    Args:
        credentials: What the allow-list accepted of the link's kubeconfig.
        trust: The addresses that may be connected to.
        limits: Time-outs and sizes.
        account: What the cluster spends of its budget; None: it has no limits.

    Raises:
        KubeconfigError: OpenSSL rejects a certificate or the key, for example as too short.
    """
    try:
        client = await asyncio.to_thread(_remote_client, credentials, trust, limits)
    except ssl.SSLError as error:
        cause = (error.reason or str(error)).replace("_", " ").lower()
        problem = f"contains a certificate or key that OpenSSL rejects ({cause}); use another one"
        raise KubeconfigError(INVALID, "kubeconfig", problem) from error
    return client if account is None else evolve(client, reading=Reading(account))


def _remote_client(credentials: Credentials, trust: Trust, limits: Limits) -> Client:
    """Builds the TLS context, which reads files, so call it in a thread."""
    configuration = configuration_of(credentials)
    transport = HardenedTransport(configuration, trust, remote_tls_context(credentials))
    return _client(transport, credentials, limits)


def _client(
    transport: HardenedTransport, credentials: Credentials, limits: Limits = DEFAULT_LIMITS
) -> Client:
    headers = {"User-Agent": USER_AGENT}
    if credentials.disable_compression:
        headers["Accept-Encoding"] = "identity"
    return Client(transport, headers, limits=limits)
