"""Reads a cluster as Argo CD keeps it in a Secret, by translating it to a kubeconfig.

So there is one allow-list and one check of values. Only the names of fields differ in errors.
Source: ClusterConfig in argoproj/argo-cd pkg/apis/application/v1alpha1/types.go.
"""

from __future__ import annotations

import base64
import json
from typing import Final

import msgspec

from svclink_controller.credentials.allowed_fields import (
    ALLOWED_FIELDS,
    INSECURE_SKIP,
    checked_mapping,
    decode_base64_field,
)
from svclink_controller.credentials.errors import INVALID, KubeconfigError
from svclink_controller.credentials.kubeconfig_yaml import YamlLoader, YamlValue, load_document
from svclink_controller.credentials.trust import Trust

CONFIG_KEY: Final = "config"
SERVER_KEY: Final = "server"
"""The keys of the Secret that hold the credentials, as JSON, and the URL of the API server."""

_FORM: Final = "argoCDCluster"

_CLUSTER_FIELDS: Final = {
    "insecure": INSECURE_SKIP,
    "serverName": "tls-server-name",
    "caData": "certificate-authority-data",
    "disableCompression": "disable-compression",
    "proxyUrl": "proxy-url",
}
_USER_FIELDS: Final = {
    "bearerToken": "token",
    "certData": "client-certificate-data",
    "keyData": "client-key-data",
}
"""The fields of a kubeconfig by the names that they have in Argo CD."""

_CLUSTER_PATH: Final = "clusters[0].cluster"
_USER_PATH: Final = "users[0].user"


def argo_document(server: str, config: str) -> str:
    """One document, in base64, from the two keys of a Secret of Argo CD, which are base64 too."""
    content = json.dumps({_FORM: {SERVER_KEY: server, CONFIG_KEY: config}})
    return base64.b64encode(content.encode()).decode()


def is_argo_document(document: YamlValue) -> bool:
    """Whether a document was made by `argo_document`."""
    return isinstance(document, dict) and _FORM in document


def refuse_bare_config(document: YamlValue) -> None:
    """Refuse the JSON of Argo CD without the URL of the API server, which is in another key.

    Raises:
        KubeconfigError: The document has fields of Argo CD.
    """
    own_fields = ALLOWED_FIELDS["argo config"] | {"execProviderConfig", "awsAuthConfig"}
    if isinstance(document, dict) and not own_fields.isdisjoint(document):
        problem = (
            "is missing but required with Argo CD's config; keep both in one Secret,"
            f" with the keys {SERVER_KEY} and {CONFIG_KEY}, and set spec.kubeconfigSecretRef"
        )
        raise KubeconfigError(INVALID, SERVER_KEY, problem)


def as_kubeconfig(document: YamlValue, trust: Trust, yaml_loader: YamlLoader) -> YamlValue:
    """The kubeconfig that says the same as a document made by `argo_document`.

    Raises:
        KubeconfigError: It has a field that is not allowed. Its values are not checked yet.
    """
    outer = checked_mapping("", document, "argo document", trust)
    both = checked_mapping("", outer.fields.get(_FORM), "argo cluster", trust)
    server = decode_base64_field(SERVER_KEY, both.text(SERVER_KEY) or "")
    content = decode_base64_field(CONFIG_KEY, both.text(CONFIG_KEY) or "")
    config = checked_mapping(CONFIG_KEY, _load_json(content, yaml_loader), "argo config", trust)
    tls = config.fields.get("tlsClientConfig", {})
    tls_config = checked_mapping(config.where("tlsClientConfig"), tls, "argo tls config", trust)
    fields = {**config.fields, **tls_config.fields}
    cluster = {new: fields[old] for old, new in _CLUSTER_FIELDS.items() if old in fields}
    user = {new: fields[old] for old, new in _USER_FIELDS.items() if old in fields}
    cluster["server"] = server.decode(errors="replace").strip()
    return {
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": "user"}}],
        "current-context": "context",
    }


def _load_json(content: bytes, yaml_loader: YamlLoader) -> YamlValue:
    """The value of JSON, in which numbers are not strings. YAML's reader checks the limits."""
    load_document(content, yaml_loader)
    try:
        value: YamlValue = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeError):
        problem = "is not JSON; use the format that Argo CD writes"
        raise KubeconfigError(INVALID, CONFIG_KEY, problem) from None
    return value


def as_argo_error(error: KubeconfigError) -> KubeconfigError:
    """The error with the names that fields have in the Secret."""
    where = _PLACES.get(error.where, error.where)
    if where.startswith("kubeconfig"):
        where = where.replace("kubeconfig", CONFIG_KEY, 1)
    problem = error.problem
    for old, new in (*_CLUSTER_FIELDS.items(), *_USER_FIELDS.items()):
        if "-" in new:
            problem = problem.replace(new, old)
    return KubeconfigError(error.reason, where, problem.replace("use token", "use bearerToken"))


def _place(field: str) -> str:
    is_in_tls = field in {"insecure", "serverName", "caData", "certData", "keyData"}
    return f"{CONFIG_KEY}.tlsClientConfig.{field}" if is_in_tls else f"{CONFIG_KEY}.{field}"


_PLACES: Final = {
    f"{_CLUSTER_PATH}.server": SERVER_KEY,
    _USER_PATH: CONFIG_KEY,
    **{f"{_CLUSTER_PATH}.{new}": _place(old) for old, new in _CLUSTER_FIELDS.items()},
    **{f"{_USER_PATH}.{new}": _place(old) for old, new in _USER_FIELDS.items()},
}
"""Where a field is in the Secret, by its place in the kubeconfig."""
