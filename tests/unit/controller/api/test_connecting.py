"""Clients are made from trusted and untrusted kubeconfigs; keys do not stay on disk.

Real: sockets, TLS, HTTP, files, plugins and the client. Substituted: the API server, by handlers.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import stat
import traceback
from pathlib import Path

import pytest
import yaml
from attrs import evolve

from svclink_controller.api.connecting import ConfigurationError, main_client, remote_client
from svclink_controller.api.errors import TransportError
from svclink_controller.credentials.kubeconfig import KubeconfigError
from svclink_controller.credentials.trust import LOOPBACK_NETWORKS, Trust
from tests.unit.controller.api.certificates import issue
from tests.unit.controller.api.peers import listening, proxying, say_yes
from tests.unit.controller.http_server import (
    AUTHORITY,
    OTHER_AUTHORITY,
    TOKEN,
    connecting,
    credentials,
    serving,
    with_certificate,
)


async def test_tls_server_name_decides_which_certificate_is_accepted() -> None:
    """With `tls-server-name`, the certificate must be for that name, not for the address."""
    async with serving(say_yes) as server:
        async with connecting(credentials(server.url, tls_server_name="localhost")) as client:
            assert await client.get("/version") == b'{"said": "yes"}'
        async with connecting(credentials(server.url, tls_server_name="elsewhere.test")) as client:
            with pytest.raises(TransportError) as caught:
                await client.get("/version")
    assert caught.value.fault is not None


async def test_insecure_credentials_accept_any_certificate() -> None:
    """Credentials that skip the verification reach a server with any certificate."""
    async with serving(say_yes) as server:
        async with connecting(credentials(server.url, ca_data="", insecure=True)) as client:
            await client.get("/version")
        async with connecting(credentials(server.url, ca_data="")) as client:
            with pytest.raises(TransportError):
                await client.get("/version")
    assert server.paths == ["/version"]


async def test_proxy_of_the_credentials_is_used() -> None:
    """TLS goes through an allowed proxy to the server, so the proxy sees no token."""
    async with proxying() as (proxy, asked), serving(say_yes) as server:
        async with connecting(credentials(server.url, proxy=proxy)) as client:
            await client.get("/version")
        address = server.url.removeprefix("https://")
        assert (server.paths, asked) == (["/version"], [f"CONNECT {address} HTTP/1.1"])
        assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("host", ["my_cluster.test", "my_cluster.test.", "_api.test"])
async def test_names_outside_the_public_web_are_usable(host: str) -> None:
    """Underscores and a dot at the end reach the server, and match its certificate."""
    authority = issue("root", is_authority=True)
    leaf = issue("server", authority, names=(host.removesuffix("."),))
    async with proxying() as (proxy, _), serving(say_yes, leaf.served()) as server:
        wanted = credentials(
            server.url.replace("127.0.0.1", host), ca_data=authority.pem, proxy=proxy
        )
        async with connecting(wanted) as client:
            await client.get("/version")


@pytest.mark.parametrize("status", [403, 407, 502, 503])
async def test_error_of_a_proxy_shows_no_password(status: int) -> None:
    """Neither that of the proxy's URL, nor what the proxy repeats in its reason phrase."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d you sent aHVudGVyMg==\r\n\r\n" % status)
        writer.close()

    refusing = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with refusing:
        address = f"127.0.0.1:{refusing.sockets[0].getsockname()[1]}"
        wanted = credentials("https://api.test", proxy=f"http://bob:hunter2@{address}")
        async with connecting(wanted) as client:
            with pytest.raises(TransportError) as caught:
                await client.get("/version")
    assert str(caught.value) == f"https://api.test cannot be reached: the proxy returned {status}"
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


async def test_address_of_a_proxy_is_checked() -> None:
    """Nothing connects to a proxy at a denied address."""
    async with listening() as (port, peers):
        wanted = credentials("https://api.test", proxy=f"http://127.0.0.1:{port}")
        async with connecting(wanted, Trust(LOOPBACK_NETWORKS)) as client:
            with pytest.raises(TransportError, match="svclink does not connect to the address"):
                await client.get("/version")
        assert peers == []


@pytest.mark.parametrize(("disable", "expected"), [(True, "identity"), (False, "gzip, deflate")])
async def test_compression_can_be_disabled(*, disable: bool, expected: str) -> None:
    """`disable-compression` of a kubeconfig changes the Accept-Encoding header."""
    async with (
        serving(say_yes) as server,
        connecting(credentials(server.url, disable_compression=disable)) as client,
    ):
        await client.get("/version")
    assert server.requests[0].headers["Accept-Encoding"].startswith(expected)


@pytest.fixture
def key_files(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int, int]]:
    """The files that OpenSSL is given, with their modes and those of their directories."""
    seen: list[tuple[Path, int, int]] = []
    load = ssl.SSLContext.load_cert_chain

    def record_and_load(context: ssl.SSLContext, certfile: str, keyfile: str) -> None:
        paths = Path(certfile), Path(keyfile)
        seen.extend(
            (path, stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode))
            for path in paths
        )
        load(context, certfile, keyfile)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", record_and_load)
    return seen


