"""The administrator's kubeconfig means what it means to kubectl, field by field.

Every case is a kubeconfig that kubectl and svclink send a request with. The server records what
arrives; the two must do the same, except for the differences that are wanted.

Real: kubectl, the client, TLS, files, plugins. Substituted: the API server, by one that records.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml
from aiohttp import web
from attrs import define, field

from svclink_controller.api.connecting import main_client
from svclink_core.errors import SvclinkError
from tests.unit.controller.credentials.administrator.plugins import credential, exec_entry, script
from tests.unit.controller.credentials.kubeconfigs import b64
from tests.unit.controller.http_server import AUTHORITY, CLIENT, OTHER_AUTHORITY, serving
from tests.unit.controller.responses import answer

Content: TypeAlias = dict[str, Any]
Edit: TypeAlias = Callable[[Content], object]

CA: Final = AUTHORITY.cert_pem.bytes()
CERTIFICATE: Final = CLIENT.cert_chain_pems[0].bytes()
KEY: Final = CLIENT.private_key_pem.bytes()
OTHER_KEY: Final = OTHER_AUTHORITY.issue_cert("other.test").private_key_pem.bytes()
WATCHED: Final = ("Authorization", "Impersonate")

FILES: Final[Mapping[str, bytes]] = {
    "ca.crt": CA,
    "text-and-ca.crt": b"Bag Attributes\n" + CA,
    "client.crt": CERTIFICATE,
    "client.key": KEY,
    "both.pem": KEY + CERTIFICATE,
    "token": b"from-file\n",
    "empty": b"",
}


@define
class Recorder:
    """A server that says yes, and records who asked."""

    seen: list[tuple[str, ...]] = field(factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        headers = sorted(
            f"{name.lower()}: {value}"
            for name, value in request.headers.items()
            if name.startswith(WATCHED)
        )
        has_certificate = bool(request.transport.get_extra_info("peercert"))
        self.seen.append((*headers, *(["client certificate"] if has_certificate else [])))
        return answer({"gitVersion": "v1.36.0"})


def content(url: str) -> Content:
    """A kubeconfig of one user with a token."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": url, "certificate-authority": "ca.crt"}}],
        "users": [{"name": "a", "user": {"token": "inline"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }


def top(**fields: Any) -> Edit:
    return lambda content: content.update({key.replace("_", "-"): fields[key] for key in fields})


def cluster(fields: Content) -> Edit:
    return lambda content: content["clusters"][0]["cluster"].update(fields)


def user(fields: Content) -> Edit:
    """The fields of the user, instead of the token."""
    return lambda content: content["users"][0].update({"user": fields})


def context(fields: Content) -> Edit:
    return lambda content: content["contexts"][0]["context"].update(fields)


NO_CA: Final[Content] = {"certificate-authority": None}
WRONG: Final[tuple[object, ...]] = (None, "", 5, True, "x", [], {}, ["x"], {"x": "y"})
"""Values of every type, for every field."""


def whole(key: str, value: object) -> Edit:
    return lambda content: content.update({key: value})


def item(kind: str, key: str, value: object) -> Edit:
    """A field of the first item in one of the three lists."""
    return lambda content: content[f"{kind}s"][0].update({key: value})


def fields() -> Iterator[tuple[str, Edit]]:
    """Every field of a kubeconfig with values of every type."""
    for value in WRONG:
        for key in (
            *("apiVersion", "kind", "current-context", "clusters", "users", "contexts"),
            *("preferences", "extensions", "unknown"),
        ):
            yield f"{key}: {value!r}", whole(key, value)
        for kind in ("cluster", "user", "context"):
            yield f"{kind}s[0].{kind}: {value!r}", item(kind, kind, value)
            yield f"{kind}s[0].name: {value!r}", item(kind, "name", value)
        for key in (
            *("server", "certificate-authority", "certificate-authority-data", "tls-server-name"),
            *("insecure-skip-tls-verify", "proxy-url", "disable-compression", "extensions"),
            "unknown",
        ):
            yield f"cluster.{key}: {value!r}", cluster({key: value})
        for key in ("cluster", "user", "namespace", "extensions", "unknown"):
            yield f"context.{key}: {value!r}", context({key: value})
        for key in (
            *("token", "tokenFile", "client-certificate", "client-certificate-data", "client-key"),
            *("client-key-data", "username", "password", "as", "as-uid", "as-groups"),
            *("as-user-extra", "exec", "auth-provider", "extensions", "unknown"),
        ):
            yield f"user.{key}: {value!r}", user({"token": "inline", key: value})
        for key in (
            *("apiVersion", "command", "args", "env", "interactiveMode", "installHint"),
            *("provideClusterInfo", "unknown"),
        ):
            yield f"exec.{key}: {value!r}", user({"exec": exec_entry("./login") | {key: value}})


COMBINATIONS: Final[dict[str, Edit]] = {
    "as it is": top(),
    "CA inline": cluster(NO_CA | {"certificate-authority-data": b64(CA)}),
    "CA with text": cluster({"certificate-authority": "text-and-ca.crt"}),
    "CA missing": cluster({"certificate-authority": "missing.crt"}),
    "CA twice": cluster({"certificate-authority-data": b64(CA)}),
    "CA of another cluster": cluster(
        NO_CA | {"certificate-authority-data": b64(OTHER_AUTHORITY.cert_pem.bytes())}
    ),
    "CA that is a key": cluster(NO_CA | {"certificate-authority-data": b64(KEY)}),
    "no CA": cluster(NO_CA),
    "not verified": cluster(NO_CA | {"insecure-skip-tls-verify": True}),
    "not verified, as text": cluster(NO_CA | {"insecure-skip-tls-verify": "true"}),
    "verified, as text": cluster({"insecure-skip-tls-verify": "false"}),
    "not verified with a CA": cluster({"insecure-skip-tls-verify": True}),
    "name in the certificate": cluster({"tls-server-name": "localhost"}),
    "name with a dot": cluster({"tls-server-name": "localhost."}),
    "address in the certificate": cluster({"tls-server-name": "127.0.0.1"}),
    "name not in the certificate": cluster({"tls-server-name": "elsewhere.test"}),
    "proxy of an unknown scheme": cluster({"proxy-url": "ftp://127.0.0.1:1"}),
    "proxy without a scheme": cluster({"proxy-url": "127.0.0.1:1"}),
    "proxy that does not answer": cluster({"proxy-url": "http://127.0.0.1:1"}),
    "server in upper case": lambda c: c["clusters"][0]["cluster"].update(
        server=c["clusters"][0]["cluster"]["server"].replace("https", "HTTPS")
    ),
    "server with a slash": lambda c: c["clusters"][0]["cluster"].update(
        server=c["clusters"][0]["cluster"]["server"] + "/"
    ),
    "server without a scheme": lambda c: c["clusters"][0]["cluster"].update(
        server=c["clusters"][0]["cluster"]["server"].removeprefix("https://")
    ),
    "server with a dot": lambda c: c["clusters"][0]["cluster"].update(
        server=c["clusters"][0]["cluster"]["server"].replace("127.0.0.1", "localhost.")
    ),
    "token with a newline": user({"token": "inline\n"}),
    "token file": user({"tokenFile": "token"}),
    "token file missing": user({"tokenFile": "missing"}),
    "token file empty": user({"tokenFile": "empty"}),
    "token and token file": user({"token": "inline", "tokenFile": "token"}),
    "token and missing file": user({"token": "inline", "tokenFile": "missing"}),
    "certificate in files": user({"client-certificate": "client.crt", "client-key": "client.key"}),
    "certificate inline": user(
        {"client-certificate-data": b64(CERTIFICATE), "client-key-data": b64(KEY)}
    ),
    "certificate mixed": user(
        {"client-certificate-data": b64(CERTIFICATE), "client-key": "both.pem"}
    ),
    "certificate in one file": user({"client-certificate": "both.pem", "client-key": "both.pem"}),
    "certificate without key": user({"client-certificate": "client.crt"}),
    "key without certificate": user({"token": "inline", "client-key": "client.key"}),
    "key of another certificate": user(
        {"client-certificate": "client.crt", "client-key-data": b64(OTHER_KEY)}
    ),
    "certificate twice": user(
        {
            "client-certificate": "client.crt",
            "client-key": "client.key",
            "client-certificate-data": b64(CERTIFICATE),
        }
    ),
    "certificate and token": user(
        {"client-certificate": "client.crt", "client-key": "client.key", "token": "inline"}
    ),
    "password": user({"username": "ann", "password": "word"}),
    "user name alone": user({"username": "ann"}),
    "password and token": user({"username": "ann", "password": "word", "token": "inline"}),
    "as": user({"token": "inline", "as": "auditor"}),
    "as with everything": user(
        {
            "token": "inline",
            "as": "auditor",
            "as-uid": "7",
            "as-groups": ["a", "b"],
            "as-user-extra": {"Scopes.example.com/a b": ["x", "z"]},
        }
    ),
    "groups without as": user({"token": "inline", "as-groups": ["a"]}),
    "plugin": user({"exec": exec_entry("./login")}),
    "plugin that fails": user({"exec": exec_entry("false")}),
    "plugin that is missing": user({"exec": exec_entry("no-such-plugin")}),
    "plugin of v1beta1": user(
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": "./login-v1beta1",
            }
        }
    ),
    "plugin of v1alpha1": user(
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1alpha1",
                "command": "./login-v1beta1",
            }
        }
    ),
    "plugin and token": user({"exec": exec_entry("./login"), "token": "inline"}),
    "plugin and password": user({"exec": exec_entry("./login"), "username": "ann"}),
    "plugin and certificate": user(
        {
            "exec": exec_entry("./login"),
            "client-certificate": "client.crt",
            "client-key": "client.key",
        }
    ),
    "plugin and token file": user({"exec": exec_entry("./login"), "tokenFile": "token"}),
    "plugin with variables": user(
        {"exec": exec_entry("./login", env=[{"name": "SUFFIX", "value": "-staging"}])}
    ),
    "plugin with an unnamed variable": user({"exec": exec_entry("./login", env=[{"value": "x"}])}),
    "plugin and auth-provider": user(
        {"exec": exec_entry("./login"), "auth-provider": {"name": "oidc"}}
    ),
    "auth-provider gcp": user({"auth-provider": {"name": "gcp"}}),
    "no user": context({"user": None}),
    "unknown user": context({"user": "b"}),
    "unknown cluster": context({"cluster": "b"}),
    "two users of one name": lambda c: c["users"].append(c["users"][0]),
    "unused entries": lambda c: c["users"].append({"name": "b", "user": {"tokenFile": "missing"}}),
}


