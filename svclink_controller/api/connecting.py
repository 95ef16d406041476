"""Connects to API servers: main by kubeconfig or ServiceAccount, a remote by its link."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.config_exception import ConfigException
from yarl import URL

from svclink_controller.api.client import Client
from svclink_controller.api.limits import DEFAULT_LIMITS, Limits
from svclink_controller.api.transport import HardenedTransport
from svclink_controller.credentials.errors import INVALID
from svclink_controller.credentials.kubeconfig import Credentials, KubeconfigError
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_core.errors import SvclinkError

USER_AGENT: Final = "svclink"

SERVICE_ACCOUNT_NAMESPACE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


class ConfigurationError(SvclinkError):
    """The main cluster's kubeconfig or in-cluster configuration cannot be used."""


# The main cluster, and any other cluster of the user: their kubeconfig is trusted.


async def main_client(kubeconfig: Path | None, context: str | None = None) -> Client:
    """A client of the main cluster, from a trusted kubeconfig or the Pod's ServiceAccount.

    Args:
        kubeconfig: The file, or several separated by `:` as in $KUBECONFIG; None: the
            ServiceAccount.
        context: The context of the kubeconfig to use; None: the current one.

    Raises:
        ConfigurationError: The file is missing or cannot be used; the message says why.
    """
    if kubeconfig is not None:
        return await user_client(kubeconfig, context)
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise ConfigurationError(
            f"not running in a Pod ({error}); pass --kubeconfig=FILE"
        ) from error
    return await asyncio.to_thread(_client, configuration)


async def user_client(kubeconfig: Path, context: str | None) -> Client:
    """A client of the cluster that a trusted kubeconfig and one of its contexts name.

    Raises:
        ConfigurationError: The file or context is missing or cannot be used; the message says why.
    """
    configuration = Configuration()
    files = str(kubeconfig)
    _require_any(files)
    try:
        with _loader_errors() as errors:
            await config.load_kube_config(files, context, configuration)  # type: ignore[no-untyped-call]
        _check(configuration.host, errors)
        return await asyncio.to_thread(_client, configuration)
    except Exception as error:  # The loader passes on what files, YAML, base64 and TLS raise.
        raise ConfigurationError(
            f"--kubeconfig={files} cannot be used: {_why_unusable(error)}"
        ) from error


def own_namespace(kubeconfig: Path | None, context: str | None = None) -> str:
    """The controller's namespace: that of its Pod or of the kubeconfig's context, or `default`."""
    if kubeconfig is None:
        return Path(SERVICE_ACCOUNT_NAMESPACE).read_text(encoding="utf-8").strip()
    contexts, current = config.list_kube_config_contexts(config_file=str(kubeconfig))  # type: ignore[no-untyped-call]
    chosen = (
        current if context is None else next(each for each in contexts if each["name"] == context)
    )
    return str(chosen["context"].get("namespace") or "default")


def _require_any(files: str) -> None:
    """Checks that one of the files exists; $KUBECONFIG may name missing ones beside it."""
    if not any(Path(file).exists() for file in files.split(os.pathsep)):
        raise ConfigurationError(f"--kubeconfig={files}: no such file")


@contextmanager
def _loader_errors() -> Iterator[list[str]]:
    """Collects the errors that the kubeconfig loader logs and ignores, such as a failed plugin."""
    errors: list[str] = []
    logger = logging.getLogger(config.kube_config.__name__)
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: errors.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield errors
    finally:
        logger.removeHandler(handler)


def _check(server: str, loader_errors: list[str]) -> None:
    """Rejects what the loader accepts although no request can succeed with it."""
    if loader_errors:
        raise ConfigException(f"its credential plugin failed: {loader_errors[0]}")
    try:
        URL(server)
    except ValueError as error:
        raise ConfigException(f"its server {server!r} is not a URL: {error}") from error


