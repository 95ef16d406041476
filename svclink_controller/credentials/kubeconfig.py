"""Reads the credentials from the kubeconfig of a remote cluster, which is untrusted input.

The fields are restricted by `allowed_fields` and their values by `field_values`; certificates and
keys are re-encoded by `pem`. No file is opened and no program is started.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen

from svclink_controller.credentials.allowed_fields import (
    INSECURE_SKIP,
    USE_CREDENTIALS,
    KubeconfigMapping,
    MappingKind,
    checked_mapping,
    decode_base64_field,
)
from svclink_controller.credentials.argo_clusters import (
    as_argo_error,
    as_kubeconfig,
    is_argo_document,
    refuse_bare_config,
)
from svclink_controller.credentials.errors import INSECURE, INVALID, KubeconfigError
from svclink_controller.credentials.field_values import (
    READERS,
    EntryKind,
    read_certificate_authority,
    read_client_certificate,
    read_disable_compression,
    read_proxy,
    read_server,
    read_tls_server_name,
    read_token,
)
from svclink_controller.credentials.kubeconfig_yaml import (
    DEFAULT_LOADER,
    YamlLoader,
    YamlValue,
    load_document,
)
from svclink_controller.credentials.trust import STRICT, Trust

__all__ = ["Credentials", "KubeconfigError", "decode_base64", "parse_kubeconfig"]

_LISTS: dict[EntryKind, MappingKind] = {
    "cluster": "clusters",
    "user": "users",
    "context": "contexts",
}


@frozen
class Credentials:
    """What is needed to reach one cluster.

    Args:
        server: The https URL of the API server, without `/` at its end.
        ca_data: The certificate authority as PEM; empty: the authorities that the system trusts,
            as with kubectl, or none if `insecure`.
        tls_server_name: The name that the server's certificate must be for, if not the URL's.
        token: The bearer token.
        client_certificate: The client certificate as PEM.
        client_key: Its private key as PEM.
        disable_compression: Ask for uncompressed responses.
        insecure: Accept any certificate, so that any server can pose as the cluster.
        proxy: The URL of an HTTP proxy.
    """

    server: str
    ca_data: str = field(repr=False)
    tls_server_name: str | None = None
    token: str | None = field(default=None, repr=False)
    client_certificate: str | None = field(default=None, repr=False)
    client_key: str | None = field(default=None, repr=False)
    disable_compression: bool = False
    insecure: bool = False
    proxy: str | None = field(default=None, repr=False)


def decode_base64(text: str) -> bytes:
    """The kubeconfig in `spec.kubeconfig`.

    Raises:
        KubeconfigError: The text is not base64.
    """
    return decode_base64_field("spec.kubeconfig", text)


def parse_kubeconfig(
    content: bytes, trust: Trust = STRICT, yaml_loader: YamlLoader = DEFAULT_LOADER
) -> Credentials:
    """The credentials of the current context of a kubeconfig, or of a cluster of Argo CD.

    Only the cluster and user of that context are used, but every entry is checked.

    Args:
        content: The kubeconfig, YAML or JSON.
        trust: What the administrator allows beyond the default.
        yaml_loader: The YAML parser.

    Raises:
        KubeconfigError: The kubeconfig is refused. No other error is raised, whatever the bytes.
    """
    document = load_document(content, yaml_loader)
    if not is_argo_document(document):
        refuse_bare_config(document)
        return _read(document, trust)
    try:
        return _read(as_kubeconfig(document, trust, yaml_loader), trust)
    except KubeconfigError as error:
        raise as_argo_error(error) from error


def _read(document: YamlValue, trust: Trust) -> Credentials:
    config = checked_mapping("", document, "kubeconfig", trust)
    for key, expected in (("apiVersion", "v1"), ("kind", "Config")):
        if config.fields.get(key, expected) != expected:
            raise config.invalid(
                key, f"is not {expected}, so this is not a kubeconfig; provide one"
            )
    clusters = dict(_entries(config, "cluster", trust))
    users = dict(_entries(config, "user", trust))
    contexts = dict(_entries(config, "context", trust))
    context = _named_entry(contexts, config, "current-context")
    cluster = _named_entry(clusters, context, "cluster")
    return _credentials(cluster, _named_entry(users, context, "user"))


def _credentials(cluster: KubeconfigMapping, user: KubeconfigMapping) -> Credentials:
    """Reads the used entries, which must be complete."""
    token, (certificate, key) = read_token(user), read_client_certificate(user)
    if token is None and certificate is None:
        raise KubeconfigError(INVALID, user.path, f"has no credentials; {USE_CREDENTIALS}")
    insecure = cluster.flag(INSECURE_SKIP)
    return Credentials(
        server=cluster.required("server", read_server(cluster)),
        ca_data="" if insecure else read_certificate_authority(cluster) or "",
        tls_server_name=read_tls_server_name(cluster),
        token=token,
        client_certificate=certificate,
        client_key=key,
        disable_compression=read_disable_compression(cluster),
        insecure=insecure,
        proxy=read_proxy(cluster),
    )


def _entries(
    config: KubeconfigMapping, kind: EntryKind, trust: Trust
) -> Iterator[tuple[str, KubeconfigMapping]]:
    """The entries of one of the three lists with their names, each of them checked."""
    list_name = _LISTS[kind]
    items = config.fields.get(list_name, [])
    if not isinstance(items, list):
        raise config.invalid(list_name, "is not a list; export the kubeconfig again")
    names = set()
    for index, value in enumerate(items):
        item = checked_mapping(f"{list_name}[{index}]", value, list_name, trust)
        name = item.required("name", item.text("name"))
        if name in names:
            problem = "is already the name of another entry; rename or remove one of them"
            raise item.invalid("name", problem)
        names.add(name)
        entry = checked_mapping(item.where(kind), item.fields.get(kind, {}), kind, trust)
        if entry.flag(INSECURE_SKIP) and not trust.allows_insecure:
            problem = (
                "lets any server impersonate the cluster; remove it and set"
                " certificate-authority-data"
            )
            raise KubeconfigError(INSECURE, entry.where(INSECURE_SKIP), problem)
        for read in READERS[kind]:
            read(entry)
        yield name, entry


def _named_entry(
    entries: dict[str, KubeconfigMapping], by: KubeconfigMapping, key: str
) -> KubeconfigMapping:
    """The entry that a field names."""
    name = by.required(key, by.text(key))
    if name not in entries:
        raise by.invalid(
            key, "names an entry that the kubeconfig does not have; set it to an existing one"
        )
    return entries[name]
