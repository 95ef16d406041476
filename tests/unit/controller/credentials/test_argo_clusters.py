"""Secrets as Cluster API and Argo CD write them become credentials, through the one allow-list.

Real: the parsers, certificates and keys. Substituted: nothing.
"""

from __future__ import annotations

import base64
import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.credentials.argo_clusters import argo_document
from svclink_controller.credentials.kubeconfig import (
    Credentials,
    KubeconfigError,
    parse_kubeconfig,
)
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.remotes.secret_kubeconfigs import kubeconfig_in
from svclink_controller.wire.decoding import Secret
from svclink_core.controller_namespace import KnownNamespace
from svclink_core.meta_v1 import ObjectMeta
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.unit.controller.credentials.kubeconfigs import (
    CA_PEM,
    CLIENT_KEY,
    CLIENT_PEM,
    INSECURE,
    INVALID,
    TOKEN,
    Json,
    as_yaml,
    b64,
    edited,
    shown,
    with_token,
)

SERVER: Final = "https://remote.example:6443"
TLS: Final[dict[str, Json]] = {"insecure": False, "caData": b64(CA_PEM)}
BEARER: Final[dict[str, Json]] = {"bearerToken": TOKEN, "tlsClientConfig": TLS}
CERTIFICATE: Final[dict[str, Json]] = {
    "tlsClientConfig": {**TLS, "certData": b64(CLIENT_PEM), "keyData": b64(CLIENT_KEY)}
}


def content_of(data: dict[str, bytes], key: str) -> bytes:
    """What a link finds that names a key of a Secret with these data."""
    pairs = tuple(sorted((name, b64(value)) for name, value in data.items()))
    reference, home = SecretKeyReference("s", key), KnownNamespace("svclink")
    found = kubeconfig_in(Secret(ObjectMeta("s", "svclink"), pairs), reference, home)
    assert isinstance(found, str)
    return base64.b64decode(found)


def read(config: Json, server: str = SERVER, trust: Trust = STRICT) -> Credentials:
    """The credentials in a Secret of Argo CD."""
    data = {"name": b"remote", "server": server.encode(), "config": json.dumps(config).encode()}
    return parse_kubeconfig(content_of(data, "config"), trust)


def refusal(config: Json, server: str = SERVER) -> KubeconfigError:
    with pytest.raises(KubeconfigError) as caught:
        read(config, server)
    assert "; " in str(caught.value)
    return caught.value


def changed(**fields: Json) -> dict[str, Json]:
    return {**BEARER, **fields}


def with_tls(**fields: Json) -> dict[str, Json]:
    return changed(tlsClientConfig={**TLS, **fields})


# Cluster API


def test_kubeconfig_of_cluster_api() -> None:
    """Its Secrets `NAME-kubeconfig` hold a kubeconfig with a client certificate in `value`."""
    config: Json = {
        "apiVersion": "v1",
        "clusters": [
            {"cluster": {"certificate-authority-data": b64(CA_PEM), "server": SERVER}, "name": "c1"}
        ],
        "contexts": [{"context": {"cluster": "c1", "user": "c1-admin"}, "name": "c1-admin@c1"}],
        "current-context": "c1-admin@c1",
        "kind": "Config",
        "preferences": {},
        "users": [
            {
                "name": "c1-admin",
                "user": {
                    "client-certificate-data": b64(CLIENT_PEM),
                    "client-key-data": b64(CLIENT_KEY),
                },
            }
        ],
    }
    found = parse_kubeconfig(content_of({"value": as_yaml(config)}, "value"))
    assert (found.server, found.client_certificate) == (SERVER, CLIENT_PEM.decode())


# Argo CD


def test_bearer_token_of_argo() -> None:
    """A token and a CA, as `argocd cluster add` writes them."""
    assert read(BEARER) == Credentials(SERVER, CA_PEM.decode(), token=TOKEN)


def test_client_certificate_of_argo() -> None:
    """Certificate and key, and everything else that is allowed."""
    everything = {
        **CERTIFICATE,
        "disableCompression": True,
        "username": "",
        "password": None,
        "awsAuthConfig": None,
    }
    found = read(edited(everything, ("tlsClientConfig", "serverName"), "kubernetes.default"))
    assert found.client_certificate == CLIENT_PEM.decode()
    assert found.client_key is not None
    assert found.tls_server_name == "kubernetes.default"
    assert found.disable_compression
    assert found.token is None


def test_escaped_json_is_read() -> None:
    """Go escapes `<`, `>` and `&` in JSON."""
    text = json.dumps({"bearerToken": "a<b>&c"}).replace("<", "\\u003c").replace(">", "\\u003e")
    data = {"server": SERVER.encode(), "config": text.replace("&", "\\u0026").encode()}
    assert parse_kubeconfig(content_of(data, "config")).token == "a<b>&c"  # noqa: S105


def test_kubeconfig_with_the_key_config_is_a_kubeconfig() -> None:
    """Without a `server` beside it the Secret is not one of Argo CD."""
    found = parse_kubeconfig(content_of({"config": as_yaml(with_token())}, "config"))
    assert found.token == TOKEN


