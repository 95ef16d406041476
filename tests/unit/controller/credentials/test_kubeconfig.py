"""Untrusted kubeconfigs give credentials or a refusal; nothing is opened, started or repeated.

Real: the parsers, certificates and keys. Substituted: nothing.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import random
import subprocess
import sys
import traceback
from typing import TypeAlias

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.credentials import kubeconfig_yaml
from svclink_controller.credentials.kubeconfig import (
    Credentials,
    KubeconfigError,
    decode_base64,
    parse_kubeconfig,
)
from svclink_controller.credentials.trust import Trust

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[str | int, ...]

INVALID = "InvalidKubeconfig"
INSECURE = "InsecureKubeconfig"

AUTHORITY, OTHER_AUTHORITY = trustme.CA(), trustme.CA(key_type=trustme.KeyType.RSA)
CLIENT = AUTHORITY.issue_cert("svclink.test")
RSA_CLIENT = OTHER_AUTHORITY.issue_cert("svclink.test", key_type=trustme.KeyType.RSA)
CA_PEM = AUTHORITY.cert_pem.bytes()
CLIENT_PEM, CLIENT_KEY = CLIENT.cert_chain_pems[0].bytes(), CLIENT.private_key_pem.bytes()
TOKEN = "hush.hush-0123456789"  # noqa: S105 - no secret of anybody


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pem(label: str, der: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n".encode()


def with_token() -> dict[str, Json]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "remote-cluster",
                "cluster": {
                    "server": "https://remote.example:6443",
                    "certificate-authority-data": b64(CA_PEM),
                },
            }
        ],
        "users": [{"name": "remote-user", "user": {"token": TOKEN}}],
        "contexts": [
            {
                "name": "remote-context",
                "context": {"cluster": "remote-cluster", "user": "remote-user"},
            }
        ],
        "current-context": "remote-context",
    }


def with_certificate() -> dict[str, Json]:
    user: dict[str, Json] = {
        "client-certificate-data": b64(CLIENT_PEM),
        "client-key-data": b64(CLIENT_KEY),
    }
    return edited(with_token(), ("users", 0, "user"), user)


def edited(config: dict[str, Json], path: Path, value: Json) -> dict[str, Json]:
    """The same with another value at a path. A list is extended where the path points behind its end."""
    changed = copy.deepcopy(config)
    here: Json = changed
    for step in path[:-1]:
        here = child(here, step)
    last = path[-1]
    if isinstance(here, list) and isinstance(last, int):
        here[last : last + 1] = [value]
    elif isinstance(here, dict) and isinstance(last, str):
        here[last] = value
    else:
        raise TypeError(path)
    return changed


def child(value: Json, step: str | int) -> Json:
    if isinstance(value, list) and isinstance(step, int):
        return value[step]
    if isinstance(value, dict) and isinstance(step, str):
        return value[step]
    raise TypeError(step)


def as_yaml(config: Json) -> bytes:
    return yaml.safe_dump(config).encode()


def leaves(value: Json) -> set[str]:
    """Every text in a document that is not a key."""
    match value:
        case str():
            return {value}
        case list():
            return set().union(*map(leaves, value))
        case dict():
            return set().union(*map(leaves, value.values()))
        case _:
            return set()


def refusal(content: bytes) -> KubeconfigError:
    with pytest.raises(KubeconfigError) as caught:
        parse_kubeconfig(content)
    error = caught.value
    assert error.reason in {INVALID, INSECURE}
    assert str(error).startswith(error.where)
    assert "; " in str(error), "what is wrong, and the mend"
    assert "\n" not in str(error)
    return error


def told(error: KubeconfigError) -> str:
    """Everything that a log could show of an error."""
    return "\n".join(
        [str(error), repr(error), repr(error.args), *traceback.format_exception(error)]
    )


CLUSTER: Path = ("clusters", 0, "cluster")
USER: Path = ("users", 0, "user")
CONTEXT: Path = ("contexts", 0, "context")
EXEC: Json = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "/usr/bin/exfiltrate",
    "args": ["hushhush"],
}

GOOD: dict[str, tuple[Path, Json]] = {
    "as it is": (("kind",), "Config"),
    "no apiVersion": (("apiVersion",), None),
    "no kind": (("kind",), None),
    "preferences": (("preferences",), {"colors": True}),
    "extensions": (("extensions",), [{"name": "x", "extension": {"anything": [1, 2.5, None]}}]),
    "extensions of minikube": (
        (*CLUSTER, "extensions"),
        [{"extension": {"version": "v1.36.0"}, "name": "cluster_info"}],
    ),
    "namespace": ((*CONTEXT, "namespace"), "default"),
    "server without port": ((*CLUSTER, "server"), "https://remote.example"),
    "server with a path": ((*CLUSTER, "server"), "https://rancher.example/k8s/clusters/c-m-abc"),
    "server with IPv4": ((*CLUSTER, "server"), "https://192.0.2.1:6443"),
    "server with IPv6": ((*CLUSTER, "server"), "https://[2001:db8::1]:6443"),
    "verification asked for": ((*CLUSTER, "insecure-skip-tls-verify"), False),
    "no compression": ((*CLUSTER, "disable-compression"), True),
    "name in the certificate": ((*CLUSTER, "tls-server-name"), "kubernetes.default"),
    "address in the certificate": ((*CLUSTER, "tls-server-name"), "2001:db8::1"),
    "two authorities": (
        (*CLUSTER, "certificate-authority-data"),
        b64(CA_PEM + OTHER_AUTHORITY.cert_pem.bytes()),
    ),
    "unused entries may lack things": (("users", 1), {"name": "unused", "user": {}}),
    "unused context may dangle": (
        ("contexts", 1),
        {"name": "unused", "context": {"cluster": "gone", "user": "gone"}},
    ),
}


class TestAccepted:
    def test_a_token(self) -> None:
        """The usual kubeconfig of a ServiceAccount."""
        assert parse_kubeconfig(as_yaml(with_token())) == Credentials(
            server="https://remote.example:6443", ca_data=CA_PEM.decode(), token=TOKEN
        )

    def test_a_client_certificate(self) -> None:
        """The usual kubeconfig of an administrator. The key is written anew, as PKCS #8, and is still the same key."""
        credentials = parse_kubeconfig(as_yaml(with_certificate()))
        assert credentials.token is None
        assert credentials.client_certificate == CLIENT_PEM.decode()
        assert credentials.client_key is not None
        written = load_pem_private_key(credentials.client_key.encode(), None)
        assert written.public_key() == load_pem_private_key(CLIENT_KEY, None).public_key()

    def test_an_rsa_client_certificate(self) -> None:
        """Kubeadm issues RSA keys, in PKCS #1."""
        config = edited(
            with_certificate(),
            (*USER, "client-certificate-data"),
            b64(RSA_CLIENT.cert_chain_pems[0].bytes()),
        )
        config = edited(config, (*USER, "client-key-data"), b64(RSA_CLIENT.private_key_pem.bytes()))
        assert parse_kubeconfig(as_yaml(config)).client_key is not None

    @pytest.mark.parametrize("indent", [None, 2, "\t"])
    def test_json(self, indent: str | int | None) -> None:
        """JSON is read as the YAML it is, however it is indented."""
        assert parse_kubeconfig(json.dumps(with_token(), indent=indent).encode()).token == TOKEN

    @pytest.mark.parametrize(("path", "value"), GOOD.values(), ids=GOOD)
    def test_what_kubeconfigs_may_hold(self, path: Path, value: Json) -> None:
        """What real kubeconfigs hold, and what does no harm, is accepted."""
        assert parse_kubeconfig(as_yaml(edited(with_token(), path, value))).token == TOKEN

    def test_what_is_read_of_a_cluster(self) -> None:
        """Server, name in the certificate and compression are those of the file."""
        config = edited(
            with_token(), (*CLUSTER, "server"), "https://rancher.example/k8s/clusters/c-1/"
        )
        config = edited(config, (*CLUSTER, "tls-server-name"), "inner.example")
        config = edited(config, (*CLUSTER, "disable-compression"), value=True)
        credentials = parse_kubeconfig(as_yaml(config))
        assert credentials.server == "https://rancher.example/k8s/clusters/c-1"
        assert credentials.tls_server_name == "inner.example"
        assert credentials.disable_compression

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
    def test_a_newline_behind_the_token_is_dropped(self, newline: str) -> None:
        """A token that came out of a file ends in one, and no HTTP header may hold it."""
        config = edited(with_token(), (*USER, "token"), TOKEN + newline)
        assert parse_kubeconfig(as_yaml(config)).token == TOKEN

    def test_both_a_token_and_a_certificate(self) -> None:
        """As in kubectl, both are presented."""
        credentials = parse_kubeconfig(as_yaml(edited(with_certificate(), (*USER, "token"), TOKEN)))
        assert credentials.token == TOKEN
        assert credentials.client_certificate is not None

    def test_the_current_context_chooses(self) -> None:
        """Of several clusters, users and contexts those of the current context are used."""
        config = edited(
            with_token(),
            ("clusters", 1),
            {"name": "second", "cluster": {"server": "https://second.example"}},
        )
        config = edited(
            config, ("clusters", 1, "cluster", "certificate-authority-data"), b64(CA_PEM)
        )
        config = edited(config, ("users", 1), {"name": "second", "user": {"token": "second"}})
        config = edited(
            config,
            ("contexts", 1),
            {"name": "second", "context": {"cluster": "second", "user": "second"}},
        )
        credentials = parse_kubeconfig(as_yaml(edited(config, ("current-context",), "second")))
        assert (credentials.server, credentials.token) == ("https://second.example", "second")

    def test_text_around_a_certificate_is_dropped(self) -> None:
        """`openssl x509 -text` writes a description above the certificate; TLS libraries want ASCII."""
        config = edited(
            with_token(), (*CLUSTER, "certificate-authority-data"), b64("Größe\n".encode() + CA_PEM)
        )
        assert parse_kubeconfig(as_yaml(config)).ca_data == CA_PEM.decode()

    def test_a_byte_order_mark_is_skipped(self) -> None:
        """Editors on Windows write one."""
        assert parse_kubeconfig(b"\xef\xbb\xbf" + as_yaml(with_token())).token == TOKEN


