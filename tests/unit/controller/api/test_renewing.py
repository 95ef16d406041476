"""What expires or changes on disk is read again: tokens, CAs, certificates, the kubeconfig.

Real: sockets, TLS, HTTP, files, plugins and the client. Substituted: the API server, by handlers.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from aiohttp import web
from attrs import define, field

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import main_client
from svclink_controller.api.errors import ApiError, TransportError
from tests.unit.controller.api.peers import proxying, say_yes
from tests.unit.controller.credentials.administrator.plugins import (
    counting,
    credential,
    exec_entry,
    runs,
    script,
)
from tests.unit.controller.credentials.kubeconfigs import b64
from tests.unit.controller.http_server import (
    AUTHORITY,
    CLIENT,
    OTHER_AUTHORITY,
    read_lines,
    serving,
)
from tests.unit.controller.responses import answer, refusal


@define
class Kubeconfig:
    """A kubeconfig on disk, of one cluster and one user."""

    directory: Path
    url: str
    user: dict[str, Any] = field(factory=dict)
    cluster: dict[str, Any] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.trust(AUTHORITY)
        self.write()

    @property
    def path(self) -> Path:
        return self.directory / "config"

    def trust(self, authority: trustme.CA) -> None:
        (self.directory / "ca.crt").write_bytes(authority.cert_pem.bytes())

    def write(self) -> None:
        cluster = {"server": self.url, "certificate-authority": "ca.crt"} | self.cluster
        content = {
            "clusters": [{"name": "a", "cluster": cluster}],
            "users": [{"name": "a", "user": self.user}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "current-context": "a",
        }
        self.path.write_text(yaml.safe_dump(content), encoding="utf-8")


@asynccontextmanager
async def connected(kubeconfig: Kubeconfig) -> AsyncIterator[Client]:
    client = await main_client(kubeconfig.path)
    try:
        yield client
    finally:
        await client.close()


@define
class Guard:
    """Accepts one token."""

    token: str

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization") == f"Bearer {self.token}":
            return answer({"said": "yes"})
        return refusal(401, "Unauthorized", "Unauthorized")


class TestTokens:
    async def test_plugin_runs_again_after_a_401(self, tmp_path: Path) -> None:
        """A token that the server no longer accepts is replaced, and the request repeated."""
        plugin, guard = counting(tmp_path / "login"), Guard("token-1")
        async with (
            serving(guard) as server,
            connected(Kubeconfig(tmp_path, server.url, {"exec": exec_entry("./login")})) as client,
        ):
            await client.get("/version")
            await client.get("/version")
            assert runs(plugin) == 1
            guard.token = "token-2"  # noqa: S105 - not a secret
            await client.post("/object", {"a": 1})
            assert (runs(plugin), server.requests[-1].json) == (2, {"a": 1})

    async def test_watch_starts_with_a_new_token(self, tmp_path: Path) -> None:
        """Streams are renewed like other requests."""
        counting(tmp_path / "login")
        async with (
            serving(Guard("token-2")) as server,
            connected(Kubeconfig(tmp_path, server.url, {"exec": exec_entry("./login")})) as client,
        ):
            assert await read_lines(client) == []
            sent = [request.headers["Authorization"] for request in server.requests]
            assert sent == ["Bearer token-1", "Bearer token-2"]

    async def test_401_that_stays_is_an_error(self, tmp_path: Path) -> None:
        """If the plugin has nothing better, the request is not repeated for ever."""
        plugin = counting(tmp_path / "login")
        async with (
            serving(Guard("another")) as server,
            connected(Kubeconfig(tmp_path, server.url, {"exec": exec_entry("./login")})) as client,
        ):
            with pytest.raises(ApiError, match="401"):
                await client.get("/version")
            assert (len(server.requests), runs(plugin)) == (2, 2)

    async def test_failed_plugin_is_the_error(self, tmp_path: Path) -> None:
        """A plugin that fails after a 401 says more than the 401."""
        plugin = counting(tmp_path / "login")
        async with (
            serving(Guard("another")) as server,
            connected(Kubeconfig(tmp_path, server.url, {"exec": exec_entry("./login")})) as client,
        ):
            script(plugin, "exit 9")
            with pytest.raises(TransportError, match=r"login exited with code 9$"):
                await client.get("/version")

    async def test_expired_token_is_named(self, tmp_path: Path) -> None:
        """A 401 about a token in the kubeconfig says when that token expired."""
        payload = base64.urlsafe_b64encode(b'{"exp":1}').decode().rstrip("=")
        token = f"e30.{payload}.c2lnbmF0dXJl"
        async with (
            serving(Guard("another")) as server,
            connected(Kubeconfig(tmp_path, server.url, {"token": token})) as client,
        ):
            with pytest.raises(ApiError) as caught:
                await client.get("/version")
        message = "401 Unauthorized: the token expired at 1970-01-01T00:00:01Z: Unauthorized"
        assert str(caught.value) == message

    async def test_token_file_with_a_newline(self, tmp_path: Path) -> None:
        """Files end in a newline, and the token in it is read again after a 401."""
        token, guard = tmp_path / "token", Guard("one")
        await asyncio.to_thread(token.write_text, "one\n")
        async with (
            serving(guard) as server,
            connected(Kubeconfig(tmp_path, server.url, {"tokenFile": "token"})) as client,
        ):
            await client.get("/version")
            guard.token = "two"  # noqa: S105 - not a secret
            await asyncio.to_thread(token.write_text, "two\n")
            await client.get("/version")

    async def test_kubeconfig_is_read_again(self, tmp_path: Path) -> None:
        """Another program may write a new token into the kubeconfig itself."""
        guard = Guard("one")
        async with serving(guard) as server:
            kubeconfig = Kubeconfig(tmp_path, server.url, {"token": "one"})
            async with connected(kubeconfig) as client:
                guard.token = "two"  # noqa: S105 - not a secret
                with pytest.raises(ApiError, match="401"):
                    await client.get("/version")
                kubeconfig.user = {"token": "two"}
                kubeconfig.write()
                await client.get("/version")

    @pytest.mark.parametrize("content", ["", "broken: ["])
    async def test_broken_kubeconfig_changes_nothing(self, tmp_path: Path, content: str) -> None:
        """What was read before stays in use while the file cannot be read."""
        async with serving(Guard("two")) as server:
            kubeconfig = Kubeconfig(tmp_path, server.url, {"token": "one"})
            async with connected(kubeconfig) as client:
                await asyncio.to_thread(kubeconfig.path.write_text, content)
                with pytest.raises(ApiError, match="401"):
                    await client.get("/version")

    async def test_another_server_is_not_followed(self, tmp_path: Path) -> None:
        """A kubeconfig that now leads to another server could lead to another cluster."""
        async with serving(Guard("one")) as server, serving(Guard("two")) as other:
            kubeconfig = Kubeconfig(tmp_path, server.url, {"token": "two"})
            async with connected(kubeconfig) as client:
                kubeconfig.url, kubeconfig.user = other.url, {"token": "two"}
                kubeconfig.write()
                with pytest.raises(ApiError, match="401"):
                    await client.get("/version")
            assert other.requests == []


class TestCertificates:
    async def test_rotated_authority_is_read_from_disk(self, tmp_path: Path) -> None:
        """After main's CA is rotated, the client goes on with the CA as it is on disk now."""
        rotated = OTHER_AUTHORITY.issue_cert("127.0.0.1")
        async with serving(say_yes, rotated) as server:
            kubeconfig = Kubeconfig(tmp_path, server.url, {"token": "t"})
            async with connected(kubeconfig) as client:
                with pytest.raises(TransportError, match="was rejected"):
                    await client.get("/version")
                kubeconfig.trust(OTHER_AUTHORITY)
                await client.get("/version")
                await asyncio.gather(*(client.get("/version") for _ in range(3)))

    async def test_open_connections_survive_ca_rotation(self, tmp_path: Path) -> None:
        """A watch that is open while the CA is rotated is not cut off."""
        release = asyncio.Event()

        async def wait(request: web.BaseRequest) -> web.StreamResponse:
            if request.path == "/version":
                return refusal(401, "Unauthorized", "Unauthorized")
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"{}\n")
            await release.wait()
            await response.write(b"[]\n")
            return response

        async with serving(wait) as server:
            kubeconfig = Kubeconfig(tmp_path, server.url, {"token": "t"})
            async with connected(kubeconfig) as client:
                lines = client.lines("/watch", {})
                assert await anext(lines) == b"{}"
                kubeconfig.trust(OTHER_AUTHORITY)
                with pytest.raises(TransportError):  # A 401 leads to the CA that is on disk now.
                    await client.get("/version")
                release.set()
                assert [line async for line in lines] == [b"[]"]

    async def test_plugin_may_print_a_certificate(self, tmp_path: Path) -> None:
        """The certificate of a plugin is presented to the server."""
        presented: list[Any] = []

        async def look(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            presented.append(request.transport.get_extra_info("peercert"))
            return answer({})

        text = credential(
            clientCertificateData=CLIENT.cert_chain_pems[0].bytes().decode(),
            clientKeyData=CLIENT.private_key_pem.bytes().decode(),
        )
        script(tmp_path / "login", f"cat <<'END'\n{text}\nEND")
        async with (
            serving(look) as server,
            connected(Kubeconfig(tmp_path, server.url, {"exec": exec_entry("./login")})) as client,
        ):
            await client.get("/version")
        assert ("DNS", "svclink.test") in presented[0]["subjectAltName"]

    async def test_client_certificate_in_files(self, tmp_path: Path) -> None:
        """Certificate and key of the administrator may be one file."""
        both = CLIENT.private_key_pem.bytes() + CLIENT.cert_chain_pems[0].bytes()
        await asyncio.to_thread((tmp_path / "both.pem").write_bytes, both)
        user = {"client-certificate": "both.pem", "client-key": "both.pem"}
        async with (
            serving(say_yes) as server,
            connected(Kubeconfig(tmp_path, server.url, user)) as client,
        ):
            await client.get("/version")

    async def test_broken_certificate_of_a_plugin_is_an_error(self, tmp_path: Path) -> None:
        """OpenSSL rejects it before anything is sent."""
        text = credential(clientCertificateData="none", clientKeyData="none")
        script(tmp_path / "login", f"echo '{text}'")
        kubeconfig = Kubeconfig(tmp_path, "https://127.0.0.1:1", {"exec": exec_entry("./login")})
        with pytest.raises(Exception, match="it contains a broken certificate or key"):
            await main_client(kubeconfig.path)


class TestHeaders:
    async def test_impersonation_is_honoured(self, tmp_path: Path) -> None:
        """`as` limits what `svclink cleanup` may do, as with kubectl."""
        seen: list[list[tuple[str, str]]] = []

        async def look(request: web.BaseRequest) -> web.StreamResponse:
            pairs = [pair for pair in request.headers.items() if pair[0].startswith("Impersonate")]
            seen.append(pairs)
            return answer({})

        user = {"token": "t", "as": "auditor", "as-groups": ["a", "b"]}
        async with (
            serving(look) as server,
            connected(Kubeconfig(tmp_path, server.url, user)) as client,
        ):
            await client.get("/version")
        assert seen == [
            [
                ("Impersonate-User", "auditor"),
                ("Impersonate-Group", "a"),
                ("Impersonate-Group", "b"),
            ]
        ]

    async def test_basic_authentication_is_sent(self, tmp_path: Path) -> None:
        """User name and password go into the header."""
        async with (
            serving(say_yes) as server,
            connected(
                Kubeconfig(tmp_path, server.url, {"username": "ann", "password": "hush"})
            ) as client,
        ):
            await client.get("/version")
        assert server.requests[0].headers["Authorization"] == f"Basic {b64(b'ann:hush')}"


@pytest.mark.parametrize("how", ["proxy-url", "HTTPS_PROXY"])
async def test_proxy_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The main cluster is reached through the proxy of its kubeconfig or of the environment."""
    async with proxying() as (proxy, asked), serving(say_yes) as server:
        # The environment's proxy is not used for `localhost`. The dot is not in the certificate.
        url = server.url.replace("127.0.0.1", "localhost.")
        kubeconfig = Kubeconfig(tmp_path, url, {"token": "t"})
        if how == "proxy-url":
            kubeconfig.cluster = {"proxy-url": proxy}
            kubeconfig.write()
        else:
            monkeypatch.setenv(how, proxy)
        async with connected(kubeconfig) as client:
            await client.get("/version")
        assert asked == [f"CONNECT {url.removeprefix('https://')} HTTP/1.1"]
