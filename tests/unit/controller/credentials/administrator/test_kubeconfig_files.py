"""The administrator's kubeconfig means what it means to kubectl.

Real: files, certificates and keys. Substituted: nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from svclink_controller.credentials.administrator.access import Access, AccessError
from svclink_controller.credentials.administrator.kubeconfig_files import read_admin_kubeconfig
from svclink_controller.credentials.kubeconfig import Credentials, KubeconfigError
from tests.unit.controller.credentials.administrator.plugins import API_VERSION, exec_entry
from tests.unit.controller.credentials.kubeconfigs import (
    CA_PEM,
    CLIENT_KEY,
    CLIENT_PEM,
    TOKEN,
    b64,
)

SERVER = "https://api.example:6443"


def config(
    name: str = "a",
    *,
    cluster: dict[str, Any] | None = None,
    user: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    current: str | None = "a",
) -> dict[str, Any]:
    """A kubeconfig with one entry of each kind, all of this name."""
    content: dict[str, Any] = {
        "clusters": [{"name": name, "cluster": {"server": SERVER} | (cluster or {})}],
        "users": [{"name": name, "user": {"token": TOKEN} if user is None else user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name} | (context or {})}],
    }
    return content if current is None else content | {"current-context": current}


def written(directory: Path, content: object, name: str = "config") -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def access(directory: Path, content: object, context: str | None = None) -> Access:
    return read_admin_kubeconfig([written(directory, content)], context)


def problem(directory: Path, content: object, context: str | None = None) -> str:
    """The sentence about a kubeconfig that cannot be used, which repeats no secret."""
    with pytest.raises((AccessError, KubeconfigError)) as caught:
        access(directory, content, context)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


class TestContexts:
    def test_context_without_a_current_one(self, tmp_path: Path) -> None:
        """`--context` is enough: `current-context` may be missing."""
        found = access(tmp_path, config(current=None, context={"namespace": "shop"}), "a")
        assert (found.credentials.server, found.namespace) == (SERVER, "shop")

    @pytest.mark.parametrize("current", [None, ""])
    def test_no_current_context_names_the_flag(self, tmp_path: Path, current: str | None) -> None:
        """Without either, the error says what to pass."""
        message = problem(tmp_path, config(current=current))
        assert message == "it has no current-context; pass --context with one of: a"

    def test_unknown_context_names_the_known_ones(self, tmp_path: Path) -> None:
        """A mistyped context is one sentence."""
        assert problem(tmp_path, config(), "b").endswith("named 'b'; its contexts are: a")

    def test_earlier_files_win(self, tmp_path: Path) -> None:
        """Of several files, the first one that has an entry or a current context counts."""
        files = [
            written(tmp_path, config("a", user={"token": f"{TOKEN}-of-1"}, current=None), "1"),
            written(tmp_path, config("b", current="b"), "2"),
            written(tmp_path, config("a", user={"token": "third"}, current="a"), "3"),
        ]
        assert read_admin_kubeconfig(files, None).credentials.token == TOKEN
        assert read_admin_kubeconfig(files, "a").credentials.token == f"{TOKEN}-of-1"

    def test_paths_are_relative_to_their_own_file(self, tmp_path: Path) -> None:
        """Two files in different directories may both name `ca.crt`."""
        for name, content in (("a", "aa"), ("b", "bb")):
            written(tmp_path / name, content, "token")
        files = [
            written(tmp_path / name, config(name, user={"tokenFile": "token"}))
            for name in ("a", "b")
        ]
        for name in ("a", "b"):
            found = read_admin_kubeconfig(files, name)
            assert found.token_file == tmp_path / name / "token"

    def test_entries_that_are_not_used_do_no_harm(self, tmp_path: Path) -> None:
        """Another user's plugin or a file that is missing on this machine is not looked at."""
        content = config()
        content["users"].append({"name": "b", "user": {"client-certificate": "missing.crt"}})
        content["clusters"].append({"name": "b", "cluster": None})
        content["unknown"] = {"field": 1}
        assert access(tmp_path, content).credentials.token == TOKEN

    def test_context_without_user_is_anonymous(self, tmp_path: Path) -> None:
        """A proxy of `kubectl proxy` needs no credentials."""
        found = access(tmp_path, config(context={"user": None}))
        assert found.credentials.token is None

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (config(context={"cluster": "b"}), "names the cluster 'b', which does not exist"),
            (config(context={"user": "b"}), "names the user 'b', which does not exist"),
            (config(context={"cluster": None}), "contexts[a].context.cluster is missing"),
            (config() | {"kind": "Secret"}, "its kind is not Config"),
            (config() | {"apiVersion": "v2"}, "its apiVersion is not v1"),
            (config() | {"users": 5}, "does not have the structure"),
            (config() | {"users": [5]}, "does not have the structure"),
            (config() | {"users": [{"name": 5}]}, "does not have the structure"),
            (config() | {"users": config()["users"] * 2}, "has two entries named 'a'"),
        ],
    )
    def test_broken_references(self, tmp_path: Path, content: object, words: str) -> None:
        """The error names the entry."""
        assert words in problem(tmp_path, content)