def named_twice(kind: str) -> tuple[Path, Json]:
    return (f"{kind}s", 1), child(child(with_token(), f"{kind}s"), 0)


def key_of_other_bits(bits: int) -> bytes:
    """An RSA key of which only the size is right: finding the primes of a real one takes minutes."""
    prime = 2 ** (bits // 2) - 1
    public = rsa.RSAPublicNumbers(65537, prime * prime)
    private = rsa.RSAPrivateNumbers(prime, prime, 65537, 65537, 65537, 65537, public)
    key = private.private_key(unsafe_skip_rsa_key_validation=True)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


ENCRYPTED_KEY = load_pem_private_key(CLIENT_KEY, None).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hushhush")
)
OLD_ENCRYPTED_KEY = load_pem_private_key(CLIENT_KEY, None).private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"hushhush")
)
LONG_NAME = "a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 63
SERVER, CA, TLS_NAME = (
    (*CLUSTER, "server"),
    (*CLUSTER, "certificate-authority-data"),
    (*CLUSTER, "tls-server-name"),
)
SKIP, CERTIFICATE, KEY = (
    (*CLUSTER, "insecure-skip-tls-verify"),
    (*USER, "client-certificate-data"),
    (*USER, "client-key-data"),
)

REFUSED: list[tuple[Path, Json, str, str]] = [
    # What runs, reads or sends more than the kubeconfig itself.
    ((*USER, "exec"), EXEC, INSECURE, "users[0].user.exec"),
    ((*USER, "exec"), None, INSECURE, "users[0].user.exec"),
    (
        (*USER, "auth-provider"),
        {"name": "gcp", "config": {"cmd-path": "/bin/sh"}},
        INSECURE,
        "users[0].user.auth-provider",
    ),
    ((*USER, "tokenFile"), "/var/run/secrets/token", INSECURE, "users[0].user.tokenFile"),
    (
        (*USER, "client-certificate"),
        "/etc/kubernetes/client.crt",
        INSECURE,
        "users[0].user.client-certificate",
    ),
    ((*USER, "client-key"), "/etc/kubernetes/client.key", INSECURE, "users[0].user.client-key"),
    (
        (*CLUSTER, "certificate-authority"),
        "/etc/ca.crt",
        INSECURE,
        "clusters[0].cluster.certificate-authority",
    ),
    ((*USER, "as"), "system:admin", INSECURE, "users[0].user.as"),
    ((*USER, "as-uid"), "01234567", INSECURE, "users[0].user.as-uid"),
    ((*USER, "as-groups"), ["system:masters"], INSECURE, "users[0].user.as-groups"),
    ((*USER, "as-user-extra"), {"scopes": ["everything"]}, INSECURE, "users[0].user.as-user-extra"),
    (SERVER, "http://remote.example:8080", INSECURE, "clusters[0].cluster.server"),
    (SERVER, "HTTP://remote.example", INSECURE, "clusters[0].cluster.server"),
    (SKIP, True, INSECURE, "clusters[0].cluster.insecure-skip-tls-verify"),
    (
        (*CLUSTER, "proxy-url"),
        "socks5://proxy.example:1080",
        INSECURE,
        "clusters[0].cluster.proxy-url",
    ),
    # The same in entries that are not used.
    (("users", 1), {"name": "unused", "user": {"exec": EXEC}}, INSECURE, "users[1].user.exec"),
    (
        ("clusters", 1),
        {"name": "unused", "cluster": {"server": "http://x"}},
        INSECURE,
        "clusters[1].cluster.server",
    ),
    (
        ("contexts", 1),
        {"name": "unused", "context": {"cluster": ["x"]}},
        INVALID,
        "contexts[1].context.cluster",
    ),
    # Fields that no kubeconfig has, that Kubernetes no longer has, or that are elsewhere.
    ((*USER, "username"), "administrator", INVALID, "users[0].user.username"),
    ((*USER, "password"), "hushhush", INVALID, "users[0].user.password"),
    (("current-contxt",), "remote-context", INVALID, "current-contxt"),
    ((*USER, "Token"), "hushhush", INVALID, "users[0].user.Token"),
    ((*CLUSTER, "token"), "hushhush", INVALID, "clusters[0].cluster.token"),
    ((*CONTEXT, "server"), "https://remote.example", INVALID, "contexts[0].context.server"),
    (("users", 0, "exec"), EXEC, INSECURE, "users[0].exec"),
    (("exec",), EXEC, INSECURE, "exec"),
    ((*USER, "<<"), {"token": "hushhush"}, INVALID, "a field of users[0].user"),
    ((*USER, "hush.hush-0123456789: x"), "x", INVALID, "a field of users[0].user"),
    (("hush.hush-0123456789",), "x", INVALID, "a field of kubeconfig"),
    # The kind of file, its lists and its entries.
    (("apiVersion",), "v2", INVALID, "apiVersion"),
    (("kind",), "Secret", INVALID, "kind"),
    (("kind",), ["Config"], INVALID, "kind"),
    (("clusters",), {"name": "remote-cluster"}, INVALID, "clusters"),
    (("users",), "remote-user", INVALID, "users"),
    (("users", 0), "remote-user", INVALID, "users[0]"),
    (("users", 0, "user"), "remote-user", INVALID, "users[0].user"),
    (("users", 0, "name"), None, INVALID, "users[0].name"),
    (("users", 0, "name"), ["remote-user"], INVALID, "users[0].name"),
    (*named_twice("cluster"), INVALID, "clusters[1].name"),
    (*named_twice("user"), INVALID, "users[1].name"),
    (*named_twice("context"), INVALID, "contexts[1].name"),
    # From the current context to its cluster and its user.
    (("current-context",), None, INVALID, "current-context"),
    (("current-context",), "", INVALID, "current-context"),
    (("current-context",), "elsewhere", INVALID, "current-context"),
    (("current-context",), ["remote-context"], INVALID, "current-context"),
    (("contexts",), None, INVALID, "current-context"),
    ((*CONTEXT, "cluster"), "elsewhere", INVALID, "contexts[0].context.cluster"),
    ((*CONTEXT, "cluster"), None, INVALID, "contexts[0].context.cluster"),
    ((*CONTEXT, "user"), "elsewhere", INVALID, "contexts[0].context.user"),
    ((*CONTEXT, "user"), None, INVALID, "contexts[0].context.user"),
    (("users", 0, "user"), {}, INVALID, "users[0].user"),
    ((*USER, "token"), "", INVALID, "users[0].user"),
    (SERVER, None, INVALID, "clusters[0].cluster.server"),
    (CA, None, INVALID, "clusters[0].cluster.certificate-authority-data"),
    (CA, "", INVALID, "clusters[0].cluster.certificate-authority-data"),
    # The server.
    *(
        (SERVER, server, INVALID, "clusters[0].cluster.server")
        for server in (
            "remote.example:6443",
            "ftp://remote.example",
            "https://",
            "https:///path",
            "https://:6443",
            "https://remote.example:0",
            "https://remote.example:65536",
            "https://remote.example:https",
            "https://user:hushhush@remote.example",
            "https://hushhush@remote.example/",
            "https://remote.example?token=hushhush",
            "https://remote.example/#hushhush",
            "https://remote.example\\@other.example",
            "https://remote example",
            "https://remote.example/\n",
            "https://remote.example/\x00",
            "https://rémote.example",
            "https://[2001:db8::1",
            "https://[2001:db8::1]x:6443",
            "https://[remote.example]:6443",
            "https://[fe80::1%25eth0]:6443",
            "https://2001:db8::1",
            "https://-remote.example",
            "https://remote..example",
            f"https://{LONG_NAME}",
            "https://remote.example/" + "x" * 2048,
        )
    ),
    (SERVER, ["https://remote.example"], INVALID, "clusters[0].cluster.server"),
    (SERVER, True, INVALID, "clusters[0].cluster.server"),
    # Other fields of the cluster.
    (SKIP, "false", INVALID, "clusters[0].cluster.insecure-skip-tls-verify"),
    (SKIP, 1, INVALID, "clusters[0].cluster.insecure-skip-tls-verify"),
    ((*CLUSTER, "disable-compression"), "true", INVALID, "clusters[0].cluster.disable-compression"),
    (TLS_NAME, "two names", INVALID, "clusters[0].cluster.tls-server-name"),
    (TLS_NAME, "fe80::1%eth0", INVALID, "clusters[0].cluster.tls-server-name"),
    (TLS_NAME, "remote.example\n", INVALID, "clusters[0].cluster.tls-server-name"),
    (TLS_NAME, LONG_NAME, INVALID, "clusters[0].cluster.tls-server-name"),
    # Certificates of authorities.
    *(
        (CA, data, INVALID, "clusters[0].cluster.certificate-authority-data")
        for data in (
            "no base64!",
            "YWJj=",
            "äöüäöüäöü",
            b64(b"no certificate"),
            b64(CLIENT_KEY),
            b64(CA_PEM + CLIENT_KEY),
            b64(pem("CERTIFICATE", b"no certificate")),
            b64(CA_PEM + pem("CERTIFICATE", b"no certificate")),
            b64(pem("TRUSTED CERTIFICATE", b"no certificate")),
            b64(CA_PEM * 200),
            CA_PEM.decode(),
        )
    ),
    # Credentials of the user.
    ((*USER, "token"), "two words", INVALID, "users[0].user.token"),
    ((*USER, "token"), "two\nlines", INVALID, "users[0].user.token"),
    ((*USER, "token"), "\n", INVALID, "users[0].user.token"),
    ((*USER, "token"), "hush\x7f", INVALID, "users[0].user.token"),
    ((*USER, "token"), "hüshhüsh", INVALID, "users[0].user.token"),
    ((*USER, "token"), "x" * (16 * 1024 + 1), INVALID, "users[0].user.token"),
    ((*USER, "token"), ["hushhush"], INVALID, "users[0].user.token"),
    ((*USER, "token"), True, INVALID, "users[0].user.token"),
    (CERTIFICATE, b64(CLIENT_PEM), INVALID, "users[0].user.client-key-data"),
    (KEY, b64(CLIENT_KEY), INVALID, "users[0].user.client-certificate-data"),
]