@pytest.mark.parametrize("config", [BEARER, CERTIFICATE, {"awsAuthConfig": {"clusterName": "c"}}])
def test_secret_of_argo_without_a_server(config: Json) -> None:
    """What is missing is named, not what is there."""
    content = content_of({"config": json.dumps(config).encode()}, "config")
    with pytest.raises(KubeconfigError) as caught:
        parse_kubeconfig(content)
    assert str(caught.value) == (
        "server is missing but required with Argo CD's config; keep both in one Secret, with"
        " the keys"
        " server and config, and set spec.kubeconfigSecretRef"
    )


def test_yaml_in_place_of_json_is_refused() -> None:
    """As Argo CD does."""
    data = {"server": SERVER.encode(), "config": b"bearerToken: x"}
    with pytest.raises(
        KubeconfigError, match="config is not JSON; use the format that Argo CD writes"
    ):
        parse_kubeconfig(content_of(data, "config"))


def test_other_keys_are_not_translated() -> None:
    """A Secret may hold a kubeconfig beside Argo CD's keys."""
    data = {"server": b"x", "config": b"x", "kubeconfig": as_yaml(with_token())}
    assert parse_kubeconfig(content_of(data, "kubeconfig")).token == TOKEN


@pytest.mark.parametrize(
    ("config", "reason", "text"),
    [
        (
            changed(execProviderConfig={"command": "argocd-k8s-auth", "args": ["gcp"]}),
            INSECURE,
            "config.execProviderConfig runs a program; use bearerToken, or certData with keyData",
        ),
        (
            changed(awsAuthConfig={"clusterName": "c", "roleARN": "arn:aws:iam::1:role/x"}),
            INSECURE,
            "config.awsAuthConfig runs a program; use bearerToken, or certData with keyData",
        ),
        (
            changed(username="admin", password=TOKEN),
            INVALID,
            (
                "config.username is for basic authentication, which Kubernetes no longer"
                " supports; "
                "use bearerToken, or certData with keyData"
            ),
        ),
        (
            with_tls(insecure=True),
            INSECURE,
            (
                "config.tlsClientConfig.insecure lets any server impersonate "
                "the cluster; remove it and set caData"
            ),
        ),
        (
            changed(proxyUrl="http://proxy:3128"),
            INSECURE,
            (
                "config.proxyUrl uses a proxy; "
                "remove it and use a server that is reachable without one"
            ),
        ),
        (
            changed(token=TOKEN),
            INVALID,
            "config.token is unknown to svclink; remove it",
        ),
        (
            with_tls(keyFile="/etc/passwd"),
            INVALID,
            "config.tlsClientConfig.keyFile is unknown to svclink; remove it",
        ),
        (
            with_tls(caData="x"),
            INVALID,
            "config.tlsClientConfig.caData is not base64; encode it with `base64 -w0`",
        ),
        (
            {"tlsClientConfig": TLS},
            INVALID,
            "config has no credentials; use bearerToken, or certData with keyData",
        ),
        (
            changed(bearerToken=["x"]),
            INVALID,
            "config.bearerToken is not a string; put it in quotes",
        ),
        (changed(bearerToken=5), INVALID, "config.bearerToken is not a string; put it in quotes"),
        (
            with_tls(serverName=1.5),
            INVALID,
            "config.tlsClientConfig.serverName is not a string; put it in quotes",
        ),
        (
            changed(tlsClientConfig=["x"]),
            INVALID,
            "config.tlsClientConfig is not a mapping; export the kubeconfig again",
        ),
        ("x", INVALID, "config is not a mapping; export the kubeconfig again"),
    ],
)
def test_what_is_refused_is_named_as_in_the_secret(config: Json, reason: str, text: str) -> None:
    """The allow-list is that of kubeconfigs; the fields have the names that Argo CD gives them."""
    error = refusal(config)
    assert (error.reason, str(error)) == (reason, text)
    assert TOKEN not in shown(error)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("", "server is missing"),
        ("http://remote.example", "server sends the credentials unencrypted"),
        ("https://user:pw@remote.example", "server contains a user name or password"),
        ("https://remote.example/?x", "server has a query"),
    ],
)
def test_server_is_checked(server: str, words: str) -> None:
    """The URL is the other key of the Secret."""
    assert str(refusal(BEARER, server)).startswith(words)


def test_administrator_can_allow_more() -> None:
    """The flags for kubeconfigs count here too."""
    trust = Trust(allows_insecure=True, allows_proxies=True)
    found = read({**with_tls(insecure=True), "proxyUrl": "http://proxy:3128"}, trust=trust)
    assert (found.insecure, found.proxy) == (True, "http://proxy:3128")


def test_text_that_is_not_json_is_refused() -> None:
    """The line is that of the JSON."""
    data = {"server": SERVER.encode(), "config": b'{"bearerToken": "x"\n'}
    with pytest.raises(
        KubeconfigError, match=r"config cannot be parsed as UTF-8 YAML or JSON \(line 2\)"
    ):
        parse_kubeconfig(content_of(data, "config"))


@given(st.text(), st.text())
def test_any_text_is_read_or_refused(server: str, config: str) -> None:
    """No other error is raised, and none shows a secret, whatever the Secret holds."""
    for encoded in (
        (server, config),
        (b64(server.encode("utf-8", "replace")), b64(config.encode("utf-8", "replace"))),
    ):
        content = base64.b64decode(argo_document(*encoded))
        with pytest.raises(KubeconfigError):
            parse_kubeconfig(content)
