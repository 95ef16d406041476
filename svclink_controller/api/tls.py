"""The TLS settings of a connection: the same certificates count as with kubectl."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from svclink_controller.api.official_client import Configuration, RESTClientObject
from svclink_controller.credentials.kubeconfig import Credentials


def configuration_of(credentials: Credentials) -> Configuration:
    """The server, its CA and its proxy for the official client, without client certificate."""
    configuration = Configuration(
        host=credentials.server.rstrip("/"), ca_cert_data=credentials.ca_data or None
    )
    configuration.tls_server_name = credentials.tls_server_name or _undotted(credentials.server)
    configuration.verify_ssl = not credentials.insecure
    configuration.proxy = credentials.proxy
    if credentials.token is not None:
        configuration.api_key["BearerToken"] = f"Bearer {credentials.token}"
    return configuration


def _undotted(server: str) -> str | None:
    """The host of a server that ends in a dot, without it, as it is in certificates."""
    host = urlsplit(server).hostname or ""
    return host.removesuffix(".") if host.endswith(".") else None


def client_tls_context(credentials: Credentials) -> ssl.SSLContext:
    """The TLS context. This reads files, so call it in a thread.

    Raises:
        ssl.SSLError: OpenSSL rejects a certificate or the key.
    """
    configuration = configuration_of(credentials)
    with client_certificate_files(configuration, credentials):
        context: ssl.SSLContext = RESTClientObject(configuration).ssl_context
    verify_as_kubectl(context)
    return context


def verify_as_kubectl(context: ssl.SSLContext) -> None:
    """Accept the same certificates as kubectl, on every Python.

    Python 3.13 turns on OpenSSL's strict mode, which rejects CAs without key usage (EKS) and
    certificates without key identifiers. Before 3.13, a CA counts only if it is a root; kubectl
    trusts every certificate that the kubeconfig names, intermediates too.
    """
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


@contextmanager
def client_certificate_files(
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