REFUSED_PAIRS: list[tuple[bytes, bytes, str]] = [
    (CLIENT_PEM, ENCRYPTED_KEY, "users[0].user.client-key-data"),
    (CLIENT_PEM, OLD_ENCRYPTED_KEY, "users[0].user.client-key-data"),
    (CLIENT_PEM, RSA_CLIENT.private_key_pem.bytes(), "users[0].user.client-key-data"),
    (CLIENT_PEM, AUTHORITY.private_key_pem.bytes(), "users[0].user.client-key-data"),
    (CLIENT_PEM, CLIENT_PEM, "users[0].user.client-key-data"),
    (CLIENT_PEM, b"no key", "users[0].user.client-key-data"),
    (CLIENT_PEM, pem("PRIVATE KEY", b"no key"), "users[0].user.client-key-data"),
    (CLIENT_PEM, CLIENT_KEY * 400, "users[0].user.client-key-data"),
    (CLIENT_PEM, key_of_other_bits(8194), "users[0].user.client-key-data"),
    (CLIENT_PEM + CLIENT_KEY, CLIENT_KEY, "users[0].user.client-certificate-data"),
    (CLIENT_KEY, CLIENT_KEY, "users[0].user.client-certificate-data"),
    (CA_PEM + CLIENT_PEM, CLIENT_KEY, "users[0].user.client-key-data"),
]


