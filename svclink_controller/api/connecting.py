"""Connects to API servers: from the kubeconfig or ServiceAccount of the main cluster, or the credentials of a link."""

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
from svclink_controller.api.transport import HardenedTransport
from svclink_controller.credentials.kubeconfig import Credentials, KubeconfigError
from svclink_controller.credentials.kubeconfig_yaml import INVALID
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_core.errors import SvclinkError

USER_AGENT: Final = "svclink"

SERVICE_ACCOUNT_NAMESPACE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


class ConfigurationError(SvclinkError):
    """The main cluster's kubeconfig or in-cluster configuration cannot be used."""


async def main_client(kubeconfig: Path | None, context: str | None = None) -> Client:
    """A client of the main cluster: from a kubeconfig file, which is trusted, or from the Pod's ServiceAccount.

    Args:
        kubeconfig: The file, or several with `:` in between as in $KUBECONFIG; None: the ServiceAccount.
        context: The context of the kubeconfig to use; None: the current one.

    Raises:
        ConfigurationError: There is no such file, or it cannot be used; the message says which.
    """
    if kubeconfig is not None:
        return await user_client(kubeconfig, context)
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise ConfigurationError(
            f"this is no Pod of a cluster ({error}): give --kubeconfig=FILE"
        ) from error
    return await asyncio.to_thread(_client, configuration)


async def user_client(kubeconfig: Path, context: str | None) -> Client:
    """A client of the cluster that a kubeconfig, which is trusted, and a context of it lead to.

    Raises:
        ConfigurationError: There is no such file or context, or it cannot be used; the message says which.
    """
    configuration = Configuration()
    file = str(kubeconfig)
    _require_one(file)
    try:
        with _complaints() as said:
            await config.load_kube_config(file, context, configuration)  # type: ignore[no-untyped-call]
        _check(configuration.host, said)
        return await asyncio.to_thread(_client, configuration)
    except (
        Exception
    ) as error:  # The loader lets through whatever files, YAML, base64 and TLS raise.
        raise ConfigurationError(
            f"--kubeconfig={file} is no usable kubeconfig: {_why_unusable(error)}"
        ) from error


def _require_one(files: str) -> None:
    """Of several files, which $KUBECONFIG may name, those that are missing do not matter."""
    if not any(Path(file).exists() for file in files.split(os.pathsep)):
        raise ConfigurationError(f"--kubeconfig={files}: there is no such file")


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What the loader of kubeconfigs meanwhile logs and goes on: that a credential plugin gave no credentials."""
    said: list[str] = []
    listener, logger = (
        logging.Handler(logging.ERROR),
        logging.getLogger(config.kube_config.__name__),
    )
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)


def _check(server: str, complaints: list[str]) -> None:
    """What the loader lets through."""
    if complaints:
        raise ConfigException(f"its credential plugin does not work: {complaints[0]}")
    try:
        URL(server)
    except ValueError as error:
        raise ConfigException(f"its server {server!r} is no URL: {error}") from error


def _why_unusable(error: Exception) -> str:
    """In one line, without what only means something to whoever knows the loader."""
    match error:
        case TypeError() | AttributeError() | KeyError() | RecursionError():
            return "it is not built as `kubectl config view` shows it"
        case UnicodeDecodeError():
            return "it is no text"
        case ssl.SSLError():
            return "a certificate or key in it is no PEM, or the two do not belong together"
        case _:
            return " ".join(str(error).split())


@frozen
class ClusterEntry:
    """How a kubeconfig says its cluster is reached; `authority` is PEM, None where it names none."""

    server: str
    authority: str | None
    tls_server_name: str | None


def cluster_entry(client: Client) -> ClusterEntry:
    """How a client reaches its cluster."""
    configuration = client._api.configuration  # noqa: SLF001 - a part of this module
    file = configuration.ssl_ca_cert
    authority = Path(file).read_text(encoding="ascii") if file else None
    return ClusterEntry(configuration.host, authority, configuration.tls_server_name)


def own_namespace(kubeconfig: Path | None, context: str | None = None) -> str:
    """The namespace of the controller: that of its Pod, or of the context of a kubeconfig, else `default`."""
    if kubeconfig is None:
        return Path(SERVICE_ACCOUNT_NAMESPACE).read_text(encoding="utf-8").strip()
    contexts, current = config.list_kube_config_contexts(config_file=str(kubeconfig))  # type: ignore[no-untyped-call]
    chosen = (
        current if context is None else next(each for each in contexts if each["name"] == context)
    )
    return str(chosen["context"].get("namespace") or "default")


async def remote_client(credentials: Credentials, trust: Trust = STRICT) -> Client:
    """A client of a remote cluster from credentials that passed the allow-list. It connects to no address denied.

    Raises:
        KubeconfigError: OpenSSL will not have a certificate or the key, because it is too short, say.
    """
    try:
        return await asyncio.to_thread(_remote_client, credentials, trust)
    except ssl.SSLError as error:
        why = (error.reason or str(error)).replace("_", " ").lower()
        problem = f"holds a certificate or key that OpenSSL does not accept ({why}); give another"
        raise KubeconfigError(INVALID, "kubeconfig", problem) from error


def _remote_client(credentials: Credentials, trust: Trust) -> Client:
    configuration = Configuration(
        host=credentials.server.rstrip("/"), ca_cert_data=credentials.ca_data or None
    )
    configuration.tls_server_name = credentials.tls_server_name
    configuration.verify_ssl = not credentials.insecure
    configuration.proxy = credentials.proxy
    if credentials.token is not None:
        configuration.api_key["BearerToken"] = f"Bearer {credentials.token}"
    client = _remote_client_of(configuration, credentials, trust)
    if credentials.disable_compression:
        client._api.default_headers["Accept-Encoding"] = "identity"  # noqa: SLF001 - a part of this module
    return client


def _remote_client_of(
    configuration: Configuration, credentials: Credentials, trust: Trust
) -> Client:
    if credentials.client_certificate is None or credentials.client_key is None:
        return _client(configuration, trust)
    # OpenSSL reads certificate and key from files only; they exist, for this user alone, until the context is made.
    shared_memory = Path("/dev/shm")  # noqa: S108 - memory, where there is such a thing
    with tempfile.TemporaryDirectory(
        dir=shared_memory if os.access(shared_memory, os.W_OK) else None
    ) as directory:
        configuration.cert_file = _private_file(
            Path(directory, "tls.crt"), credentials.client_certificate
        )
        configuration.key_file = _private_file(Path(directory, "tls.key"), credentials.client_key)
        return _client(configuration, trust)


def _private_file(path: Path, content: str) -> str:
    path.touch(mode=0o600)
    path.write_text(content, encoding="ascii")
    return str(path)


def _client(configuration: Configuration, trust: Trust | None = None) -> Client:
    """Builds TLS contexts, which reads files: call it in a thread. Without `trust`, it may connect to any address."""
    api = ApiClient(configuration)
    api.user_agent = USER_AGENT
    api.rest_client = HardenedTransport(configuration, trust)
    return Client(api)