class TestCluster:
    def test_certificate_authority(self, tmp_path: Path) -> None:
        """A file or its content, and text around the certificates is skipped."""
        written(tmp_path, "Größe\n" + CA_PEM.decode(), "ca.crt")
        by_file = access(tmp_path, config(cluster={"certificate-authority": "ca.crt"}))
        inline = access(tmp_path, config(cluster={"certificate-authority-data": b64(CA_PEM)}))
        assert by_file.credentials.ca_data == inline.credentials.ca_data == CA_PEM.decode()

    def test_without_certificate_authority_the_system_decides(self, tmp_path: Path) -> None:
        """A managed cluster may have a certificate of a public CA."""
        assert access(tmp_path, config()).credentials.ca_data == ""

    @pytest.mark.parametrize(
        ("server", "expected"),
        [
            ("HTTPS://API.example/", "https://API.example"),
            ("api.example:6443", "http://api.example:6443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            (
                "https://rancher.example/k8s/clusters/c-1/",
                "https://rancher.example/k8s/clusters/c-1",
            ),
            ("https://my_cluster.example.", "https://my_cluster.example."),
        ],
    )
    def test_server(self, tmp_path: Path, server: str, expected: str) -> None:
        """Any URL that kubectl accepts; without a scheme it is plain HTTP."""
        found = access(tmp_path, config(cluster={"server": server})).credentials
        assert found.server == expected

    @pytest.mark.parametrize("server", ["http://127.0.0.1:8080", "127.0.0.1:8080"])
    def test_nothing_of_the_user_is_sent_unencrypted(self, tmp_path: Path, server: str) -> None:
        """As with kubectl, a server without TLS gets neither token nor impersonation."""
        user = {"token": TOKEN, "as": "auditor", "username": None}
        found = access(tmp_path, config(cluster={"server": server}, user=user))
        assert found == Access(Credentials(server="http://127.0.0.1:8080", ca_data=""))

    def test_null_and_empty_fields_are_absent(self, tmp_path: Path) -> None:
        """Tools write fields without a value."""
        cluster = dict.fromkeys(("proxy-url", "tls-server-name", "certificate-authority"), "")
        user: dict[str, Any] = {
            "token": TOKEN,
            "exec": None,
            "username": None,
            "as": "",
            "as-groups": [],
        }
        found = access(tmp_path, config(cluster=cluster | {"extensions": None}, user=user))
        assert (found.plugin, found.basic, found.impersonation) == (None, None, ())

    def test_verification_is_skipped_only_for_true(self, tmp_path: Path) -> None:
        """The string "false" is true to Python, and must not switch the verification off."""
        assert access(
            tmp_path, config(cluster={"insecure-skip-tls-verify": True})
        ).credentials.insecure
        message = problem(tmp_path, config(cluster={"insecure-skip-tls-verify": "false"}))
        assert "insecure-skip-tls-verify is not a boolean" in message

    @pytest.mark.parametrize(
        ("cluster", "words"),
        [
            ({"server": None}, "cluster.server is missing"),
            ({"server": 5}, "cluster.server is not a string"),
            ({"server": "https://user:word@api.example"}, "server contains a user name"),
            ({"certificate-authority": "none.crt"}, "none.crt, which cannot be read"),
            ({"certificate-authority-data": b64(CLIENT_KEY)}, "contains no certificate in PEM"),
            ({"certificate-authority-data": "!"}, "is not base64"),
            (
                {"certificate-authority-data": b64(CA_PEM), "insecure-skip-tls-verify": True},
                "is set together with a CA",
            ),
            (
                {"certificate-authority-data": b64(CA_PEM), "certificate-authority": "x"},
                "certificate-authority is set together with certificate-authority-data",
            ),
            ({"proxy-url": "socks5://proxy.test"}, "proxy-url is a SOCKS proxy"),
            ({"proxy-url": "proxy.test:3128"}, "proxy-url must be a URL"),
        ],
    )
    def test_fields_that_kubectl_refuses(
        self, tmp_path: Path, cluster: dict[str, Any], words: str
    ) -> None:
        """The error names the field."""
        assert words in problem(tmp_path, config(cluster=cluster))