def refused_documents() -> list[dict[str, Json]]:
    return [edited(with_token(), path, value) for path, value, _, _ in REFUSED] + [
        edited(
            with_token(),
            USER,
            {"client-certificate-data": b64(certificate), "client-key-data": b64(key)},
        )
        for certificate, key, _ in REFUSED_PAIRS
    ]


class TestRefused:
    @pytest.mark.parametrize(("path", "value", "reason", "where"), REFUSED)
    def test_what_a_kubeconfig_may_not_hold(
        self, path: Path, value: Json, reason: str, where: str
    ) -> None:
        """Each rule of the allow-list has its reason, and names the field."""
        error = refusal(as_yaml(edited(with_token(), path, value)))
        assert (error.reason, error.where) == (reason, where)

    @pytest.mark.parametrize(("certificate", "key", "where"), REFUSED_PAIRS)
    def test_a_certificate_and_a_key_that_are_no_pair(
        self, certificate: bytes, key: bytes, where: str
    ) -> None:
        """The key is unencrypted, belongs to the first certificate, and is of a size that TLS can handle."""
        user: dict[str, Json] = {
            "client-certificate-data": b64(certificate),
            "client-key-data": b64(key),
        }
        error = refusal(as_yaml(edited(with_token(), USER, user)))
        assert (error.reason, error.where) == (INVALID, where)

    def test_the_mend_is_told(self) -> None:
        """The text is for the status of the ClusterLink, read by whoever wrote the kubeconfig."""
        error = refusal(as_yaml(edited(with_token(), (*USER, "exec"), EXEC)))
        assert str(error) == (
            "users[0].user.exec runs a program; use token, or client-certificate-data with client-key-data"
        )

    @pytest.mark.parametrize("config", refused_documents())
    def test_no_value_is_repeated(self, config: dict[str, Json]) -> None:
        """Neither the text nor a traceback with its causes shows any value of the file."""
        shown = told(refusal(as_yaml(config)))
        assert [
            leaf for leaf in leaves(config) if len(leaf) > len("https://") and leaf in shown
        ] == []
        assert "hush" not in shown