def _why_unusable(error: Exception) -> str:
    """One line for the user, without the loader's internals."""
    match error:
        case TypeError() | AttributeError() | KeyError() | RecursionError():
            return "it does not have the structure that `kubectl config view` shows"
        case UnicodeDecodeError():
            return "it is not text in UTF-8"
        case ssl.SSLError():
            return "a certificate or key in it is not PEM, or the two do not match"
        case _:
            return " ".join(str(error).split())


@frozen
class ClusterEntry:
    """The cluster of a kubeconfig; `authority` is PEM, or None if the kubeconfig names none."""

    server: str
    authority: str | None
    tls_server_name: str | None


def cluster_entry(client: Client) -> ClusterEntry:
    """The cluster that a client of `main_client` or `user_client` reaches."""
    configuration = client.configuration
    file = configuration.ssl_ca_cert
    authority = Path(file).read_text(encoding="ascii") if file else None
    return ClusterEntry(configuration.host, authority, configuration.tls_server_name)


# A remote cluster: its kubeconfig is untrusted.


async def remote_client(
    credentials: Credentials, trust: Trust = STRICT, limits: Limits = DEFAULT_LIMITS
) -> Client:
    """A client of a remote cluster, which connects to no denied address.

    Args:
        credentials: What the allow-list accepted of the link's kubeconfig.
        trust: The addresses that may be connected to.
        limits: Time-outs and sizes.

    Raises:
        KubeconfigError: OpenSSL rejects a certificate or the key, for example as too short.
    """
    try:
        return await asyncio.to_thread(_remote_client, credentials, trust, limits)
    except ssl.SSLError as error:
        cause = (error.reason or str(error)).replace("_", " ").lower()
        problem = f"holds a certificate or key that OpenSSL rejects ({cause}); use another one"
        raise KubeconfigError(INVALID, "kubeconfig", problem) from error


def _remote_client(credentials: Credentials, trust: Trust, limits: Limits) -> Client:
    configuration = Configuration(
        host=credentials.server.rstrip("/"), ca_cert_data=credentials.ca_data or None
    )
    configuration.tls_server_name = credentials.tls_server_name
    configuration.verify_ssl = not credentials.insecure
    configuration.proxy = credentials.proxy
    if credentials.token is not None:
        configuration.api_key["BearerToken"] = f"Bearer {credentials.token}"
    headers = {"Accept-Encoding": "identity"} if credentials.disable_compression else {}
    with _client_certificate_files(configuration, credentials):
        return _client(configuration, trust, limits, headers)


@contextmanager
def _client_certificate_files(
    configuration: Configuration, credentials: Credentials
) -> Iterator[None]:
    """Writes certificate and key to files while the TLS context is made: OpenSSL reads only files.

    The files are readable by this user alone, and in memory if the system has `/dev/shm`.
    """
    if credentials.client_certificate is None or credentials.client_key is None:
        yield
        return
    shared_memory = Path("/dev/shm")  # noqa: S108 - a file system in memory
    parent = shared_memory if os.access(shared_memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent) as name:
        directory = Path(name)
        configuration.cert_file = _private_file(
            directory / "tls.crt", credentials.client_certificate
        )
        configuration.key_file = _private_file(directory / "tls.key", credentials.client_key)
        yield


def _private_file(path: Path, content: str) -> str:
    path.touch(mode=0o600)
    path.write_text(content, encoding="ascii")
    return str(path)


def _client(
    configuration: Configuration,
    trust: Trust | None = None,
    limits: Limits = DEFAULT_LIMITS,
    headers: dict[str, str] | None = None,
) -> Client:
    """Builds the TLS context, which reads files, so call it in a thread.

    Without `trust`, the client may connect to any address.
    """
    api = ApiClient(configuration)
    api.user_agent = USER_AGENT
    api.default_headers.update(headers or {})
    api.rest_client = HardenedTransport(configuration, trust)
    return Client(api, limits=limits)