WANTED: Final[tuple[tuple[str, str], ...]] = (
    (r".*: (''|\[\])", "a field without a value is absent, whatever its type is"),
    (r"(.*\.)?extensions: .*", "extensions hold data of other programs, and are not looked at"),
    (r"preferences: .*", "preferences are kubectl's own"),
    (r"token with a newline", "files and pipes end in a newline"),
    (
        r"no user|users\[0\]\.user: .*|context\.user: None|user\.token: None",
        "kubectl asks for a user name where svclink sends an anonymous request",
    ),
)
"""What svclink accepts and kubectl does not, and why. There is nothing the other way round."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with the files that kubeconfigs name."""
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    text = credential("from-plugin")
    print_it = """printf '%s' '{}' | sed "s/plugin/plugin$SUFFIX/" """
    script(tmp_path / "login", print_it.format(text))
    script(tmp_path / "login-v1beta1", print_it.format(text.replace("/v1", "/v1beta1")))
    return tmp_path


async def outcomes(home: Path, edit: Edit) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """What arrived from kubectl and from svclink; None if one of them refused to ask."""
    recorder = Recorder()
    async with serving(recorder) as server:
        wanted = content(server.url)
        edit(wanted)
        file = home / "config"
        await asyncio.to_thread(file.write_text, yaml.safe_dump(wanted))
        found = []
        for ask in (ask_with_kubectl, ask_with_svclink):
            recorder.seen.clear()
            await ask(file)
            found.append(recorder.seen[-1] if recorder.seen else None)
    return found[0], found[1]


async def ask_with_kubectl(file: Path) -> None:
    command = ["kubectl", "--kubeconfig", str(file), "get", "--raw", "/version"]
    environment = {**os.environ, "HOME": str(file.parent / "nowhere")}
    await asyncio.to_thread(
        subprocess.run,
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


async def ask_with_svclink(file: Path) -> None:
    try:
        client = await main_client(file)
    except SvclinkError:
        return
    try:
        await client.get("/version", seconds=10)
    except SvclinkError:
        pass
    finally:
        await client.close()


def wanted_difference(name: str) -> str | None:
    """Why svclink may accept a case that kubectl does not, or None."""
    return next((why for pattern, why in WANTED if re.fullmatch(pattern, name)), None)


CASES: Final = COMBINATIONS | dict(fields())


@pytest.mark.parametrize("name", CASES)
async def test_kubeconfig_means_what_it_means_to_kubectl(home: Path, name: str) -> None:
    """Both send the same request, or both refuse."""
    kubectl, svclink = await outcomes(home, CASES[name])
    if kubectl is None and svclink is not None:
        assert wanted_difference(name) is not None
    else:
        assert svclink == kubectl