YAML_FAULTS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "kubeconfig is empty"),
    "a comment": (b"# hush\n", "kubeconfig is empty"),
    "an empty document": (b"---\n", "kubeconfig is not a mapping"),
    "a scalar": (b"hush", "kubeconfig is not a mapping"),
    "a list": (b"- hush", "kubeconfig is not a mapping"),
    "not UTF-8": (b"a: \xffhush", "kubeconfig is neither YAML nor JSON"),
    "UTF-16": ("kind: hush".encode("utf-16"), "kubeconfig is neither YAML nor JSON"),
    "a null byte": (b"kind: hush\x00", "kubeconfig is neither YAML nor JSON"),
    "not YAML": (b"kind: Config\ntoken: [hush", "kubeconfig line "),
    "a second document": (
        b"kind: Config\n---\nkind: hush\n",
        "kubeconfig line 2 starts a second document",
    ),
    "trouble behind the document": (b"kind: Config\n...\n[hush", "kubeconfig line "),
    "an anchor": (b"kind: &hush Config\n", "kubeconfig line 1 uses an anchor"),
    "an alias": (b"kind: Config\ntoken: *hush\n", "kubeconfig line 2 uses an anchor or an alias"),
    "an alias bomb": (b"a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]", "kubeconfig line 1 uses an anchor"),
    "a tag": (b"kind: !!python/object/apply:os.system [hush]", "kubeconfig line 1 uses a tag"),
    "a binary": (b"kind: !!binary aHVzaA==", "kubeconfig line 1 uses a tag"),
    "a field twice": (b"kind: Config\nkind: hush", "kubeconfig line 2 gives a field a second time"),
    "a field twice in JSON": (
        b'{"kind": "Config",\n"kind": "hush"}',
        "kubeconfig line 2 gives a field a second time",
    ),
    "a list as key": (b"? [hush]\n: x", "kubeconfig line 1 has a key that is not a string"),
    "a mapping as key": (b"? {hush: x}\n: x", "kubeconfig line 1 has a key that is not a string"),
    "deep lists": (b"[" * 900, "kubeconfig line 1 is nested deeper"),
    "lists too deep for libyaml 0.2.6 itself": (b"[" * 100_000, "kubeconfig line 1 is "),
    "deep mappings": (b'{"a":' * 50_000, "kubeconfig line 1 is nested deeper"),
    "deep block lists": (b"- " * 100_000, "kubeconfig line 1 is nested deeper"),
    "many values": (
        b"a: [" + b"x," * 30_000 + b"]",
        "kubeconfig line 1 is past the limit of 20000 values",
    ),
    "many bytes": (b"#" * (256 * 1024 + 1), "kubeconfig is larger than 262144 bytes"),
}


