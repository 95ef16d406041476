"""Reads the cluster that a context of the administrator's kubeconfig names."""

from __future__ import annotations

import base64
import re
from typing import Final
from urllib.parse import urlsplit

from svclink_controller.credentials.administrator.access import AccessError
from svclink_controller.credentials.administrator.entries import AdminEntry
from svclink_controller.credentials.allowed_fields import INSECURE_SKIP
from svclink_controller.credentials.field_values import read_disable_compression
from svclink_controller.credentials.kubeconfig import Credentials
from svclink_core.codec import Json

PROXY_SCHEMES: Final = ("http", "https")

EXEC_EXTENSION: Final = "client.authentication.k8s.io/exec"
"""The extension of a cluster that a plugin gets as its configuration."""

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----"
)


def read_cluster(cluster: AdminEntry) -> Credentials:
    """Server, CA and proxy, without anything of a user.

    Raises:
        AccessError, KubeconfigError: A field cannot be used.
    """
    authority = _authority(cluster)
    insecure = cluster.flag(INSECURE_SKIP)
    if insecure and authority is not None:
        raise cluster.invalid(INSECURE_SKIP, "is set together with a CA; remove one of them")
    name = cluster.text("tls-server-name")
    return Credentials(
        server=_server(cluster),
        ca_data=authority or "",
        tls_server_name=None if name is None else name.removesuffix("."),
        disable_compression=read_disable_compression(cluster),
        insecure=insecure,
        proxy=_proxy(cluster),
    )


def cluster_for_plugin(cluster: AdminEntry, credentials: Credentials) -> dict[str, Json]:
    """What a plugin with `provideClusterInfo` gets to know (ExecCredential `spec.cluster`)."""
    info: dict[str, Json] = {"server": credentials.server}
    if credentials.ca_data:
        encoded = base64.b64encode(credentials.ca_data.encode()).decode()
        info["certificate-authority-data"] = encoded
    if credentials.tls_server_name:
        info["tls-server-name"] = credentials.tls_server_name
    if credentials.insecure:
        info[INSECURE_SKIP] = True
    if credentials.proxy:
        info["proxy-url"] = credentials.proxy
    if credentials.disable_compression:
        info["disable-compression"] = True
    for extension in cluster.inner_list("extensions"):
        if extension.fields.get("name") == EXEC_EXTENSION:
            info["config"] = extension.fields.get("extension")
    return info


def checked_proxy(name: str, url: str) -> str:
    """The URL of an HTTP proxy.

    Raises:
        AccessError: Not an HTTP proxy URL; the message omits it because it may contain a password.
    """
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
        parts = urlsplit("")
    if is_usable:
        return url
    if parts.scheme.startswith("socks"):
        raise AccessError(
            f"{name} is a SOCKS proxy, which svclink cannot use; use an HTTP proxy, or none"
        )
    raise AccessError(f"{name} must be a URL like http://host:port; correct it")


def _authority(cluster: AdminEntry) -> str | None:
    """The certificates of the CA as PEM; everything else in it is skipped."""
    found = cluster.pem("certificate-authority")
    if found.data is None:
        return None
    certificates = _CERTIFICATE.findall(found.data)
    if not certificates:
        raise cluster.invalid(found.name, "contains no certificate in PEM format; copy it again")
    return b"\n".join([*certificates, b""]).decode("ascii")


def _server(cluster: AdminEntry) -> str:
    """The URL of the API server; without a scheme it is plain HTTP."""
    text = cluster.required("server", cluster.text("server"))
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
        parts = urlsplit("")
    if not is_url:
        raise cluster.invalid("server", "must be a URL like https://host:port; correct it")
    if parts.username is not None:
        raise cluster.invalid("server", "contains a user name; use username and password instead")
    return parts._replace(scheme=parts.scheme.lower(), query="", fragment="").geturl().rstrip("/")


def _proxy(cluster: AdminEntry) -> str | None:
    url = cluster.text("proxy-url")
    return None if url is None else checked_proxy(cluster.where("proxy-url"), url)
