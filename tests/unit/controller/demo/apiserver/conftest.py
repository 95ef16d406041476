"""An API server in the test process, on loopback with TLS, and clients of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

import aiohttp
import pytest
import yaml
from attrs import evolve, frozen

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import remote_client
from svclink_controller.credentials.kubeconfig import Credentials
from svclink_controller.demo.apiserver.access.certificates import make_authority
from svclink_controller.demo.apiserver.api_server import ApiServer, make_api_server
from svclink_controller.demo.apiserver.registry.registry import Registry
from svclink_controller.demo.apiserver.secure_serving import serving_api, tls_context
from svclink_controller.demo.apiserver.status_errors import JsonObject
from svclink_controller.demo.apiserver.storage import Storage

KEY: Final = b"what tokens are signed with"
DEFINITIONS: Final = Path(__file__).parents[5] / "crd"

Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[Client]]


@frozen
class Running:
    """A running server.

    Args:
        administrator: A client that may do anything.
        connect: Opens a client with a token, or without credentials.
        session: The plain HTTP session of an administrator.
        audited: The audit events so far.
    """

    api_server: ApiServer
    administrator: Client
    connect: Connect
    session: aiohttp.ClientSession
    audited: list[JsonObject]


@pytest.fixture
def registry() -> Registry:
    """A registry without a server: no controller runs."""
    registry = Registry(Storage())
    registry.start()
    return registry


@pytest.fixture
def definition() -> JsonObject:
    """The CustomResourceDefinition of ClusterLinks."""
    return _definition("clusterlinks")


@pytest.fixture
def policy_definition() -> JsonObject:
    """The CustomResourceDefinition of TrafficPolicies."""
    return _definition("trafficpolicies")


def _definition(plural: str) -> JsonObject:
    file = DEFINITIONS / f"{plural}.svclink.cloudpilot.ai.yaml"
    loaded: JsonObject = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A server that serves during the test."""
    authority = make_authority("test")
    identity = authority.issue_server()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "serving.pem").write_bytes(identity.key + identity.certificate)
    audited: list[JsonObject] = []
    api_server = make_api_server(None, KEY, audited.append, history=10)
    context = tls_context(tmp_path / "serving.pem", tmp_path / "ca.pem")
    async with serving_api(api_server, context) as port:
        anonymous = Credentials(server=f"https://127.0.0.1:{port}", ca_data=authority.pem.decode())

        @asynccontextmanager
        async def connect(token: str | None = None) -> AsyncIterator[Client]:
            client = await remote_client(evolve(anonymous, token=token))
            try:
                yield client
            finally:
                await client.close()

        admin = authority.issue_client("admin", "system:masters")
        certified = evolve(
            anonymous, client_certificate=admin.certificate.decode(), client_key=admin.key.decode()
        )
        (tmp_path / "admin.pem").write_bytes(admin.key + admin.certificate)
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        trusting.load_cert_chain(tmp_path / "admin.pem")
        client = await remote_client(certified)
        try:
            async with aiohttp.ClientSession(
                anonymous.server, connector=aiohttp.TCPConnector(ssl=trusting)
            ) as session:
                yield Running(api_server, client, connect, session, audited)
        finally:
            await client.close()
