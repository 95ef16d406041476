"""The TLS settings of a connection: the same certificates count as with kubectl."""

from __future__ import annotations

import os
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from svclink_controller.api.official_client import Configuration
from svclink_controller.credentials.kubeconfig import Credentials

Version: TypeAlias = tuple[tuple[str, int, int, int] | None, ...]
"""Identifies the files with the authorities of the system, as they are now."""

_LOADING: Final = threading.Lock()
"""Held while the authorities of the system are loaded: links that start together load them once."""


def configuration_of(credentials: Credentials) -> Configuration:
    """The server, its proxy and the token for the official client; TLS is in a TLS context."""
    configuration = Configuration(host=credentials.server.rstrip("/"))
    configuration.tls_server_name = credentials.tls_server_name or _undotted(credentials.server)
    configuration.proxy = credentials.proxy
    if credentials.token is not None:
        configuration.api_key["BearerToken"] = f"Bearer {credentials.token}"
    return configuration


def _undotted(server: str) -> str | None:
    """The host of a server that ends in a dot, without it, as it is in certificates."""
    host = urlsplit(server).hostname or ""
    return host.removesuffix(".") if host.endswith(".") else None


def remote_tls_context(credentials: Credentials) -> ssl.SSLContext:
    """The TLS context of a link. Call it in a thread, like `client_tls_context`.

    Links that trust what the system trusts have one context in common, because to load its
    authorities takes 20 ms. A context holds at most one client certificate, so a link that
    has one does not share.

    Raises:
        ssl.SSLError: OpenSSL rejects a certificate or the key.
    """
    if credentials.ca_data or credentials.insecure or credentials.client_certificate is not None:
        return client_tls_context(credentials)
    with _LOADING:
        return _system_tls_context(_version_of_system())


def client_tls_context(credentials: Credentials) -> ssl.SSLContext:
    """A TLS context of its own. This reads files, so call it in a thread.

    Raises:
        ssl.SSLError: OpenSSL rejects a certificate or the key.
    """
    context = _server_tls_context(credentials)
    with client_certificate_files(credentials) as files:
        if files is not None:
            context.load_cert_chain(*files)
    return context


def _server_tls_context(credentials: Credentials) -> ssl.SSLContext:
    """A TLS context that accepts the certificates of the server, or any if `insecure`."""
    if credentials.insecure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context = ssl.create_default_context(cadata=credentials.ca_data or None)
    verify_as_kubectl(context)
    return context


@lru_cache(maxsize=1)
def _system_tls_context(_: Version) -> ssl.SSLContext:
    context = ssl.create_default_context()
    verify_as_kubectl(context)
    return context


def _version_of_system() -> Version:
    paths = ssl.get_default_verify_paths()
    return tuple(_version_of_file(path) for path in (paths.cafile, paths.capath))


def _version_of_file(path: str | None) -> tuple[str, int, int, int] | None:
    if path is None:
        return None
    try:
        found = Path(path).stat()
    except OSError:  # It is being replaced.
        return None
    return path, found.st_ino, found.st_size, found.st_mtime_ns


def verify_as_kubectl(context: ssl.SSLContext) -> None:
    """Accept the same certificates as kubectl, on every Python.

    Python 3.13 turns on OpenSSL's strict mode, which rejects CAs without key usage (EKS) and
    certificates without key identifiers. Before 3.13, a CA counts only if it is a root; kubectl
    trusts every certificate that the kubeconfig names, intermediates too.
    """
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


@contextmanager
def client_certificate_files(credentials: Credentials) -> Iterator[tuple[str, str] | None]:
    """Files with certificate and key while OpenSSL reads them, which reads nothing but files.

    The files are readable by this user alone, and in memory if the system has `/dev/shm`.
    """
    if credentials.client_certificate is None or credentials.client_key is None:
        yield None
        return
    shared_memory = Path("/dev/shm")  # noqa: S108 - a file system in memory
    parent = shared_memory if os.access(shared_memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent) as name:
        directory = Path(name)
        certificate = _private_file(directory / "tls.crt", credentials.client_certificate)
        yield certificate, _private_file(directory / "tls.key", credentials.client_key)


def _private_file(path: Path, content: str) -> str:
    path.touch(mode=0o600)
    path.write_text(content, encoding="ascii")
    return str(path)
