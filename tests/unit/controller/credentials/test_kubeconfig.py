"""Kubeconfigs of remote clusters become credentials; an administrator can allow more.

Real: the parsers, certificates and keys. Substituted: nothing.
"""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.credentials.kubeconfig import (
    Credentials,
    KubeconfigError,
    decode_base64,
    parse_kubeconfig,
)
from svclink_controller.credentials.trust import Trust
from tests.unit.controller.credentials.kubeconfigs import (
    CA_PEM,
    CLIENT,
    CLIENT_KEY,
    CLIENT_PEM,
    CLUSTER,
    CONTEXT,
    INVALID,
    OTHER_AUTHORITY,
    RSA_CLIENT,
    TOKEN,
    USER,
    Json,
    Path,
    as_yaml,
    b64,
    edited,
    pem,
    shown,
    with_certificate,
    with_token,
)

GOOD: dict[str, tuple[Path, Json]] = {
    "unchanged": (("kind",), "Config"),
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
    "verification not skipped": ((*CLUSTER, "insecure-skip-tls-verify"), False),
    "no compression": ((*CLUSTER, "disable-compression"), True),
    "name in the certificate": ((*CLUSTER, "tls-server-name"), "kubernetes.default"),
    "address in the certificate": ((*CLUSTER, "tls-server-name"), "2001:db8::1"),
    "server with a trailing dot": ((*CLUSTER, "server"), "https://remote.example.:6443"),
    "server with an underscore": ((*CLUSTER, "server"), "https://my_cluster.remote.example"),
    "name with an underscore": ((*CLUSTER, "tls-server-name"), "_api.remote.example"),
    **{
        f"{path[-1]}: {value!r}": (path, value)
        for path in (
            *((*USER, key) for key in ("exec", "auth-provider", "tokenFile", "username")),
            *((*USER, key) for key in ("password", "as", "as-uid", "client-key")),
            (*CLUSTER, "certificate-authority"),
            (*CLUSTER, "proxy-url"),
        )
        for value in (None, "")
    },
    "no groups": ((*USER, "as-groups"), []),
    "two authorities": (
        (*CLUSTER, "certificate-authority-data"),
        b64(CA_PEM + OTHER_AUTHORITY.cert_pem.bytes()),
    ),
    "incomplete unused entries": (("users", 1), {"name": "unused", "user": {}}),
    "unused context of a missing cluster": (
        ("contexts", 1),
        {"name": "unused", "context": {"cluster": "gone", "user": "gone"}},
    ),
}