@pytest.fixture(
    params=[loader for loader in ("CSafeLoader", "SafeLoader") if hasattr(yaml, loader)]
)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both YAML parsers: the one in C, and the one in Python that a PyYAML without libyaml falls back to."""
    monkeypatch.setattr(kubeconfig_yaml, "_LOADER", getattr(yaml, request.param))
    return str(request.param)


@pytest.mark.usefixtures("loader")
class TestYaml:
    @pytest.mark.parametrize(("content", "text"), YAML_FAULTS.values(), ids=YAML_FAULTS)
    def test_a_document_that_is_not_plain_is_refused(self, content: bytes, text: str) -> None:
        """Only one bounded document that says everything literally and once is read; the error tells the line."""
        error = refusal(content)
        assert str(error).startswith(text)
        assert error.reason == INVALID
        assert "hush" not in told(error)

    @pytest.mark.parametrize(
        "scalar", ["123", "1e3", "0x10", "2024-01-15", "1_000", "yes", "<<", ".inf", "9" * 5000]
    )
    def test_a_plain_scalar_is_text(self, scalar: str) -> None:
        """Numbers, dates and the like mean nothing in a kubeconfig: a token of digits is a token."""
        content = as_yaml(with_token()).replace(
            f"token: {TOKEN}".encode(), f"token: {scalar}".encode()
        )
        assert parse_kubeconfig(content).token == scalar

    @pytest.mark.parametrize("scalar", ["true", "false"])
    def test_a_word_is_not_text(self, scalar: str) -> None:
        """As in Kubernetes, true and false without quotes are not strings."""
        content = as_yaml(with_token()).replace(
            f"token: {TOKEN}".encode(), f"token: {scalar}".encode()
        )
        assert refusal(content).where == "users[0].user.token"

    @pytest.mark.parametrize("scalar", ["", "~", "null", '""'])
    def test_nothing_is_absent(self, scalar: str) -> None:
        """Null and the empty string are the same as no field, as in Kubernetes."""
        content = as_yaml(with_token()).replace(
            f"token: {TOKEN}".encode(), f"token: {scalar}".encode()
        )
        assert refusal(content).where == "users[0].user"

    def test_both_parsers_read_the_same(self) -> None:
        """A kubeconfig means the same whichever parser there is."""
        assert parse_kubeconfig(as_yaml(with_token())).token == TOKEN


class TestBase64:
    @pytest.mark.parametrize("text", ["aHVzaA==", "aHVz\naA==\n", " aHVz\r\n\taA== "])
    def test_white_space_is_skipped(self, text: str) -> None:
        """`base64` wraps its lines, and YAML block scalars end in a newline."""
        assert decode_base64(text) == b"hush"

    @pytest.mark.parametrize(
        "text", ["aHVzaA", "aHVzaA=", "aHV!aA==", "aHVzaA==aHVzaA==", "aHVz-_==", "ähush", "\ud800"]
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        """A part that is silently skipped is a kubeconfig that is silently another."""
        with pytest.raises(KubeconfigError) as caught:
            decode_base64(text)
        assert caught.value.reason == INVALID
        assert str(caught.value).startswith("spec.kubeconfig is not base64; ")
        assert text not in told(caught.value)

    @given(st.binary(max_size=200))
    def test_what_was_encoded_is_decoded(self, data: bytes) -> None:
        """Decoding undoes encoding."""
        assert decode_base64(base64.encodebytes(data).decode()) == data

    @given(st.text(max_size=100))
    def test_any_text_is_decoded_or_refused(self, text: str) -> None:
        """Nothing but a refusal is raised."""
        with contextlib.suppress(KubeconfigError):
            decode_base64(text)


class TestFlags:
    def test_verification_may_be_skipped_where_that_is_allowed(self) -> None:
        """With the administrator's flag, a link says for itself that anybody may pose as its cluster."""
        config = edited(with_token(), SKIP, value=True)
        result = parse_kubeconfig(as_yaml(config), Trust(allows_insecure=True))
        assert (result.insecure, result.ca_data) == (True, "")

    def test_flag_alone_skips_nothing(self) -> None:
        """A link that does not ask for it is verified whatever the flags, and needs its CA."""
        result = parse_kubeconfig(
            as_yaml(with_token()), Trust(allows_insecure=True, allows_proxies=True)
        )
        assert result == parse_kubeconfig(as_yaml(with_token()))
        assert not result.insecure

    @pytest.mark.parametrize(
        "proxy", ["http://proxy.example:3128", "https://10.0.0.1", "http://[fd00::1]:8080/"]
    )
    def test_proxy_may_be_named_where_that_is_allowed(self, proxy: str) -> None:
        """With the administrator's flag, a link may name an HTTP proxy."""
        config = edited(with_token(), (*CLUSTER, "proxy-url"), proxy)
        assert parse_kubeconfig(as_yaml(config), Trust(allows_proxies=True)).proxy == proxy

    @pytest.mark.parametrize(
        "proxy",
        [
            "socks5://proxy.example:1080",
            "http://user:hush@proxy.example",
            "http://proxy.example/path",
            "http://proxy.example:99999",
            "http://",
            "proxy.example",
            5,
        ],
    )
    def test_proxy_must_be_a_plain_http_one(self, proxy: Json) -> None:
        """Whatever else stands there is refused by name, and not repeated."""
        config = edited(with_token(), (*CLUSTER, "proxy-url"), proxy)
        with pytest.raises(
            KubeconfigError, match=r"clusters\[0\]\.cluster\.proxy-url is not a"
        ) as caught:
            parse_kubeconfig(as_yaml(config), Trust(allows_proxies=True))
        assert "hush" not in told(caught.value)

    @pytest.mark.parametrize("path", [("users", 0, "user", "proxy-url"), ("proxy-url",)])
    def test_proxy_is_a_field_of_clusters_only(self, path: tuple[str | int, ...]) -> None:
        """The flag allows the field where Kubernetes has it, and nowhere else."""
        with pytest.raises(KubeconfigError, match="proxy-url"):
            parse_kubeconfig(
                as_yaml(edited(with_token(), path, "http://p")), Trust(allows_proxies=True)
            )

    @pytest.mark.parametrize("key", ["exec", "tokenFile", "as", "client-key"])
    def test_flags_allow_nothing_else(self, key: str) -> None:
        """No flag lets a kubeconfig run a program, read a file or pose as somebody."""
        with pytest.raises(KubeconfigError, match=key):
            parse_kubeconfig(
                as_yaml(edited(with_token(), (*USER, key), "x")),
                Trust(allows_insecure=True, allows_proxies=True),
            )