class TestUser:
    def test_client_certificate(self, tmp_path: Path) -> None:
        """Files or their content, also mixed, and both in one file."""
        written(tmp_path, (CLIENT_PEM + CLIENT_KEY).decode(), "both.pem")
        users = (
            {"client-certificate": "both.pem", "client-key": str(tmp_path / "both.pem")},
            {"client-certificate-data": b64(CLIENT_PEM), "client-key-data": b64(CLIENT_KEY)},
            {"client-certificate-data": b64(CLIENT_PEM), "client-key": "both.pem"},
        )
        found = [access(tmp_path, config(user=user)).credentials for user in users]
        assert found[0].client_certificate == CLIENT_PEM.decode()
        assert found[0] == found[1] == found[2]

    def test_key_without_certificate_is_not_looked_at(self, tmp_path: Path) -> None:
        """As with kubectl, a key needs a certificate to count."""
        user = {"token": TOKEN, "client-key": "missing", "as-user-extra": {}}
        assert access(tmp_path, config(user=user)).credentials.client_key is None

    def test_basic_authentication(self, tmp_path: Path) -> None:
        """kubectl sends it, and a proxy before the API server may want it."""
        found = access(tmp_path, config(user={"username": "ann", "password": "hush"}))
        assert found.basic == b64(b"ann:hush")

    def test_impersonation(self, tmp_path: Path) -> None:
        """`as` and its companions become headers; keys of extra are escaped."""
        user = {
            "token": TOKEN,
            "as": "auditor",
            "as-uid": "7",
            "as-groups": ["a", "b"],
            "as-user-extra": {"example.com/scope": ["x", "y"]},
        }
        assert access(tmp_path, config(user=user)).impersonation == (
            ("Impersonate-User", "auditor"),
            ("Impersonate-Uid", "7"),
            ("Impersonate-Group", "a"),
            ("Impersonate-Group", "b"),
            ("Impersonate-Extra-example.com%2Fscope", "x"),
            ("Impersonate-Extra-example.com%2Fscope", "y"),
        )

    def test_plugin(self, tmp_path: Path) -> None:
        """A command with `/` is relative to the kubeconfig; the cluster is given on request."""
        user = {
            "exec": exec_entry(
                "bin/login",
                args=["get-token", "-i"],
                env=[{"name": "PROFILE", "value": "x"}, {"name": "EMPTY"}],
                provideClusterInfo=True,
                installHint="brew install login",
            )
        }
        extension = {"name": "client.authentication.k8s.io/exec", "extension": {"a": 1}}
        cluster = {
            "certificate-authority-data": b64(CA_PEM),
            "tls-server-name": "inner.example",
            "proxy-url": "http://proxy.test:1",
            "disable-compression": True,
            "extensions": [{"name": "other", "extension": 1}, extension],
        }
        plugin = access(tmp_path, config(user=user, cluster=cluster)).plugin
        assert plugin is not None
        assert plugin.command == str(tmp_path / "bin/login")
        assert plugin.arguments == ("get-token", "-i")
        assert plugin.environment == (("PROFILE", "x"), ("EMPTY", ""))
        assert (plugin.api_version, plugin.install_hint) == (API_VERSION, "brew install login")
        assert plugin.cluster == {
            "server": SERVER,
            "certificate-authority-data": b64(CA_PEM),
            "tls-server-name": "inner.example",
            "proxy-url": "http://proxy.test:1",
            "disable-compression": True,
            "config": {"a": 1},
        }

    def test_plugin_of_an_older_version(self, tmp_path: Path) -> None:
        """In v1beta1 the interactive mode is optional; a plain name stays a name."""
        entry = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws"}
        plugin = access(tmp_path, config(user={"exec": entry})).plugin
        assert plugin is not None
        assert (plugin.command, plugin.interactive_mode) == ("aws", "IfAvailable")
        assert plugin.cluster is None

    @pytest.mark.parametrize(
        "winner",
        [
            {"token": TOKEN},
            {"tokenFile": "token"},
            {"username": "ann"},
            {"client-certificate-data": b64(CLIENT_PEM), "client-key-data": b64(CLIENT_KEY)},
        ],
    )
    def test_other_credentials_win_over_a_plugin(
        self, tmp_path: Path, winner: dict[str, Any]
    ) -> None:
        """As with kubectl, a plugin only runs if there is nothing else."""
        found = access(tmp_path, config(user={"exec": exec_entry("x")} | winner))
        assert found.plugin is None

    def test_token_of_openid_connect(self, tmp_path: Path) -> None:
        """The token that kubectl stored is used; kubectl refreshes it."""
        provider = {"name": "oidc", "config": {"id-token": TOKEN}}
        assert access(tmp_path, config(user={"auth-provider": provider})).credentials.token == TOKEN

    @pytest.mark.parametrize(
        ("user", "words"),
        [
            ({"token": 5}, "user.token is not a string"),
            ({"token": TOKEN, "username": "x"}, "has a token and a user name"),
            ({"client-certificate-data": b64(CLIENT_PEM)}, "client-key-data is missing"),
            ({"client-key": 5}, "client-key is not a string"),
            ({"client-key-data": "!"}, "client-key-data is not base64"),
            ({"as-groups": ["x"]}, "user.as is missing"),
            ({"as": "x", "as-groups": "y"}, "as-groups must be a list"),
            ({"as": "x", "as-groups": [5]}, "as-groups must be a list of strings"),
            ({"as": "x", "as-user-extra": ["y"]}, "as-user-extra is not a mapping"),
            ({"as": "x\ny"}, "user.as cannot be sent"),
            ({"as": "x", "as-groups": ["\x00"]}, "user.as-groups cannot be sent"),
            ({"exec": exec_entry("")}, "exec.command is missing"),
            ({"exec": exec_entry("x", interactiveMode=None)}, "interactiveMode is missing"),
            ({"exec": exec_entry("x", interactiveMode="Often")}, "must be one of Never"),
            ({"exec": exec_entry("x", apiVersion=None)}, "exec.apiVersion is missing"),
            (
                {"exec": exec_entry("x", apiVersion="client.authentication.k8s.io/v1alpha1")},
                "must be one of client.authentication.k8s.io/v1,",
            ),
            ({"exec": exec_entry("x", env=[{"value": "y"}])}, "exec.env[0].name is missing"),
            ({"exec": exec_entry("x", env=["y"])}, "exec.env is not a list of mappings"),
            ({"exec": exec_entry("x", env="y")}, "exec.env must be a list"),
            ({"exec": exec_entry("x", provideClusterInfo="true")}, "is not a boolean"),
            (
                {"exec": exec_entry("x"), "auth-provider": {"name": "oidc"}},
                "auth-provider is set together with exec",
            ),
            ({"auth-provider": {"name": "gcp"}}, "'gcp' was removed from Kubernetes"),
            ({"auth-provider": {"name": "oidc"}}, "has no id-token"),
        ],
    )
    def test_fields_that_kubectl_refuses(
        self, tmp_path: Path, user: dict[str, Any], words: str
    ) -> None:
        """The error names the field."""
        assert words in problem(tmp_path, config(user=user))