class TestAccepted:
    def test_token(self) -> None:
        """The usual kubeconfig of a ServiceAccount."""
        assert parse_kubeconfig(as_yaml(with_token())) == Credentials(
            server="https://remote.example:6443", ca_data=CA_PEM.decode(), token=TOKEN
        )

    def test_client_certificate(self) -> None:
        """The key of an administrator is re-encoded as PKCS #8, and is still the same key."""
        credentials = parse_kubeconfig(as_yaml(with_certificate()))
        assert credentials.token is None
        assert credentials.client_certificate == CLIENT_PEM.decode()
        assert credentials.client_key is not None
        written = load_pem_private_key(credentials.client_key.encode(), None)
        assert written.public_key() == load_pem_private_key(CLIENT_KEY, None).public_key()

    @pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])
    @pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    @pytest.mark.parametrize("client", [CLIENT, RSA_CLIENT], ids=["EC", "RSA"])
    def test_key_is_recognized_by_its_content(
        self, client: trustme.LeafCert, form: PrivateFormat, label: str
    ) -> None:
        """Tools write PKCS #8 and PKCS #1 under any of the three PEM labels."""
        key = load_pem_private_key(client.private_key_pem.bytes(), None)
        der = key.private_bytes(Encoding.DER, form, NoEncryption())
        user: dict[str, Json] = {
            "client-certificate-data": b64(client.cert_chain_pems[0].bytes()),
            "client-key-data": b64(b"Bag Attributes\n" + pem(label, der)),
        }
        written = parse_kubeconfig(as_yaml(edited(with_token(), USER, user))).client_key
        assert written is not None
        assert load_pem_private_key(written.encode(), None).public_key() == key.public_key()

    @pytest.mark.parametrize(
        "parts", [(CLIENT_PEM, CLIENT_KEY), (CLIENT_KEY, CLIENT_PEM)], ids=["crt-key", "key-crt"]
    )
    def test_certificate_and_key_in_one_pem(self, parts: tuple[bytes, bytes]) -> None:
        """The same PEM in both fields holds the certificate and its key, in any order."""
        both = b64(b"".join(parts))
        user: dict[str, Json] = {"client-certificate-data": both, "client-key-data": both}
        credentials = parse_kubeconfig(as_yaml(edited(with_token(), USER, user)))
        expected = parse_kubeconfig(as_yaml(with_certificate()))
        assert credentials == expected

    @pytest.mark.parametrize("absent", [None, ""])
    def test_without_a_ca_the_system_decides(self, absent: str | None) -> None:
        """Servers behind a load balancer may have a certificate of a public CA, as with kubectl."""
        config = edited(with_token(), (*CLUSTER, "certificate-authority-data"), absent)
        credentials = parse_kubeconfig(as_yaml(config))
        assert (credentials.ca_data, credentials.insecure) == ("", False)

    def test_rsa_client_certificate(self) -> None:
        """Kubeadm issues RSA keys in PKCS #1."""
        config = edited(
            with_certificate(),
            (*USER, "client-certificate-data"),
            b64(RSA_CLIENT.cert_chain_pems[0].bytes()),
        )
        config = edited(config, (*USER, "client-key-data"), b64(RSA_CLIENT.private_key_pem.bytes()))
        assert parse_kubeconfig(as_yaml(config)).client_key is not None

    @pytest.mark.parametrize("indent", [None, 2, "\t"])
    def test_json(self, indent: str | int | None) -> None:
        """JSON is read as YAML, however it is indented."""
        assert parse_kubeconfig(json.dumps(with_token(), indent=indent).encode()).token == TOKEN

    @pytest.mark.parametrize(("path", "value"), GOOD.values(), ids=GOOD)
    def test_harmless_fields(self, path: Path, value: Json) -> None:
        """Fields of real kubeconfigs that do no harm are accepted."""
        assert parse_kubeconfig(as_yaml(edited(with_token(), path, value))).token == TOKEN

    def test_fields_of_the_cluster_are_read(self) -> None:
        """Server, TLS server name and compression are those of the file."""
        config = edited(
            with_token(), (*CLUSTER, "server"), "https://rancher.example/k8s/clusters/c-1/"
        )
        config = edited(config, (*CLUSTER, "tls-server-name"), "inner.example")
        config = edited(config, (*CLUSTER, "disable-compression"), value=True)
        credentials = parse_kubeconfig(as_yaml(config))
        assert credentials.server == "https://rancher.example/k8s/clusters/c-1"
        assert credentials.tls_server_name == "inner.example"
        assert credentials.disable_compression

    def test_scheme_is_read_in_any_case(self) -> None:
        """`HTTPS://` is the same as `https://`."""
        config = edited(with_token(), (*CLUSTER, "server"), "HTTPS://remote.example/Path/")
        assert parse_kubeconfig(as_yaml(config)).server == "https://remote.example/Path"

    def test_trailing_dot_is_not_part_of_the_name_in_a_certificate(self) -> None:
        """An absolute DNS name ends in a dot, and certificates leave it out."""
        config = edited(with_token(), (*CLUSTER, "tls-server-name"), "api.remote.example.")
        assert parse_kubeconfig(as_yaml(config)).tls_server_name == "api.remote.example"

    @pytest.mark.parametrize("end", ["---\n", "...\n---\n", "---\n---\n# end\n", "--- ~\n"])
    def test_documents_without_content_are_skipped(self, end: str) -> None:
        """Tools that put files together leave an empty document at the end."""
        assert parse_kubeconfig(as_yaml(with_token()) + end.encode()).token == TOKEN

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
    def test_newline_after_the_token_is_dropped(self, newline: str) -> None:
        """A token from a file ends in one, and an HTTP header cannot hold it."""
        config = edited(with_token(), (*USER, "token"), TOKEN + newline)
        assert parse_kubeconfig(as_yaml(config)).token == TOKEN

    def test_token_and_certificate(self) -> None:
        """Both are presented, as by kubectl."""
        credentials = parse_kubeconfig(as_yaml(edited(with_certificate(), (*USER, "token"), TOKEN)))
        assert credentials.token == TOKEN
        assert credentials.client_certificate is not None

    def test_current_context_is_used(self) -> None:
        """Cluster and user are those of the current context."""
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
        """`openssl x509 -text` writes a description that TLS libraries reject."""
        config = edited(
            with_token(), (*CLUSTER, "certificate-authority-data"), b64("Größe\n".encode() + CA_PEM)
        )
        assert parse_kubeconfig(as_yaml(config)).ca_data == CA_PEM.decode()

    def test_byte_order_mark_is_skipped(self) -> None:
        """Editors on Windows write one."""
        assert parse_kubeconfig(b"\xef\xbb\xbf" + as_yaml(with_token())).token == TOKEN