class TestSecrecy:
    def test_credentials_do_not_show_secrets(self) -> None:
        """A log line or an assertion that shows credentials shows where they lead, and no more."""
        config = edited(with_certificate(), (*USER, "token"), TOKEN)
        shown = repr(parse_kubeconfig(as_yaml(config)))
        assert (
            shown
            == "Credentials(server='https://remote.example:6443', tls_server_name=None, disable_compression=False,"
            " insecure=False, proxy=None)"
        )

    def test_nothing_is_opened_or_started(self) -> None:
        """The interpreter itself reports what is opened, imported, started or connected during parsing."""
        documents = [
            as_yaml(config) for config in (with_token(), with_certificate(), *refused_documents())
        ]
        documents += [content for content, _ in YAML_FAULTS.values()]
        documents += broken(documents, 300)
        done = subprocess.run(
            [sys.executable, "-c", WATCHED],
            input=json.dumps([b64(document) for document in documents]),
            capture_output=True,
            text=True,
            check=True,
        )
        answer = json.loads(done.stdout)
        assert answer.pop("accepted") + answer.pop("refused") == len(documents)
        assert answer == {"seen": [], "control": ["open"]}


def broken(documents: list[bytes], count: int) -> list[bytes]:
    """Documents with bytes cut out, doubled, replaced, or put together from two."""
    chance = random.Random(20260125)  # noqa: S311 - guards nothing
    results = []
    for _ in range(count):
        content, other = chance.choice(documents)[:20_000], chance.choice(documents)[:20_000]
        start, end = sorted(chance.choices(range(len(content) + 1), k=2))
        middle = chance.choice(
            (b"", content[start:end] * 2, chance.randbytes(3), other[start:end], b"exec: !!x &y")
        )
        results.append(content[:start] + middle + content[end:])
    return results