async def test_key_files_are_private_and_removed_at_once(
    key_files: list[tuple[Path, int, int]],
) -> None:
    """Certificate and key have mode 0600 in a directory of 0700, and are gone once connected."""
    async with connecting(with_certificate("https://127.0.0.1:1")):
        assert {(mode, parent) for _, mode, parent in key_files} == {(0o600, 0o700)}
        assert not any(path.exists() or path.parent.exists() for path, _, _ in key_files)


async def test_key_files_are_removed_if_tls_rejects_them(
    key_files: list[tuple[Path, int, int]],
) -> None:
    """A key that does not match leaves no file behind, and is an error of the kubeconfig."""
    other = OTHER_AUTHORITY.issue_cert("svclink.test").private_key_pem.bytes().decode()
    with pytest.raises(KubeconfigError) as caught:
        await remote_client(evolve(with_certificate("https://127.0.0.1:1"), client_key=other))
    assert key_files
    assert not any(path.parent.exists() for path, _, _ in key_files)
    assert other.splitlines()[1] not in "".join(traceback.format_exception(caught.value))


async def test_authority_that_tls_rejects_is_an_error_of_the_kubeconfig() -> None:
    """A CA that OpenSSL rejects shows in the status of the link like any broken kubeconfig."""
    broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    with pytest.raises(KubeconfigError) as caught:
        await remote_client(credentials("https://127.0.0.1:1", ca_data=broken))
    assert caught.value.reason == "InvalidKubeconfig"


def main_kubeconfig(path: Path, url: str, token: str | None = TOKEN) -> Path:
    """An administrator's kubeconfig, with its CA in a file beside it."""
    (path / "ca.crt").write_bytes(AUTHORITY.cert_pem.bytes())
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": url, "certificate-authority": "ca.crt"}}],
        "users": [{"name": "a", "user": {} if token is None else {"token": token}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    file = path / "kubeconfig"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


async def test_main_cluster_is_reached_with_its_kubeconfig(tmp_path: Path) -> None:
    """The main kubeconfig is trusted: it may name files, and its token is sent."""
    async with serving(say_yes) as server:
        client = await main_client(main_kubeconfig(tmp_path, server.url))
        try:
            assert json.loads(await client.get("/version")) == {"said": "yes"}
        finally:
            await client.close()
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


def main_content(server: object = "https://127.0.0.1:9", **user: object) -> str:
    """A kubeconfig of one cluster and one user."""
    content = {
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": user}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    return yaml.safe_dump(content)


def plugin(*command: str) -> dict[str, object]:
    """An exec credential plugin."""
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "IfAvailable",
        "command": command[0],
        "args": list(command[1:]),
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is empty"),
        ("# a comment\n", "it is empty"),
        ("a: [", "it is not YAML"),
        ("[]", "does not have the structure"),
        ("just text", "does not have the structure"),
        (
            "current-context: a",
            "it has no contexts: use a kubeconfig with the context 'a'",
        ),
        ("clusters: 5\ncurrent-context: a", "it has no contexts"),
        ("apiVersion: v1", "it has no contexts"),
        ("contexts: 5\ncurrent-context: a", "does not have the structure"),
        ("\x00", "it is not YAML"),
        ("[" * 5000, "it is not YAML"),
        (main_content(5), "clusters[a].cluster.server is not a string"),
        (main_content("https://[::1"), "server must be a URL"),
        (main_content("https://127.0.0.1:99999"), "server must be a URL"),
        (main_content("ftp://127.0.0.1"), "server must be a URL"),
        (
            main_content(**{"client-certificate-data": "aGFsbG8=", "client-key-data": "aGFsbG8="}),
            "users[a].user.client-certificate-data contains no certificate",
        ),
        (
            main_content(exec=plugin("/nowhere/plugin")),
            "the credential plugin /nowhere/plugin does not exist or cannot be executed",
        ),
        (main_content(exec=plugin("false")), "the credential plugin false exited with code 1"),
        (
            main_content(exec=plugin("echo", "hello")),
            "the credential plugin echo printed something that is not an ExecCredential",
        ),
    ],
)
async def test_unusable_main_kubeconfig_is_one_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str, words: str
) -> None:
    """The ConfigurationError names the file and the cause, and nothing is printed."""
    path = tmp_path / "kubeconfig"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        await main_client(path)
    assert str(caught.value).startswith(f"--kubeconfig={path} cannot be used: ")
    assert words in str(caught.value)
    assert capfd.readouterr() == ("", "")


async def test_missing_main_kubeconfig_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Some files of $KUBECONFIG may be missing, but not all."""
    missing = tmp_path / "missing"
    with pytest.raises(ConfigurationError) as caught:
        await main_client(missing)
    assert str(caught.value) == f"--kubeconfig={missing}: no such file: pass an existing one"
    monkeypatch.setenv("KUBECONFIG", str(missing))
    with pytest.raises(ConfigurationError) as caught:
        await main_client(missing)
    assert str(caught.value) == (
        f"KUBECONFIG={missing}: no such file: correct it or pass --kubeconfig=FILE"
    )
    (tmp_path / "there").write_text(main_content(token=TOKEN), encoding="utf-8")
    client = await main_client(Path(f"{missing}{os.pathsep}{tmp_path / 'there'}"))
    await client.close()


async def test_without_kubeconfig_outside_a_pod_the_flag_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Outside a Pod there is no ServiceAccount: the error names the flag to pass."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigurationError, match="--kubeconfig=FILE"):
        await main_client(None)
