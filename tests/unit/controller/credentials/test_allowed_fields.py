"""Fields outside the allow-list and invalid values are refused, and no error repeats a value.

Real: the parsers, certificates and keys. Substituted: nothing.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.unit.controller.credentials.kubeconfigs import (
    AUTHORITY,
    CA_PEM,
    CLIENT_KEY,
    CLIENT_PEM,
    CLUSTER,
    CONTEXT,
    EXEC,
    INSECURE,
    INVALID,
    RSA_CLIENT,
    USER,
    Json,
    Path,
    as_yaml,
    b64,
    child,
    edited,
    leaves,
    pem,
    refusal,
    shown,
    with_token,
)


def named_twice(kind: str) -> tuple[Path, Json]:
    return (f"{kind}s", 1), child(child(with_token(), f"{kind}s"), 0)


def key_of_other_bits(bits: int) -> bytes:
    """An RSA key that only has the right size: generating a real one takes minutes."""
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
    # Fields that run programs, read files, impersonate users or send credentials unencrypted.
    ((*USER, "exec"), EXEC, INSECURE, "users[0].user.exec"),
    ((*USER, "exec"), {}, INSECURE, "users[0].user.exec"),
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
    # The same in unused entries.
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
    # Fields that are unknown, removed from Kubernetes, or in the wrong mapping.
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
    (("hush.hush-0123456789",), "x", INVALID, "a field of the kubeconfig"),
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
    # The current context, its cluster and its user.
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
            "not base64!",
            "YWJj=",
            "äöüäöüäöü",
            b64(b"not a certificate"),
            b64(CLIENT_KEY),
            b64(CA_PEM + CLIENT_KEY),
            b64(pem("CERTIFICATE", b"not a certificate")),
            b64(CA_PEM + pem("CERTIFICATE", b"not a certificate")),
            b64(pem("TRUSTED CERTIFICATE", b"not a certificate")),
            b64(CA_PEM * 200),
            b64(b64(CA_PEM).encode()),
            CA_PEM.decode(),
        )
    ),
    # Credentials of the user.
    (
        (*USER, "token"),
        b64(b"eyJhbGciOiJSUzI1NiJ9.hushhush.hushhush"),
        INVALID,
        "users[0].user.token",
    ),
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
    (CLIENT_PEM, b"not a key", "users[0].user.client-key-data"),
    (CLIENT_PEM, pem("PRIVATE KEY", b"not a key"), "users[0].user.client-key-data"),
    (CLIENT_PEM, CLIENT_KEY * 400, "users[0].user.client-key-data"),
    (CLIENT_PEM, key_of_other_bits(8194), "users[0].user.client-key-data"),
    (CLIENT_PEM, pem("EC PRIVATE KEY", b"not a key"), "users[0].user.client-key-data"),
    (CLIENT_PEM, pem("EC PARAMETERS", b"not a key"), "users[0].user.client-key-data"),
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
    def test_field_is_refused(self, path: Path, value: Json, reason: str, where: str) -> None:
        """Each rule of the allow-list has its reason, and names the field."""
        error = refusal(as_yaml(edited(with_token(), path, value)))
        assert (error.reason, error.where) == (reason, where)

    @pytest.mark.parametrize(("certificate", "key", "where"), REFUSED_PAIRS)
    def test_certificate_and_key_must_match(
        self, certificate: bytes, key: bytes, where: str
    ) -> None:
        """The key is unencrypted, of an accepted length, and belongs to the first certificate."""
        user: dict[str, Json] = {
            "client-certificate-data": b64(certificate),
            "client-key-data": b64(key),
        }
        error = refusal(as_yaml(edited(with_token(), USER, user)))
        assert (error.reason, error.where) == (INVALID, where)

    def test_error_contains_the_fix(self) -> None:
        """The author of the kubeconfig reads the text in the status of the ClusterLink."""
        error = refusal(as_yaml(edited(with_token(), (*USER, "exec"), EXEC)))
        assert str(error) == (
            "users[0].user.exec runs a program; "
            "use token, or client-certificate-data with client-key-data"
        )

    @pytest.mark.parametrize("config", refused_documents())
    def test_no_value_is_repeated(self, config: dict[str, Json]) -> None:
        """Neither the text nor a traceback with its causes contains a value of the file."""
        text = shown(refusal(as_yaml(config)))
        assert [
            leaf for leaf in leaves(config) if len(leaf) > len("https://") and leaf in text
        ] == []
        assert "hush" not in text
