"""`svclink export-kubeconfig` prints only what it has verified.

Real: the command, kubeconfigs, sockets, TLS. Substituted: the API server, by a handler. What needs
a real API server is tested end to end.
"""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from aiohttp import web
from attrs import define
from click.testing import CliRunner, Result

from svclink_controller.cli.main import svclink
from svclink_controller.credentials.kubeconfig import Credentials, parse_kubeconfig
from tests.unit.controller.http_server import AUTHORITY, OTHER_AUTHORITY, Server, serving
from tests.unit.controller.responses import answer


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


@define
class Cluster:
    """An API server that creates everything, and says that this is its CA."""

    authority: trustme.CA

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.endswith("/configmaps/kube-root-ca.crt"):
            return answer({"data": {"ca.crt": pem(self.authority)}})
        return answer({"status": {"token": "t"}})


async def export(server: Server, directory: Path, *flags: str, **cluster: Any) -> Result:
    """Run the command with a kubeconfig of the server, in a thread."""
    content = {
        "clusters": [{"name": "a", "cluster": {"server": server.url, **cluster}}],
        "users": [{"name": "a", "user": {"token": "admin"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    }
    file = directory / "kubeconfig"
    await asyncio.to_thread(file.write_text, yaml.safe_dump(content))
    command = ["--kubeconfig", str(file), "export-kubeconfig", "a", "--duration=1h", *flags]
    return await asyncio.to_thread(CliRunner().invoke, svclink, command)


def printed(done: Result) -> Credentials:
    """What the allow-list accepts of the kubeconfig that was printed."""
    assert done.exception is None, done.output
    return parse_kubeconfig(base64.b64decode(done.stdout))


def has_written(server: Server) -> bool:
    return any(request.is_write for request in server.requests)


async def test_unverified_server_gets_the_ca_of_the_cluster(tmp_path: Path) -> None:
    """A context that skips the verification leads to a kubeconfig that does not."""
    async with serving(Cluster(AUTHORITY)) as server:
        done = await export(server, tmp_path, **{"insecure-skip-tls-verify": True})
    assert printed(done).ca_data == pem(AUTHORITY)


async def test_ca_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    """The CA of a cluster is often not that of the load balancer; then nothing is created."""
    async with serving(Cluster(OTHER_AUTHORITY)) as server:
        done = await export(server, tmp_path, **{"insecure-skip-tls-verify": True})
    assert "was rejected: put the CA that signed" in str(done.exception)
    assert (done.stdout, has_written(server)) == ("", False)


async def test_server_of_a_public_ca_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A context without a CA leads to a kubeconfig without one, if the system trusts the server."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(pem(AUTHORITY), encoding="ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    async with serving(Cluster(OTHER_AUTHORITY)) as server:
        assert printed(await export(server, tmp_path)).ca_data == ""


async def test_server_that_cannot_be_reached_from_here_is_a_warning(tmp_path: Path) -> None:
    """`--server` may be an address that only the main cluster can reach."""
    authority = base64.b64encode(pem(AUTHORITY).encode()).decode()
    async with serving(Cluster(AUTHORITY)) as server:
        done = await export(
            server,
            tmp_path,
            "--server=https://api.nowhere.invalid",
            **{"certificate-authority-data": authority},
        )
    assert printed(done).server == "https://api.nowhere.invalid"
    assert "Warning: the CA could not be verified: https://api.nowhere.invalid" in done.stderr


async def test_output_says_where_to_put_it(tmp_path: Path) -> None:
    """A kubeconfig can be kept in a Secret; the sentence does not mix with what is piped."""
    async with serving(Cluster(AUTHORITY)) as server:
        known = {"certificate-authority-data": base64.b64encode(pem(AUTHORITY).encode()).decode()}
        bare = await export(server, tmp_path, **known)
        link = await export(server, tmp_path, "--link", "c1", **known)
    assert "the Secret that its spec.kubeconfigSecretRef names" in bare.stderr
    assert "Apply this ClusterLink in the main cluster" in link.stderr
    assert printed(bare).ca_data == pem(AUTHORITY)
    assert yaml.safe_load(link.stdout)["metadata"] == {"name": "c1"}