class TestDocuments:
    def test_first_document_counts(self, tmp_path: Path) -> None:
        """kubectl ignores what follows, and reads JSON and a byte order mark."""
        text = "\ufeff" + json.dumps(config()) + "\n---\nother: document\n"
        assert access(tmp_path, text).credentials.token == TOKEN

    def test_anchors_and_large_files(self, tmp_path: Path) -> None:
        """The file is trusted: YAML means what it means, and many clusters fit in."""
        content = config()
        content["users"] += [{"name": f"u{n}", "user": {"token": "x" * 500}} for n in range(1000)]
        text = yaml.safe_dump(content).replace("current-context: a", "current-context: &c a\nx: *c")
        assert access(tmp_path, text).credentials.token == TOKEN

    def test_secrets_are_not_shown(self, tmp_path: Path) -> None:
        """Neither the repr of the result nor the error of broken YAML contains a token."""
        found = access(tmp_path, config(user={"username": "ann", "password": "hush"}))
        assert b64(b"ann:hush") not in repr(found)
        with pytest.raises(AccessError) as caught:
            access(tmp_path, f"users: [{{token: {TOKEN}}}, ]]")
        assert TOKEN not in str(caught.value)

    def test_directory_is_not_a_file(self, tmp_path: Path) -> None:
        """What cannot be read is one sentence."""
        with pytest.raises(AccessError, match="cannot be read: Is a directory"):
            read_admin_kubeconfig([tmp_path], None)