class TestBase64:
    @pytest.mark.parametrize("text", ["aHVzaA==", "aHVz\naA==\n", " aHVz\r\n\taA== "])
    def test_white_space_is_skipped(self, text: str) -> None:
        """`base64` wraps its lines, and YAML block scalars end in a newline."""
        assert decode_base64(text) == b"hush"

    @pytest.mark.parametrize(
        "text", ["aHVzaA", "aHVzaA=", "aHV!aA==", "aHVzaA==aHVzaA==", "aHVz-_==", "ähush", "\ud800"]
    )
    def test_other_characters_are_refused(self, text: str) -> None:
        """Skipping a part silently would read another kubeconfig."""
        with pytest.raises(KubeconfigError) as caught:
            decode_base64(text)
        assert caught.value.reason == INVALID
        assert str(caught.value).startswith("spec.kubeconfig is not base64; ")
        assert text not in shown(caught.value)

    def test_base64_of_base64_is_named(self) -> None:
        """The data of a Secret is base64 already; encoding it again is a frequent mistake."""
        twice = b64(b64(as_yaml(with_token())).encode())
        with pytest.raises(KubeconfigError, match=r"^spec\.kubeconfig is base64-encoded twice; "):
            decode_base64(twice)
        config = edited(
            with_token(), (*CLUSTER, "certificate-authority-data"), b64(b64(CA_PEM).encode())
        )
        with pytest.raises(KubeconfigError, match=r"authority-data is base64-encoded twice; "):
            parse_kubeconfig(as_yaml(config))

    @given(st.binary(max_size=200))
    def test_round_trip(self, data: bytes) -> None:
        """Decoding reverses encoding."""
        assert decode_base64(base64.encodebytes(data).decode()) == data

    @given(st.text(max_size=100))
    def test_any_text_is_decoded_or_refused(self, text: str) -> None:
        """No other exception is raised."""
        with contextlib.suppress(KubeconfigError):
            decode_base64(text)


class TestFlags:
    def test_verification_can_be_skipped_if_allowed(self) -> None:
        """With the administrator's flag, a link can skip the verification of its server."""
        config = edited(with_token(), (*CLUSTER, "insecure-skip-tls-verify"), value=True)
        result = parse_kubeconfig(as_yaml(config), Trust(allows_insecure=True))
        assert (result.insecure, result.ca_data) == (True, "")

    def test_flag_alone_skips_nothing(self) -> None:
        """A link that does not ask for it is verified, and needs a CA."""
        result = parse_kubeconfig(
            as_yaml(with_token()), Trust(allows_insecure=True, allows_proxies=True)
        )
        assert result == parse_kubeconfig(as_yaml(with_token()))
        assert not result.insecure

    @pytest.mark.parametrize(
        "proxy", ["http://proxy.example:3128", "https://10.0.0.1", "http://[fd00::1]:8080/"]
    )
    def test_proxy_can_be_used_if_allowed(self, proxy: str) -> None:
        """With the administrator's flag, a link can name an HTTP proxy."""
        config = edited(with_token(), (*CLUSTER, "proxy-url"), proxy)
        assert parse_kubeconfig(as_yaml(config), Trust(allows_proxies=True)).proxy == proxy

    @pytest.mark.parametrize(
        "proxy",
        [
            "http://user:hush@proxy.example",
            "http://proxy.example/path",
            "http://proxy.example:99999",
            "http://",
            "proxy.example",
            5,
        ],
    )
    def test_other_proxies_are_refused(self, proxy: Json) -> None:
        """The error names the field and does not repeat its value."""
        config = edited(with_token(), (*CLUSTER, "proxy-url"), proxy)
        with pytest.raises(
            KubeconfigError, match=r"clusters\[0\]\.cluster\.proxy-url must be a URL"
        ) as caught:
            parse_kubeconfig(as_yaml(config), Trust(allows_proxies=True))
        assert "hush" not in shown(caught.value)

    def test_socks_proxy_is_refused_by_name(self) -> None:
        """kubectl accepts SOCKS, so the error says that svclink does not."""
        config = edited(with_token(), (*CLUSTER, "proxy-url"), "socks5://proxy.example:1080")
        with pytest.raises(KubeconfigError, match="svclink cannot use SOCKS"):
            parse_kubeconfig(as_yaml(config), Trust(allows_proxies=True))

    @pytest.mark.parametrize("path", [("users", 0, "user", "proxy-url"), ("proxy-url",)])
    def test_proxy_is_allowed_in_clusters_only(self, path: tuple[str | int, ...]) -> None:
        """The flag allows the field where Kubernetes has it, and nowhere else."""
        with pytest.raises(KubeconfigError, match="proxy-url"):
            parse_kubeconfig(
                as_yaml(edited(with_token(), path, "http://p")), Trust(allows_proxies=True)
            )

    @pytest.mark.parametrize("key", ["exec", "tokenFile", "as", "client-key"])
    def test_flags_allow_nothing_else(self, key: str) -> None:
        """No flag lets a kubeconfig run a program, read a file or impersonate a user."""
        with pytest.raises(KubeconfigError, match=key):
            parse_kubeconfig(
                as_yaml(edited(with_token(), (*USER, key), "x")),
                Trust(allows_insecure=True, allows_proxies=True),
            )


class TestSecrecy:
    def test_credentials_do_not_show_secrets(self) -> None:
        """The repr of credentials shows the server and no secret."""
        config = edited(with_certificate(), (*USER, "token"), TOKEN)
        text = repr(parse_kubeconfig(as_yaml(config)))
        assert (
            text == "Credentials(server='https://remote.example:6443', tls_server_name=None,"
            " disable_compression=False, insecure=False)"
        )