WATCHED = """
import base64, json, os, sys
from svclink_controller.credentials.kubeconfig import KubeconfigError, parse_kubeconfig
documents = [base64.b64decode(text) for text in json.load(sys.stdin)]
seen = []
effects = ("open", "import", "exec", "compile", "os.", "subprocess.", "socket.", "ctypes.", "shutil.", "tempfile.")
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(effects) else None)
accepted = refused = 0
for document in documents:
    try:
        parse_kubeconfig(document)
        accepted += 1
    except KubeconfigError:
        refused += 1
before = list(seen)
open(os.devnull).close()
print(json.dumps({"accepted": accepted, "refused": refused, "seen": before, "control": seen[len(before):]}))
"""


def outcome(content: bytes) -> Credentials | KubeconfigError:
    """Credentials or a refusal. Every other exception goes through, and fails the test."""
    try:
        return parse_kubeconfig(content)
    except KubeconfigError as error:
        return error


def paths(value: Json, here: Path = ()) -> list[Path]:
    """Where a document can be changed: every value, and a new one in each list and mapping."""
    match value:
        case list():
            inner = [
                path for index, item in enumerate(value) for path in paths(item, (*here, index))
            ]
            return [here, *inner, (*here, len(value))]
        case dict():
            inner = [path for key, item in value.items() for path in paths(item, (*here, key))]
            return [here, *inner, *((*here, key) for key in NASTY_KEYS)]
        case _:
            return [here]


NASTY_KEYS = [
    "<<",
    "exec",
    "token",
    "tls-server-name",
    "",
    "\x85",
    "insecure-skip-tls-verify",
    "disable-compression",
]
NASTY_TEXTS = [
    "",
    "\x00",
    "\ud800",
    "~",
    "é",
    "x" * 300,
    "https://[",
    "https://a:99999",
    "-----BEGIN CERTIFICATE-----",
    "=",
    "&a",
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(NASTY_TEXTS)
)
values: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NASTY_KEYS) | st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)
tokens = st.sampled_from(
    [
        *"[]{},'\"!|>?-:#%\n\t\0\ufeff\u2028",
        *(
            "a",
            ": ",
            "  ",
            "- ",
            "? ",
            "<<: ",
            "&a ",
            "*a",
            "!!str ",
            "|\n",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "\\ud800",
        ),
        *("null", "2024-01-15", "1e999", "clusters", "users", "contexts", "current-context"),
    ]
)
goods = st.sampled_from([with_token(), with_certificate()])


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Json]:
    """A good kubeconfig with one to three values replaced or added."""
    config = draw(goods)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in paths(config) if path]))
        config = edited(config, path, draw(values))
    return config


class TestWhateverTheBytes:
    @given(st.binary(max_size=500))
    def test_bytes(self, content: bytes) -> None:
        """Random bytes are refused."""
        assert isinstance(outcome(content), KubeconfigError)

    @given(st.lists(tokens, max_size=40).map("".join))
    def test_pieces_of_yaml(self, text: str) -> None:
        """What looks like YAML is refused without another exception."""
        assert isinstance(outcome(text.encode()), KubeconfigError)

    @given(changed(), st.booleans())
    def test_changed_values(self, config: dict[str, Json], is_json: bool) -> None:
        """Of a changed kubeconfig, whatever is accepted leads to an https server whose certificate is verified."""
        text = json.dumps(config) if is_json else yaml.safe_dump(config, allow_unicode=False)
        result = outcome(text.encode("utf-8", "surrogatepass"))
        if isinstance(result, Credentials):
            assert result.server.startswith("https://")
            assert "BEGIN CERTIFICATE" in result.ca_data
            assert result.token or (result.client_certificate and result.client_key)

    @given(goods, st.data())
    def test_changed_bytes(self, config: dict[str, Json], data: st.DataObject) -> None:
        """A kubeconfig that was damaged on its way is read or refused."""
        content = as_yaml(config)
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 20)))
        outcome(content[:start] + data.draw(st.binary(max_size=8)) + content[end:])

    @given(
        st.sampled_from(
            ["certificate-authority-data", "client-certificate-data", "client-key-data"]
        ),
        st.data(),
    )
    def test_changed_der(self, name: str, data: st.DataObject) -> None:
        """A certificate or key that is damaged inside is read or refused: its parser is not trusted to fail well."""
        is_rsa = data.draw(st.booleans())
        client = RSA_CLIENT if is_rsa else CLIENT
        user: dict[str, Json] = {
            "client-certificate-data": b64(client.cert_chain_pems[0].bytes()),
            "client-key-data": b64(client.private_key_pem.bytes()),
        }
        config = edited(with_token(), USER, user)
        path = (*(CLUSTER if name.startswith("certificate") else USER), name)
        lines = base64.b64decode(
            str(child(child(child(child(config, path[0]), path[1]), path[2]), name))
        ).splitlines()
        der = bytearray(base64.b64decode(b"".join(lines[1:-1])))
        for _ in range(data.draw(st.integers(1, 3))):
            der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
        label = lines[0].decode().removeprefix("-----BEGIN ").removesuffix("-----")
        outcome(as_yaml(edited(config, path, b64(pem(label, bytes(der))))))