class TestOddValues:
    """Found by `nox -s fuzz`."""

    def test_a_date_is_text(self, tmp_path: Path) -> None:
        """A context may be named after a day, and any field may hold one that does not exist."""
        content = yaml.safe_dump(config("DAY", current="DAY")).replace("DAY", "2024-01-15")
        assert access(tmp_path, f"{content}last-update: 2024-13-45\n").credentials.server == SERVER

    @pytest.mark.parametrize(
        "value", ["9" * 5000, "!!bool maybe", "!!timestamp maybe", "!!int ''", "!!float x"]
    )
    def test_value_that_no_parser_accepts(self, tmp_path: Path, value: str) -> None:
        """It is one sentence, whatever the parser raises."""
        assert "wrong type" in problem(tmp_path, f"{yaml.safe_dump(config())}x: {value}\n")

    @pytest.mark.parametrize(
        ("cluster", "user"),
        [
            ({"certificate-authority": "a\0b"}, {}),
            ({}, {"client-certificate": "a\0b", "client-key": "a"}),
        ],
    )
    def test_file_whose_name_is_not_valid(
        self, tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any]
    ) -> None:
        """No file can have a null byte in its name."""
        assert "name is not valid" in problem(tmp_path, config(cluster=cluster, user=user))

    @pytest.mark.parametrize("content", [CLIENT_KEY.decode(), b64(CLIENT_KEY)], ids=["PEM", "b64"])
    def test_key_in_the_field_of_a_file_is_not_shown(self, tmp_path: Path, content: str) -> None:
        """The content of a key is put where its file name belongs."""
        user = {"client-certificate-data": b64(CLIENT_PEM), "client-key": content}
        message = problem(tmp_path, config(user=user))
        assert message.startswith(
            "users[a].user.client-key names <not shown>, which cannot be read"
        )
        assert content[100:120] not in message

    def test_password_in_a_server_is_not_shown(self, tmp_path: Path) -> None:
        """Not even if the URL is wrong otherwise."""
        server = f"https://admin:{TOKEN}@api.example:99999"
        assert "server must be a URL" in problem(tmp_path, config(cluster={"server": server}))
